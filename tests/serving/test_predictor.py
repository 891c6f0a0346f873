import asyncio
import pickle
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

import edgebert
from edgebert.engines.session import default_way, open_session
from edgebert.errors import BudgetError, BundleError, EdgeBertError, ExportError, ProfileError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.machine.device import default_threads
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.serving.parameters import length_of
from edgebert.staging import FolderKind, staged
from profiles import BEST, LEAST, MIDDLE, entry, profile_of_costs, profile_with

Alter = Callable[..., Path]

NAME = "movie-reviews-minilm-l6"
TEXTS = ["a great film", "dull", "it is long, but every minute of it is a pleasure", "a mess"]


@pytest.fixture
def profile(builtin: Bundle) -> DeviceProfile:
    """A made-up profile in which 128 tokens cost 40, 20 and 10 ms."""
    return profile_of_costs(builtin, {BEST: 40.0, MIDDLE: 20.0, LEAST: 10.0})


@pytest.fixture
def slow_profile(builtin: Bundle) -> DeviceProfile:
    """Ten times as slow, so that no delay of a busy machine matters."""
    return profile_of_costs(builtin, {BEST: 400.0, MIDDLE: 200.0, LEAST: 100.0})


def wait_until(is_done: Callable[[], bool]) -> None:
    """Wait for what happens in the background, however busy the machine is."""
    patience_s = time.monotonic() + 120
    while not is_done():
        assert time.monotonic() < patience_s
        time.sleep(0.01)


def test_a_text_is_answered_like_a_pipeline_does() -> None:
    with edgebert.load() as model:
        (answer,) = model("a great film")
        assert answer["label"] == "positive"
        assert 0.9 < answer["score"] <= 1.0
        assert model(["a great film"]) == [answer]
        assert [one["label"] for one in model(["a great film", "dull"])] == ["positive", "negative"]


def test_all_labels_are_given_if_asked_for() -> None:
    with edgebert.load() as model:
        (best,) = model("a great film")
        first, second = model("a great film", top_k=None)
        assert first == best
        assert second == {"label": "negative", "score": pytest.approx(1 - best["score"], abs=1e-6)}
        assert model("a great film", top_k=1) == [best]
        assert model(["a great film"], top_k=2) == [[first, second]]
        assert model({"text": "a great film"}) == best
        assert asyncio.run(model.predict_async(iter(["a great film"]), top_k=1)) == [[best]]


def test_a_predictor_says_what_it_is(profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=20, profile=profile, threads=default_threads()) as model:
        way = f"cpu, fused, {default_threads()} thread" + "s" * (default_threads() > 1)
        assert repr(model) == f"Predictor('{NAME}', {MIDDLE} ({way}), 20 ms at p95 for 128 tokens)"
    with edgebert.load(subnet=BEST) as model:
        assert repr(model).endswith(", no limit)")


def test_a_budget_and_a_sub_network_may_be_given_as_values(builtin: Bundle, profile: DeviceProfile) -> None:
    with edgebert.load(budget=edgebert.Budget(latency_ms=20), profile=profile) as model:
        assert (model.subnet.id, model.selection.budget.length) == (MIDDLE, 128)
    with edgebert.load(subnet=builtin.subnet(LEAST)) as model:
        assert model.subnet.id == LEAST
    with pytest.raises(EdgeBertError, match="expected a budget or its parts, found both; put latency_ms into the Bud"):
        edgebert.load(budget=edgebert.Budget(), latency_ms=20)


def test_known_texts_have_the_budget_to_themselves(builtin: Bundle, slow_profile: DeviceProfile) -> None:
    with pytest.raises(BudgetError, match="no sub-network meets 90 ms at p95 for 128 tokens"):
        edgebert.load(latency_ms=90, profile=slow_profile)
    with edgebert.load(latency_ms=90, length=length_of(builtin, "a great film"), profile=slow_profile) as model:
        assert model.subnet.id == BEST


def test_a_task_without_a_cascade_says_so(alter_manifest: Alter, builtin: Bundle) -> None:
    bundle = Bundle.load(alter_manifest(task="text-regression", labels=("score",), answers=None))
    with pytest.raises(BundleError, match=r"bundle .* has no cascade: answers of text-regression do not say how sure"):
        edgebert.load(bundle, cascade=True)


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


def test_a_list_shares_its_budget(profile: DeviceProfile) -> None:
    text = "fine " * 126
    with edgebert.load(profile=profile) as model:
        assert len(model([text] * 4, latency_ms=40)) == 4
        with pytest.raises(BudgetError, match=r"no sub-network meets 9.75 ms"):
            model([text] * 4, latency_ms=39)


def test_a_fixed_choice_refuses_what_it_was_not_made_for(slow_profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=200, length=64, profile=slow_profile, adaptive=False) as fixed:
        assert fixed("fine " * 60)[0]["label"] == "positive"
        with pytest.raises(
            BudgetError, match="found 128 tokens for a budget of 64, but the choice is fixed; load with"
        ):
            fixed("fine " * 126)
        with pytest.raises(BudgetError, match="found a budget for one request, but the choice is fixed"):
            fixed("fine", latency_ms=100)


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


@pytest.mark.parametrize("text", ["", " ", 5, None, ["good", ""], [5], {"sentence": "good"}, b"good", [["a", "b"]]])
def test_what_is_no_text_is_refused(text: object) -> None:
    with edgebert.load() as model, pytest.raises(EdgeBertError, match=r"expected a text.*, found .*; (leave|pass)"):
        model(text)


