from pathlib import Path

import msgspec
import pytest

from edgebert.choosing.selection import Budget
from edgebert.engines.session import default_way
from edgebert.errors import BundleError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.serving.parameters import budget_of, choose, length_of, profile_source, subnet_in
from edgebert.subnet import Subnet, WayFilter
from profiles import BEST, LEAST, in_a_browser, profile_of_costs

LIMITS = {"latency_ms": None, "memory_mb": None, "percentile": 95, "length": None, "batch_size": 1, "tolerance": 0.0}


def test_a_budget_is_given_as_a_whole_or_in_parts() -> None:
    assert budget_of(None, **{**LIMITS, "latency_ms": 20.0}) == Budget(latency_ms=20.0)
    assert budget_of(Budget(memory_mb=50.0), **LIMITS) == Budget(memory_mb=50.0)
    with pytest.raises(EdgeBertError, match="found both; put latency_ms, batch_size into the Budget"):
        budget_of(Budget(), **{**LIMITS, "latency_ms": 20.0, "batch_size": 2})
    with pytest.raises(EdgeBertError, match="expected a Budget, found dict; pass budget="):
        budget_of({"latency_ms": 20.0}, **LIMITS)  # type: ignore[arg-type]


def test_a_sub_network_is_named_by_its_id_or_the_value(builtin: Bundle) -> None:
    best = builtin.subnet(BEST)
    plain = Subnet(*(getattr(best, name) for name in Subnet.__struct_fields__))
    assert subnet_in(builtin, BEST) is subnet_in(builtin, best) is subnet_in(builtin, plain) is best


def test_the_value_of_another_bundle_is_refused_in_few_words(builtin: Bundle) -> None:
    other = msgspec.structs.replace(builtin.subnet(BEST), layers=(0,), heads=(1,), ffn=(8,))
    message = f"sub-network '{BEST}' is not of bundle 'movie-reviews-minilm-l6' but of another; pass one of its own ids"
    with pytest.raises(BundleError, match=message) as caught:
        subnet_in(builtin, other)
    assert len(str(caught.value)) < 200
    with pytest.raises(BundleError, match="expected the id of a sub-network or a Subnet, found float; pass one"):
        subnet_in(builtin, 0.5)  # type: ignore[arg-type]


def test_without_a_name_the_best_is_chosen(builtin: Bundle) -> None:
    way = default_way()
    assert choose(builtin, None, Budget(), way).quality == max(builtin.manifest.qualities.values())
    assert choose(builtin, LEAST, Budget(), way).subnetwork == LEAST


def test_known_texts_have_the_length_of_the_longest(builtin: Bundle) -> None:
    assert length_of(builtin, "fine") == 3
    assert length_of(builtin, ["fine", "fine fine fine", "fine"]) == 5
    assert length_of(builtin, "fine " * 1000) == length_of(builtin, []) == builtin.manifest.max_length
    with pytest.raises(EdgeBertError, match="expected a text, found an empty one"):
        length_of(builtin, ["fine", ""])


def test_a_profile_of_another_runtime_is_refused_as_it_is_given(builtin: Bundle, tmp_path: Path) -> None:
    profile = in_a_browser(profile_of_costs(builtin, {BEST: 40.0}))
    profile.save(tmp_path / "phone.json")
    for given in (profile, tmp_path / "phone.json"):
        with pytest.raises(
            ProfileError, match=r"(the profile|phone.json): expected a profile measured by edgebert in Py"
        ):
            profile_source(builtin, 1, WayFilter(), given)
