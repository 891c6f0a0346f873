import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebert import records
from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine.device import default_threads, this_device
from edgebert.measuring.device_profile import DeviceProfile, LeftOut
from edgebert.subnet import WayFilter
from profiles import PHONE, entry, in_a_browser, looked, profile_of_costs, profile_with, way

FULL, HALF = "w1.00-d1.00-int8-static", "w0.50-d0.50-int8-static"


@pytest.fixture
def profile(builtin: Bundle) -> DeviceProfile:
    return profile_of_costs(builtin, {FULL: 12.8, HALF: 6.4})


def medians(found: DeviceProfile) -> dict[str, float]:
    return {entry.id: entry.latency[-1].p50_ms for entry in found.subnetworks}


def test_a_calm_look_takes_the_place_of_restless_ones(builtin: Bundle) -> None:
    restless = looked(profile_with(builtin, entry(FULL, 99.0), entry(HALF, 50.0)), "others took 80 %")
    assert restless.is_doubtful
    calm = looked(profile_with(builtin, entry(FULL, 9.0), entry(HALF, 5.0)), None)
    assert restless.healed(calm) == calm
    assert not calm.is_doubtful


def test_of_two_restless_looks_the_faster_entries_count(builtin: Bundle) -> None:
    restless = looked(profile_with(builtin, entry(FULL, 99.0), entry(HALF, 6.0)), "others took 80 %")
    again = looked(profile_with(builtin, entry(FULL, 20.0), entry(HALF, 7.0)), "others took 20 %")
    for one, other in ((restless, again), (again, restless)):
        healed = one.healed(other)
        assert medians(healed) == {FULL: 20.0, HALF: 6.0}
        assert healed.is_doubtful
        assert healed.created_at == other.created_at


def test_what_a_calm_look_did_not_try_stays_doubtful(builtin: Bundle) -> None:
    options = msgspec.structs.replace(way(), options=(("shapes", "1x128"),))
    restless = looked(
        profile_with(builtin, entry(FULL, 99.0), entry(FULL, 70.0, run=way(2)), entry(FULL, 80.0, run=options)), "hot"
    )
    calm = looked(profile_with(builtin, entry(FULL, 9.0, run=way())), None)
    healed = restless.healed(calm)
    assert {one.way for one in healed.subnetworks} == {way(), way(2)}
    assert healed.is_doubtful


def test_a_whole_profile_is_never_doubtful(builtin: Bundle) -> None:
    whole = profile_with(builtin, entry(FULL, 9.0))
    restless = msgspec.structs.replace(whole, stability=msgspec.structs.replace(whole.stability, warning="hot"))
    assert not restless.is_doubtful