def test_threads_get_the_answers_that_one_gets(profile: DeviceProfile) -> None:
    texts = TEXTS * 10
    with edgebert.load(profile=profile) as model:
        expected = [model(text) for text in texts] + [model(text, latency_ms=1e6) for text in texts[:20]]
        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(model, texts), *pool.map(lambda text: model(text, latency_ms=1e6), texts[:20])]
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
    with pytest.raises(ProfileError, match="nothing measured on any engine with 99 threads"):
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
    with pytest.raises(
        BundleError,
        match=r"\(1 batch, 3 labels\), found float32 of shape \(1, 2\); export the bundle",
    ):
        edgebert.load(path)


def test_an_input_that_the_graph_cannot_take_is_one_error(alter_manifest: Alter) -> None:
    path = alter_manifest(max_length=600)  # the model has 512 positions
    with (
        edgebert.load(path) as model,
        pytest.raises(BundleError, match=r"ONNX Runtime cannot run the graph: .*; export"),
    ):
        model("fine " * 700)


def test_a_fixed_choice_stays_also_for_short_texts(slow_profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=250, profile=slow_profile, adaptive=False) as model:
        for text in ("fine", "fine " * 126, "fine"):
            model(text)
        assert model.stats().subnetworks.keys() == {MIDDLE}


def test_what_was_answered_is_counted(profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=1e6, profile=profile) as model:
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


def test_answers_do_not_hold_up_the_event_loop(profile: DeviceProfile) -> None:
    async def ask(model: edgebert.Predictor) -> list[list[dict[str, object]]]:
        return await asyncio.gather(*(model.predict_async(text, latency_ms=1e6) for text in TEXTS))

    with edgebert.load(profile=profile) as model:
        assert asyncio.run(ask(model)) == [model(text, latency_ms=1e6) for text in TEXTS]


def test_a_predictor_is_not_sent_to_another_process() -> None:
    with (
        edgebert.load() as model,
        pytest.raises(EdgeBertError, match="cannot be copied or sent to another proc"),
    ):
        pickle.dumps(model)


def test_a_signal_handler_may_ask_for_the_counts(profile: DeviceProfile) -> None:
    with edgebert.load(latency_ms=1e6, profile=profile) as model, model._turn:
        assert model.stats().requests == 0


def test_a_network_that_cannot_be_loaded_later_is_left_aside(
    slow_profile: DeviceProfile, bundle_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with edgebert.load(bundle_path, latency_ms=250, profile=slow_profile) as model:
        (bundle_path / f"{BEST}.fused.onnx").write_bytes(b"no graph")
        model("fine")
        wait_until(lambda: "cannot be loaded and is not used" in caplog.text)
        assert f"{BEST} (cpu, fused" in caplog.text
        assert model("fine")[0]["label"] == "positive"
        assert BEST not in model.stats().subnetworks


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


def replace(place: Path, bundle: Path) -> None:
    """Put a bundle where another one is, as the exporter does."""
    with staged(place, FolderKind("bundle", "bundle.json", ExportError)) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.fixture
def replaced_path(tmp_path: Path) -> Path:
    """Another copy of the built-in bundle, alone in its folder."""
    return Path(shutil.copytree(BUILTIN, tmp_path / "place" / "bundle"))


def test_a_predictor_goes_on_with_what_it_has_loaded_of_a_bundle_that_was_replaced(
    replaced_path: Path, alter_graph: Alter, slow_profile: DeviceProfile, caplog: pytest.LogCaptureFixture
) -> None:
    replaced = f"the bundle at {replaced_path} was replaced since it was loaded; load it again"
    with (
        edgebert.load(replaced_path, latency_ms=250, profile=slow_profile) as governed,
        edgebert.load(replaced_path, subnet=LEAST, profile=slow_profile) as fixed,
    ):
        before = fixed(TEXTS)
        # The graph of the best network is another one, and so is the bundle.
        other = alter_graph(b"edgebert", b"edgeberz", BEST)
        replace(replaced_path, other)

        assert fixed(TEXTS) == before
        assert governed("fine")[0]["label"] == "positive"
        wait_until(lambda: f"cannot be loaded and is not used: {replaced}" in caplog.text)
        assert governed("fine")[0]["label"] == "positive"
        assert BEST not in governed.stats().subnetworks
        with pytest.raises(BundleError, match=f"^{re.escape(replaced)}$"):
            open_session(fixed.bundle, fixed.bundle.subnet(BEST), default_way())
    with edgebert.load(replaced_path, subnet=BEST) as anew:
        assert anew("fine")[0]["label"] == "positive"


def test_a_budget_for_one_request_is_served_by_what_was_loaded_before_the_bundle_was_replaced(
    replaced_path: Path, alter_graph: Alter, builtin: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    # The fastest network is asked for with the first request that has a budget of its own.
    fastest_is_best = profile_of_costs(builtin, {BEST: 100.0, LEAST: 200.0})
    with edgebert.load(replaced_path, subnet=LEAST, profile=fastest_is_best) as model:
        replace(replaced_path, alter_graph(b"edgebert", b"edgeberz", BEST))
        assert model("fine", latency_ms=1e6)[0]["label"] == "positive"
        assert "requests are answered without the fastest network: the bundle at" in caplog.text
        assert list(model.stats().subnetworks) == [LEAST]


def test_a_bundle_that_was_exported_again_with_the_same_graphs_gives_more_networks(
    replaced_path: Path, alter_manifest: Alter, slow_profile: DeviceProfile
) -> None:
    with edgebert.load(replaced_path, latency_ms=250, profile=slow_profile) as model:
        replace(replaced_path, alter_manifest(name="other"))
        wait_until(lambda: bool(model("fine")) and BEST in model.stats().subnetworks)
