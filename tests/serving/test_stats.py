from concurrent.futures import ThreadPoolExecutor

from edgebert.serving.stats import AnsweredBy, Tally


def test_requests_texts_and_switches_are_counted() -> None:
    tally = Tally()
    tally.add([("a", AnsweredBy(2, 10.0)), ("b", AnsweredBy(1, 5.0))], is_kept=True)
    tally.add([("b", AnsweredBy(1, 5.0))], is_kept=False)
    tally.add([("a", AnsweredBy(1, 2.0))], is_kept=None)
    found = tally.stats({"way": 1.5}, ["a (way)"])
    assert (found.requests, found.within_budget, found.switches) == (3, 0.5, 2)
    assert found.subnetworks == {"a": AnsweredBy(3, 12.0), "b": AnsweredBy(2, 10.0)}
    assert (found.slow_down, found.loaded) == ({"way": 1.5}, ("a (way)",))


def test_several_threads_count_together() -> None:
    tally = Tally()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(1000):
            pool.submit(tally.add, [("a", AnsweredBy(1, 1.0))], None)
    found = tally.stats({}, [])
    assert (found.requests, found.within_budget, found.subnetworks["a"]) == (1000, None, AnsweredBy(1000, 1000.0))
