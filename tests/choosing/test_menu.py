from edgebert.choosing.menu import Menu
from edgebert.choosing.selection import Budget
from edgebert.inputs.bundle import Bundle
from profiles import BEST, LEAST, MIDDLE, entry, profile_with, way


def menu(bundle: Bundle, budget: Budget) -> Menu:
    entries = [entry(LEAST, 10.0, 20.0), entry(BEST, 40.0, 60.0), entry(MIDDLE, 20.0, 40.0, numerics_ok=False)]
    return Menu(bundle, profile_with(bundle, *entries), budget)


def test_the_best_stands_first_and_wrong_numerics_nowhere(builtin: Bundle) -> None:
    assert [option.entry.id for option in menu(builtin, Budget()).options(1, 64)] == [BEST, LEAST]


def test_costs_are_those_of_the_shape(builtin: Bundle) -> None:
    (best, least) = menu(builtin, Budget()).options(1, 64)
    assert (best.bound_ms, least.bound_ms) == (20.0, 5.0)
    assert best.expected_ms == best.entry.cost.expected_ms(64)


def test_what_memory_forbids_is_left_out(builtin: Bundle) -> None:
    assert [option.entry.id for option in menu(builtin, Budget(memory_mb=30)).options(1, 64)] == [LEAST]


def test_nothing_is_offered_beyond_the_profile(builtin: Bundle) -> None:
    assert menu(builtin, Budget()).options(1, 129) == []
    assert menu(builtin, Budget()).options(2, 16) == []


def test_memory_that_is_not_known_is_the_most_and_within_no_limit(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(BEST, 10.0, None), entry(BEST, 10.0, 5000.0, run=way(2)))
    peaks_mb = [option.entry.peak_memory_mb for option in Menu(builtin, profile, Budget()).options(1, 128)]
    assert peaks_mb == [5000.0, None]
    limited = Menu(builtin, profile, Budget(memory_mb=1e6)).options(1, 128)
    assert [option.entry.peak_memory_mb for option in limited] == [5000.0]