def test_what_is_saved_is_loaded(profile: DeviceProfile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == profile


def test_a_damaged_profile_names_the_place(profile: DeviceProfile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    content = (tmp_path / "p.json").read_text().replace('"p50_ms": 12.8', '"p50_ms": "fast"')
    (tmp_path / "p.json").write_text(content)
    where = r"p.json: Expected float, got str at \$.subnetworks\[0\].latency\[2\].p50_ms"
    with pytest.raises(ProfileError, match=where):
        DeviceProfile.load(tmp_path / "p.json")


def test_an_unwritable_place_is_named(profile: DeviceProfile, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot write .*none.p.json: No such file or directory"):
        profile.save(tmp_path / "none" / "p.json")


def test_costs_of_any_shape_are_predicted(profile: DeviceProfile) -> None:
    assert profile.predict_ms(FULL, length=128) == pytest.approx(12.8)
    assert profile.predict_ms(HALF, length=32, percentile=95) == pytest.approx(1.6)


def test_beyond_the_measured_shapes_costs_are_extrapolated(profile: DeviceProfile) -> None:
    assert profile.predict_ms(FULL, length=256) == pytest.approx(25.6)
    assert profile.predict_ms(FULL, length=64, batch_size=4) == pytest.approx(25.6)


def test_of_several_ways_the_fastest_is_expected(builtin: Bundle) -> None:
    slow = entry(FULL, 12.8, run=way(default_threads() + 1))
    assert profile_with(builtin, slow, entry(FULL, 6.4)).predict_ms(FULL, length=128) == pytest.approx(6.4)


def test_entries_are_added_to_a_profile_or_take_the_place_of_older_ones(builtin: Bundle) -> None:
    earlier = profile_with(builtin, entry(FULL, 12.8), entry(HALF, 6.4))
    merged = earlier.merged(profile_with(builtin, entry(HALF, 7.0), entry("w0.25-d0.50-int8-static", 1.0)))
    assert {one.id: one.latency[-1].p50_ms for one in merged.subnetworks} == {
        FULL: 12.8,
        HALF: 7.0,
        "w0.25-d0.50-int8-static": 1.0,
    }


def with_stability(profile: DeviceProfile, **values: Any) -> DeviceProfile:
    return msgspec.structs.replace(profile, stability=msgspec.structs.replace(profile.stability, **values))


def test_a_profile_that_is_added_to_again_and_again_does_not_grow(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(FULL, 12.8), entry(HALF, 6.4))
    newer = with_stability(profile_with(builtin, entry(HALF, 7.0)), unsettled=(str(entry(HALF, 7.0)),))
    sizes = set()
    for _ in range(100):
        profile = profile.merged(newer)
        sizes.add(len(records.encode(profile)))
    assert max(sizes) < 2 * len(records.encode(newer)) + 20 * 200
    assert len(profile.stability.readings) == 20
    assert profile.stability.unsettled == newer.stability.unsettled


def test_how_far_entries_are_to_be_trusted_is_forgotten_with_them(builtin: Bundle) -> None:
    half = profile_with(builtin, entry(HALF, 7.0))
    earlier = with_stability(
        profile_with(builtin, entry(FULL, 12.8), entry(HALF, 6.4)),
        unsettled=(str(entry(HALF, 6.4)),),
        warning="others took 80 %",
    )
    merged = earlier.merged(half).stability
    assert (merged.unsettled, merged.warning) == ((), "others took 80 %")
    everything = profile_with(builtin, entry(FULL, 12.0), entry(HALF, 6.0))
    assert earlier.merged(everything).stability == everything.stability


def test_a_quick_profile_adds_what_another_lacks_and_nothing_else(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(FULL, 12.8))
    assert profile.completed(profile_with(builtin, entry(FULL, 99.0))) == profile
    both = profile.completed(profile_with(builtin, entry(FULL, 99.0), entry(HALF, 6.4)))
    assert [(one.id, one.latency[-1].p50_ms) for one in both.subnetworks] == [(FULL, 12.8), (HALF, 6.4)]
    # What could not be measured is known from then on too, so that it is not tried at every start.
    left_out = (LeftOut(HALF, way(2), "died"),)
    again = msgspec.structs.replace(profile_with(builtin, entry(FULL, 99.0)), left_out=left_out)
    assert profile.completed(again) == msgspec.structs.replace(profile, left_out=left_out)
    assert profile.completed(again).completed(again) == profile.completed(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bundle_sha256": "0" * 64}, "it is of another bundle"),
        ({"engine_versions": {"cpu": "ONNX Runtime 2.0"}}, "it was measured with ONNX Runtime 2.0"),
        ({"device": msgspec.structs.replace(this_device(), cpu="other")}, "it was measured on another device"),
        ({"settings": {"lengths": (8,)}}, r"it holds other shapes \(--lengths 8 --batch-sizes 1\)"),
        ({"settings": {"requests_per_s": 20.0}}, "another pace"),
    ],
)
def test_what_cannot_stand_in_one_profile_is_not_merged(
    profile: DeviceProfile, change: dict[str, Any], message: str
) -> None:
    if "settings" in change:
        change = {"settings": msgspec.structs.replace(profile.settings, **change["settings"])}
    other = msgspec.structs.replace(profile, **change)
    with pytest.raises(ProfileError, match=f"nothing can be added to the profile: .*{message}"):
        other.merged(profile)


def test_a_profile_knows_which_ways_it_holds(builtin: Bundle) -> None:
    threads = default_threads()
    profile = profile_with(builtin, entry(FULL, 1.0), entry(HALF, 1.0))
    assert profile.holds(WayFilter())
    assert profile.holds(WayFilter(("cpu",), threads))
    assert not profile.holds(WayFilter(("cpu",), threads + 1))
    died = LeftOut(id=HALF, way=way(threads), reason="its process ended")
    one_died = msgspec.structs.replace(profile_with(builtin, entry(FULL, 1.0)), left_out=(died,))
    assert one_died.holds(WayFilter(("cpu",), threads))


def test_an_unknown_sub_network_lists_the_known(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match=rf"no sub-network 'w9' in this profile; choose one of {HALF}, {FULL}"):
        profile.predict_ms("w9", length=16)


@pytest.mark.parametrize("percentile", [0, -1, 99.5, 100])
def test_a_percentile_that_is_not_held_is_refused(profile: DeviceProfile, percentile: float) -> None:
    with pytest.raises(ProfileError, match="expected a percentile above 0 and at most 99"):
        profile.predict_ms(FULL, length=16, percentile=percentile)


def test_entries_can_be_narrowed_to_an_engine_and_threads(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(FULL, 1.0))
    assert profile.narrowed(WayFilter()) == profile.narrowed(WayFilter(("cpu",), default_threads())) == profile
    with pytest.raises(ProfileError, match="nothing measured on any engine with 99 threads; profile again"):
        profile.narrowed(WayFilter(threads=99))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"p95_ms": 12.8', '"p95_ms": -5.0', r"Expected float > 0.0 at \$.subnetworks\[0\].latency\[2\].p95_ms"),
        ('"peak_memory_mb": 30.0', '"peak_memory_mb": -1.0', r"Expected float >= 0.0 at .*peak_memory_mb"),
        (f'"threads": {default_threads()}', '"threads": 1000000', r"Expected int <= 1024 at .*threads"),
    ],
)
def test_numbers_that_cannot_have_been_measured_are_refused(
    profile: DeviceProfile, tmp_path: Path, old: str, new: str, message: str
) -> None:
    profile.save(tmp_path / "p.json")
    content = (tmp_path / "p.json").read_text()
    assert old in content
    (tmp_path / "p.json").write_text(content.replace(old, new))
    with pytest.raises(ProfileError, match=message):
        DeviceProfile.load(tmp_path / "p.json")


