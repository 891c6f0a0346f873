import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

import edgebert
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from profiles import BEST, LEAST, MIDDLE, entry, profile_of_costs, profile_with

Alter = Callable[..., Path]

TEXTS = ["a great film", "dull", "it is long, but every minute of it is a pleasure", "a mess"]


@pytest.fixture
def profile(builtin: Bundle) -> DeviceProfile:
    """A made-up profile in which 128 tokens cost 40, 20 and 10 ms."""
    return profile_of_costs(builtin, {BEST: 40.0, MIDDLE: 20.0, LEAST: 10.0})


@pytest.fixture
def slow_profile(builtin: Bundle) -> DeviceProfile:
    """Ten times as slow, so that no delay of a busy machine matters."""
    return profile_of_costs(builtin, {BEST: 400.0, MIDDLE: 200.0, LEAST: 100.0})


def test_a_text_is_answered_like_a_pipeline_does() -> None:
    with edgebert.load() as model:
        (answer,) = model("a great film")
        assert answer["label"] == "positive"
        assert 0.9 < answer["score"] <= 1.0
        assert model(["a great film"]) == [answer]
        assert [one["label"] for one in model(["a great film", "dull"])] == ["positive", "negative"]


def test_without_a_budget_the_best_is_loaded(builtin: Bundle) -> None:
    with edgebert.load() as model:
        qualities = builtin.manifest.qualities
        assert qualities[model.subnet.id] == max(qualities.values())
        assert model.selection.quality == max(qualities.values())


@pytest.mark.parametrize(("latency_ms", "subnet"), [(40, BEST), (39, MIDDLE), (12, LEAST)])
def test_a_budget_buys_what_the_law_says(profile: DeviceProfile, latency_ms: float, subnet: str) -> None:
    with edgebert.load(latency_ms=latency_ms, profile=profile) as model:
        assert model.subnet.id == model.selection.subnetwork == subnet
        assert model.selection.budget.length == 128


def test_an_infeasible_budget_is_an_error_with_the_nearest_miss(profile: DeviceProfile) -> None:
    with pytest.raises(BudgetError, match="no sub-network meets 1 ms at p95 for 128 tokens here") as caught:
        edgebert.load(latency_ms=1, profile=profile)
    assert caught.value.nearest.subnetwork == LEAST


def test_a_name_is_taken_whatever_it_costs(profile: DeviceProfile) -> None:
    with edgebert.load(subnet=BEST, latency_ms=1, profile=profile) as model:
        assert model.subnet.id == BEST
        assert model("good")[0]["label"] == "positive"


def test_a_request_may_have_a_budget_of_its_own(profile: DeviceProfile, caplog: pytest.LogCaptureFixture) -> None:
    text = "fine " * 126  # 128 tokens
    with edgebert.load(profile=profile) as model, caplog.at_level(logging.INFO, "edgebert"):
        assert model.subnet.id == BEST
        model(text, latency_ms=12)
        assert f"loading {LEAST}" in caplog.text
        assert model.subnet.id == BEST
        caplog.clear()
        model(text, latency_ms=12)
        model("short", latency_ms=12)  # so short that the best network fits
        assert not caplog.records
        with pytest.raises(BudgetError, match="no sub-network meets 5 ms at p95 for 128 tokens"):
            model(text, latency_ms=5)


def test_a_list_shares_its_budget(profile: DeviceProfile) -> None:
    text = "fine " * 126
    with edgebert.load(profile=profile) as model:
        assert len(model([text] * 4, latency_ms=40)) == 4
        with pytest.raises(BudgetError, match=r"no sub-network meets 9.75 ms"):
            model([text] * 4, latency_ms=39)


def test_a_longer_input_than_was_budgeted_gets_a_smaller_network_or_an_error(
    slow_profile: DeviceProfile, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "edgebert"),
        edgebert.load(latency_ms=250, length=64, profile=slow_profile) as model,
    ):
        assert model.subnet.id == BEST
        model("fine " * 126)
        model._residents.wait()
        assert f"loading {MIDDLE}" in caplog.text
        model("fine " * 126)
        assert model.stats().subnetworks.keys() == {LEAST, MIDDLE}
    with edgebert.load(latency_ms=200, length=64, profile=slow_profile, adaptive=False) as fixed:
        assert fixed("fine " * 60)[0]["label"] == "positive"
        with pytest.raises(
            BudgetError, match=r"found 128 tokens for a budget of 64, but the choice is fixed; load with"
        ):
            fixed("fine " * 126)
        with pytest.raises(BudgetError, match="found a budget for one request, but the choice is fixed"):
            fixed("fine", latency_ms=100)