def altered(profile: DeviceProfile, change: Callable[[Any], object]) -> bytes:
    """Return a profile as JSON with something changed in it."""
    content = json.loads(records.encode(profile))
    change(content)
    return json.dumps(content).encode()


def entry_of(content: Any) -> Any:
    return content["subnetworks"][0]


def fix(content: Any, *, lengths: tuple[int, ...] = (16, 64, 128), batch_size: int = 1) -> None:
    """Have an entry be of networks of fixed shapes."""
    content["engine_versions"]["openvino"] = "OpenVINO 1"
    options = FixedShapes(lengths, (batch_size,)).options
    entry_of(content)["way"].update(engine="openvino", flavor="portable", options=options)
    entry_of(content).update(pad_to=[16, 64, 128])


CONTRADICTIONS: dict[str, tuple[Callable[[Any], object], str]] = {
    "an entry twice": (
        lambda c: c["subnetworks"].append(entry_of(c)),
        r"expected each sub-network in each way once, found .* again at \$.subnetworks\[2\]",
    ),
    "measured and left out": (
        lambda c: c["left_out"].append({"id": FULL, "way": entry_of(c)["way"], "reason": "slow"}),
        r"once, found .* again at \$.left_out\[0\]",
    ),
    "p95 below p50": (
        lambda c: entry_of(c)["latency"][0].update(p95_ms=0.1),
        r"in ascending order, found 1.6, 1.6, 0.1, 1.6 at \$.subnetworks\[0\].latency\[0\]",
    ),
    "p50 out of its interval": (
        lambda c: entry_of(c)["latency"][1].update(p50_ci95_ms=[1, 2]),
        r"expected p50_ms within its interval, .* at \$.subnetworks\[0\].latency\[1\]",
    ),
    "a missing cell": (
        lambda c: entry_of(c)["latency"].pop(1),
        r"expected the latencies of 1 x 16, 1 x 64, 1 x 128, found those of 1 x 16, 1 x 128 at .*\[0\].latency",
    ),
    "a cell twice": (
        lambda c: entry_of(c)["latency"].append(entry_of(c)["latency"][0]),
        r"found those of 1 x 16, 1 x 64, 1 x 128, 1 x 16 at \$.subnetworks\[0\].latency",
    ),
    "short samples": (
        lambda c: entry_of(c)["latency"][2].update(runs=19),
        r"expected at least 20 runs, found 19 at \$.subnetworks\[0\].latency\[2\].runs",
    ),
    "more threads than there can be": (
        lambda c: (c["device"].update(usable_cores=2), entry_of(c)["way"].update(threads=1024)),
        r"expected at most 16 threads on 2 cores, found 1024 at \$.subnetworks\[0\].way",
    ),
    "an unknown engine": (
        lambda c: entry_of(c)["way"].update(engine="abacus"),
        r"expected a way of cpu, fused or portable; .*, found abacus on cpu, .* at \$.subnetworks\[0\].way",
    ),
    "an option of no engine": (
        lambda c: entry_of(c)["way"].update(options=[["session.save_model_path", "/etc/x"]]),
        r"expected a way of .* at \$.subnetworks\[0\].way",
    ),
    "an engine without a version": (lambda c: c["engine_versions"].clear(), r"\$.subnetworks\[0\].way.engine"),
    "padding to what was not met": (lambda c: entry_of(c).update(pad_to=[17]), r"\$.subnetworks\[0\].pad_to"),
    "networks of fixed shapes, and no padding": (
        lambda c: (fix(c), entry_of(c).update(pad_to=[])),
        r"padded to \[16, 64, 128\], found \[\] and a way of \[16, 64, 128\] at \$.subnetworks\[0\].pad_to",
    ),
    "networks of other shapes": (
        lambda c: fix(c, lengths=(16, 128)),
        r"found \[16, 64, 128\] and a way of \[16, 128\] at \$.subnetworks\[0\].pad_to",
    ),
    "networks of other batches": (
        lambda c: fix(c, batch_size=2),
        r"a way of the batch sizes \[1\], found \[2\] at \$.subnetworks\[0\].way.options",
    ),
    "unsorted lengths": (lambda c: c["settings"].update(lengths=[64, 16, 128]), r"ascending order, .* at \$.settings"),
    "no readings": (lambda c: c["stability"].update(readings=[]), r"length >= 1 at \$.stability.readings"),
    "less memory at the peak": (
        lambda c: entry_of(c).update(peak_memory_mb=1),
        r"memory_mb in .* at \$.subnetworks\[0\]",
    ),
    "memory that is known in part": (
        lambda c: entry_of(c).update(steady_memory_mb=None),
        r"or null for all three, found 15, null, 30 at \$.subnetworks\[0\]",
    ),
    "fewer runs than a sample has": (
        lambda c: entry_of(c)["latency"][0].update(runs_per_sample=101),
        r"at least the 101 runs of one sample, found 100 at \$.subnetworks\[0\].latency\[0\]",
    ),
    "no runtime": (lambda c: c["device"].pop("runtime"), r"required field runtime at \$.device"),
    "an unknown runtime": (lambda c: c["device"].update(runtime="abacus"), r"'abacus' at \$.device.runtime"),
    "an engine of another runtime": (
        lambda c: c["engine_versions"].update(wasm="onnxruntime-web 1"),
        r"expected engines of edgebert in Python \(cpu, .*\), found wasm at \$.engine_versions",
    ),
    "a way of another runtime": (
        lambda c: entry_of(c)["way"].update(engine="wasm", device="CPU"),
        r"expected a way of cpu, .*, found wasm on CPU, .* at \$.subnetworks\[0\].way",
    ),
    "no hash": (lambda c: c.update(bundle_sha256="ABC"), r"Expected 64 hexadecimal digits .* at \$.bundle_sha256"),
    "no time": (lambda c: c.update(created_at="2026-13-01"), r"expected a time with its zone, .* at \$.created_at"),
    "a time without a zone": (lambda c: c.update(created_at="2026-01-01T00:00:00"), r"zone, .* at \$.created_at"),
    "a time to come": (lambda c: c.update(created_at="2999-01-01T00:00:00+00:00"), r"clock has .* at \$.created_at"),
    "a cursor that moves": (lambda c: c["device"].update(cpu="a\x1b[2J"), r"control characters at \$.device.cpu"),
}