def test_what_is_loaded_counts_against_the_memory_budget(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(BEST, 40.0, 60.0), entry(MIDDLE, 20.0, 50.0), entry(LEAST, 10.0, 30.0))
    with edgebert.load(memory_mb=100, profile=profile) as model:
        model("fine " * 126, latency_ms=25)  # the middle one is fast enough, but 60 + 50 MB would not fit
        model._residents.wait()
        assert [subnet_id for subnet_id, _ in model._residents.loaded()] == [BEST, LEAST]
        assert model.stats().subnetworks.keys() == {LEAST}
    with edgebert.load(memory_mb=80, profile=profile) as model:
        model("fine " * 126, latency_ms=25)  # nothing fits beside the one that is loaded
        assert model.stats().subnetworks.keys() == {BEST}


def test_batches_answer_in_the_order_of_the_texts(builtin: Bundle) -> None:
    with edgebert.load(subnet=BEST) as one_by_one, edgebert.load(subnet=BEST, batch_size=3) as batched:
        expected, found = one_by_one(TEXTS), batched(TEXTS)
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
    np.testing.assert_allclose(
        [answer["score"] for answer in found], [answer["score"] for answer in expected], atol=0.05
    )


def test_pairs_are_answered(alter_manifest: Alter) -> None:
    with edgebert.load(alter_manifest(pairs=True)) as model:
        assert len(model(("a great film", "it is"))) == 1
        assert len(model([("a great film", "it is"), "dull"])) == 2


def test_nothing_asked_is_nothing_answered() -> None:
    with edgebert.load() as model:
        assert model([]) == []


@pytest.mark.parametrize("text", ["", " ", 5, None, ["good", ""], [5], {"text": "good"}, b"good"])
def test_what_is_no_text_is_refused(text: object) -> None:
    with edgebert.load() as model, pytest.raises(EdgeBertError, match=r"expected a text.*, found .*; (leave|pass)"):
        model(text)  # type: ignore[arg-type]


def test_threads_get_the_answers_that_one_gets(profile: DeviceProfile) -> None:
    texts = TEXTS * 10
    with edgebert.load(profile=profile) as model:
        expected = [model(text) for text in texts] + [model(text, latency_ms=1.3) for text in texts[:20]]
        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(model, texts), *pool.map(lambda text: model(text, latency_ms=1.3), texts[:20])]
    assert found == expected


def test_a_closed_predictor_says_so() -> None:
    model = edgebert.load()
    model.close()
    with pytest.raises(EdgeBertError, match="this Predictor is closed; load another"):
        model("good")


def test_a_profile_of_another_device_is_used_with_a_warning(
    profile: DeviceProfile, caplog: pytest.LogCaptureFixture
) -> None:
    other = msgspec.structs.replace(profile, device=msgspec.structs.replace(profile.device, cpu="Abacus"))
    edgebert.load(latency_ms=40, profile=other).close()
    assert "measured on another device (Abacus" in caplog.text


def test_a_profile_of_another_bundle_is_refused(profile: DeviceProfile, alter_manifest: Alter) -> None:
    with pytest.raises(ProfileError, match="the profile is of another bundle"):
        edgebert.load(alter_manifest(name="other"), latency_ms=40, profile=profile)


def test_threads_that_were_not_profiled_are_refused(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match="nothing measured on any provider with 99 threads"):
        edgebert.load(latency_ms=40, profile=profile, threads=99)
    with pytest.raises(EdgeBertError, match="expected 1 to 1024 threads, found 0"):
        edgebert.load(threads=0)