@pytest.mark.parametrize(("change", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_profile_that_contradicts_itself_is_refused_with_the_path(
    profile: DeviceProfile, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    (tmp_path / "p.json").write_bytes(altered(profile, change))
    with pytest.raises(ProfileError, match=rf"p.json: .*{message}; make it again or restore it"):
        DeviceProfile.load(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"bundle_sha256": "0" * 64},
            r"p.json is of another bundle \(expected bundle .*, found 0+\); profile this one",
        ),
        (
            {"subnetworks": (entry("w9", 1.0),)},
            r"p.json: expected a graph of .*, found w9, fused at \$.subnetworks\[0\]",
        ),
        (
            {"settings": {"lengths": (16, 64, 512)}},
            r"p.json: expected at most 128 tokens, found 512 at \$.settings.len",
        ),
    ],
)
def test_a_profile_that_does_not_fit_a_bundle_is_refused(
    profile: DeviceProfile, builtin: Bundle, change: dict[str, Any], message: str
) -> None:
    profile.check_fits(builtin)
    if "settings" in change:
        change = {"settings": msgspec.structs.replace(profile.settings, **change["settings"])}
    with pytest.raises(ProfileError, match=message):
        msgspec.structs.replace(profile, **change).check_fits(builtin, "p.json")


def test_a_profile_without_a_network_for_the_longest_input_does_not_fit(
    profile: DeviceProfile, builtin: Bundle
) -> None:
    fixed = records.decode(altered(profile, fix), DeviceProfile, "p.json", ProfileError)
    fixed.check_fits(builtin)
    shorter = msgspec.structs.replace(fixed.subnetworks[0].way, options=FixedShapes((16, 64), (1,)).options)
    entries = (msgspec.structs.replace(fixed.subnetworks[0], way=shorter), *fixed.subnetworks[1:])
    with pytest.raises(ProfileError, match="expected a network for inputs of 128 tokens, found one for 64 at most at"):
        msgspec.structs.replace(fixed, subnetworks=entries).check_fits(builtin)


def test_of_entries_measured_in_two_ways_the_settings_promise_the_lesser(profile: DeviceProfile) -> None:
    quick = msgspec.structs.replace(profile.settings, min_rounds=1, min_runs=10, interval_share=0.5)
    other = msgspec.structs.replace(profile, settings=quick, subnetworks=profile.subnetworks[:1])
    assert profile.merged(other).settings == quick
    assert other.merged(profile).settings == profile.settings  # all was measured again


IN_A_BROWSER: dict[str, tuple[Callable[[Any], object], str]] = {
    "an engine of Python": (
        lambda c: c["engine_versions"].update(cpu="ONNX Runtime 1"),
        r"engines of edgebert in JavaScript \(wasm, webgpu, node\), found cpu at \$.engine_versions",
    ),
    "a way of Python": (
        lambda c: entry_of(c)["way"].update(engine="cpu", device="cpu"),
        r"expected a way of wasm on CPU, fused or portable; .*, found cpu, fused, 1 thread at \$.subnetworks\[0\].way",
    ),
    "another device": (
        lambda c: entry_of(c)["way"].update(device="GPU"),
        r"wasm on GPU, .* at \$.subnetworks\[0\].way",
    ),
    "a fused graph on a GPU": (
        lambda c: entry_of(c)["way"].update(engine="webgpu", device="GPU"),
        r"webgpu on GPU, portable; .*, found webgpu on GPU, fused, .* at \$.subnetworks\[0\].way",
    ),
    "options": (lambda c: entry_of(c)["way"].update(options=[["a", "b"]]), r"a=b at \$.subnetworks\[0\].way"),
    "more threads than there can be": (
        lambda c: entry_of(c)["way"].update(threads=65),
        r"expected at most 64 threads on 8 cores, found 65 at \$.subnetworks\[0\].way",
    ),
    "no step of the clock": (lambda c: c["device"].update(timer_step_ms=0), r"float > 0.0 at \$.device.timer_step_ms"),
    "a key of the other device": (lambda c: c["device"].update(cpu="ARM"), r"unknown field cpu at \$.device"),
    "half a fingerprint": (lambda c: c["device"].update(fingerprint="01" * 16), r"64 hex.* at \$.device.fingerprint"),
}