def test_a_bundle_without_qualities_is_loaded_with_its_largest_sub_network(
    builtin: Bundle, alter_manifest: Alter, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = tuple(msgspec.structs.replace(s, quality=None) for s in builtin.manifest.subnetworks)
    path = alter_manifest(subnetworks=unknown)
    with edgebert.load(path) as model:
        assert model.subnet.parameters == max(one.parameters for one in unknown)
        assert model.selection.quality is None
    assert "no sub-network of bundle 'movie-reviews-minilm-l6' has a known quality" in caplog.text


def test_labels_that_do_not_fit_the_graph_are_refused(alter_manifest: Alter) -> None:
    path = alter_manifest(labels=("a", "b", "c"))
    with (
        edgebert.load(path) as model,
        pytest.raises(BundleError, match="found 2 scores for 3 labels; export the bundle"),
    ):
        model("good")


def test_an_input_that_the_graph_cannot_take_is_one_error(alter_manifest: Alter) -> None:
    path = alter_manifest(max_length=600)  # the model has 512 positions
    with (
        edgebert.load(path) as model,
        pytest.raises(BundleError, match=r"ONNX Runtime cannot run the graph: .*; export"),
    ):
        model("fine " * 700)


def test_a_short_text_gets_a_larger_network_than_a_long_one(slow_profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=250, profile=slow_profile) as model:
        assert model.subnet.id == MIDDLE
        model("fine " * 126)
        assert model.stats().subnetworks.keys() == {MIDDLE}
        model("fine")  # has the best network loaded
        model._residents.wait()
        model("fine")
        assert model.stats().subnetworks.keys() == {MIDDLE, BEST}
        assert model.subnet.id == MIDDLE


def test_a_fixed_choice_stays_also_for_short_texts(slow_profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=250, profile=slow_profile, adaptive=False) as model:
        for text in ("fine", "fine " * 126, "fine"):
            model(text)
        assert model.stats().subnetworks.keys() == {MIDDLE}


def test_on_a_slow_device_the_choice_steps_down_and_up_again(
    slow_profile: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with edgebert.load(latency_ms=600, profile=slow_profile) as model:
        text, way = "fine " * 126, model.selection.way
        model(text)
        assert model._tally._last == BEST
        for _ in range(20):
            model._governor.observe(way, 10.0, 30.0)
        model(text)
        assert model._tally._last == LEAST
        monkeypatch.setattr(model._governor, "_clock", lambda: time.perf_counter() + 60)
        model(text)
        assert model._tally._last == BEST
        assert model.stats().switches == 2


def test_what_was_answered_is_counted(profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=1000, profile=profile) as model:
        assert model.stats().within_budget is None
        model(TEXTS)
        model("good")
        found = model.stats()
        assert (found.requests, found.within_budget, found.switches) == (2, 1.0, 0)
        assert found.subnetworks[BEST].texts == len(TEXTS) + 1
        assert found.subnetworks[BEST].ms > 0
        assert [name.split()[0] for name in found.loaded] == [BEST, LEAST]
        with pytest.raises(BudgetError):
            model("good", latency_ms=1e-6)
        assert model.stats().requests == 2


def test_a_budget_that_was_broken_is_counted(builtin: Bundle) -> None:
    too_fast_to_be_true = profile_of_costs(builtin, {BEST: 1e-3, LEAST: 1e-4})
    with edgebert.load(latency_ms=2e-3, profile=too_fast_to_be_true) as model:
        model("fine " * 126)
        assert model.stats().within_budget == 0


def test_answers_do_not_hold_up_the_event_loop(profile: DeviceProfile) -> None:
    async def ask(model: edgebert.Predictor) -> list[list[dict[str, object]]]:
        return await asyncio.gather(*(model.predict_async(text, latency_ms=1000) for text in TEXTS))

    with edgebert.load(profile=profile) as model:
        assert asyncio.run(ask(model)) == [model(text, latency_ms=1000) for text in TEXTS]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_to_load_its_own() -> None:
    code = """
import os, sys, edgebert
model = edgebert.load()
child = os.fork()
if child == 0:
    try:
        model("good")
    except edgebert.EdgeBertError as problem:
        print(problem, flush=True)
        os._exit(0)
    os._exit(1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), model("good")[0]["label"])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    message = "this Predictor was loaded before this process was forked; load another in it"
    assert done.stdout.splitlines() == [message, "0 positive"]


def test_a_network_that_cannot_be_loaded_later_is_left_aside(
    slow_profile: DeviceProfile, bundle_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with edgebert.load(bundle_path, latency_ms=250, profile=slow_profile) as model:
        (bundle_path / f"{BEST}.fused.onnx").write_bytes(b"no graph")
        model("fine")
        model._residents.wait()
        assert f"{BEST} (CPU, fused" in caplog.text
        assert "cannot be loaded and is not used" in caplog.text
        assert model("fine")[0]["label"] == "positive"
        assert model.stats().subnetworks.keys() == {MIDDLE}


def test_cold_or_warm_the_answers_are_the_same() -> None:
    with edgebert.load(warm_up=False) as cold, edgebert.load() as warm:
        assert cold(TEXTS) == warm(TEXTS)


def test_inputs_are_padded_to_the_lengths_that_a_provider_knows(builtin: Bundle) -> None:
    padded = msgspec.structs.replace(entry(BEST, 40.0), pad_to=(16, 64, 128))
    with (
        edgebert.load(latency_ms=100, profile=profile_with(builtin, padded)) as model,
        edgebert.load(subnet=BEST) as plain,
    ):
        assert [one["label"] for text in TEXTS for one in model(text)] == [one["label"] for one in plain(TEXTS)]
        with pytest.raises(BudgetError, match="no sub-network meets 10 ms at p95"):
            model("fine " * 20, latency_ms=10)  # 22 tokens cost what 64 do


def test_a_cascade_asks_a_second_network_where_the_first_is_not_sure(builtin: Bundle) -> None:
    profile = profile_of_costs(builtin, {BEST: 40.0, LEAST: 4.0})
    with edgebert.load(cascade=True, tolerance=0.005, profile=profile) as model, edgebert.load(subnet=BEST) as best:
        pair = model.cascade
        assert pair is not None
        assert (pair.first.entry.id, pair.second.entry.id) == (LEAST, BEST)
        assert pair.quality >= (model.selection.quality or 1) - 0.005
        sure, unsure = "a great film, warm and funny", "ok"
        assert model(sure)[0]["score"] >= pair.threshold
        assert model.stats().subnetworks.keys() == {LEAST}
        with edgebert.load(subnet=LEAST) as least:
            assert least(unsure)[0]["score"] < pair.threshold
        assert model(unsure) == best(unsure)
        assert model.stats().subnetworks.keys() == {LEAST, BEST}


def test_a_cascade_that_gains_nothing_is_not_used(builtin: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    profile = profile_of_costs(builtin, {BEST: 4.0, LEAST: 3.9})
    with edgebert.load(cascade=True, profile=profile) as model:
        assert model.cascade is None
        assert "there is no cascade" in caplog.text
        assert model("a great film")[0]["label"] == "positive"
        assert model.stats().subnetworks.keys() == {BEST}


def test_a_cascade_keeps_the_budget_of_both(builtin: Bundle) -> None:
    profile = profile_of_costs(builtin, {BEST: 40.0, LEAST: 4.0})
    with edgebert.load(cascade=True, tolerance=0.005, latency_ms=43, profile=profile) as model:
        assert model.cascade is None  # 44 ms
    with edgebert.load(cascade=True, tolerance=0.005, latency_ms=45, profile=profile) as model:
        assert model.cascade is not None
        model("fine " * 126, latency_ms=41)  # the first alone, or the second
        assert model.stats().requests == 1


def test_a_cascade_needs_answers_to_be_set_by(alter_manifest: Alter, builtin: Bundle) -> None:
    bundle = Bundle.load(alter_manifest(answers=None))
    profile = msgspec.structs.replace(profile_of_costs(builtin, {BEST: 40.0, LEAST: 4.0}), bundle_sha256=bundle.sha256)
    with pytest.raises(BundleError, match="holds no answers to set a cascade by; export it with --eval"):
        edgebert.load(bundle, cascade=True, profile=profile)
    with pytest.raises(EdgeBertError, match="expected a cascade or a fixed choice, found both"):
        edgebert.load(cascade=True, subnet=BEST)