@pytest.mark.parametrize(("change", "message"), IN_A_BROWSER.values(), ids=IN_A_BROWSER)
def test_a_browsers_profile_that_contradicts_itself_is_refused_with_the_path(
    profile: DeviceProfile, change: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ProfileError, match=rf"p.json: .*{message}; make it again or restore it"):
        records.decode(altered(in_a_browser(profile), change), DeviceProfile, "p.json", ProfileError)


def test_a_browsers_profile_is_read_as_it_was_written(profile: DeviceProfile, tmp_path: Path) -> None:
    found = in_a_browser(profile)
    found.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == found
    assert json.loads((tmp_path / "p.json").read_bytes())["device"]["runtime"] == "javascript"
    # Cores that a browser does not tell limit nothing.
    shy = msgspec.structs.replace(found, device=msgspec.structs.replace(PHONE, cores=None))
    many = altered(shy, lambda c: entry_of(c)["way"].update(threads=1000))
    assert records.decode(many, DeviceProfile, "p.json", ProfileError).device == shy.device


def test_what_another_runtime_measured_is_not_chosen_from_and_not_merged(
    profile: DeviceProfile, builtin: Bundle
) -> None:
    other = in_a_browser(profile)
    other.check_fits(builtin)
    profile.check_runtime()
    found = "p.json: expected a profile measured by edgebert in Python, found one of Chrome 156 on Android, Pixel 8"
    with pytest.raises(ProfileError, match=f"{found}, measured by edgebert in JavaScript; measure here with `edgebert"):
        other.check_runtime("p.json")
    message = "nothing can be added to the profile: it was measured by edgebert in {} "
    with pytest.raises(ProfileError, match=message.format("JavaScript")):
        other.merged(profile)
    with pytest.raises(ProfileError, match=message.format("Python")):
        profile.merged(other)


def test_browsers_profiles_of_one_device_are_merged(profile: DeviceProfile, builtin: Bundle) -> None:
    newer = in_a_browser(profile_with(builtin, entry(HALF, 7.0)))
    merged = in_a_browser(profile).merged(newer)
    assert [(one.id, one.latency[-1].p50_ms, one.memory_bound_mb) for one in merged.subnetworks] == [
        (FULL, 12.8, float("inf")),
        (HALF, 7.0, float("inf")),
    ]
    assert merged.stability.others_share is None
    half_known = with_stability(newer, others_share=0.05)
    assert in_a_browser(profile).merged(half_known).stability.others_share == 0.05
