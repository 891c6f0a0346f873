import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from fake_trials import READING, TWO

import edgebert
from edgebert.errors import ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.machine.canary import Reading
from edgebert.measuring import profile_cache
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.profiler import Profiling
from edgebert.measuring.ways import Combination
from edgebert.serving.background_profile import BackgroundProfile
from profiles import entry, looked, profile_with, way

SMALL, LARGE = TWO
SOON_S = 60.0  # of a machine that may be busy


@pytest.fixture
def restless(builtin: Bundle) -> DeviceProfile:
    return looked(profile_with(builtin, entry(LARGE, 9.0)), "busy")


def test_it_asks_until_the_profile_is_no_longer_doubtful(restless: DeviceProfile, builtin: Bundle) -> None:
    calm = looked(profile_with(builtin, entry(LARGE, 5.0)), None)
    answers, used = [restless, restless, calm], []
    background = BackgroundProfile(lambda: answers.pop(0), used.append, every_s=0.001)
    assert background.wait(SOON_S)
    assert (answers, used) == ([], [calm])


def test_it_ends_when_it_is_closed(restless: DeviceProfile) -> None:
    background = BackgroundProfile(lambda: restless, lambda found: None, every_s=0.001)
    assert not background.wait(0.05)
    background.close()
    assert background.wait(SOON_S)


def test_where_nothing_can_be_measured_it_says_so_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> DeviceProfile:
        raise ProfileError("no sub-network could be measured here; see the warnings above")

    with caplog.at_level(logging.WARNING):
        assert BackgroundProfile(fail, lambda found: None, every_s=0.001).wait(SOON_S)
    assert "the doubtful profile stays in use: no sub-network could be measured here" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="threads have no priorities of their own here")
def test_what_it_does_yields_to_the_app(restless: DeviceProfile) -> None:
    found: list[int] = []

    def ask() -> DeviceProfile:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return msgspec.structs.replace(restless, stability=msgspec.structs.replace(restless.stability, warning=None))

    def use(calm: DeviceProfile) -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert BackgroundProfile(ask, use, every_s=0.001).wait(SOON_S)
    assert found == [19, before], "what is loaded for it keeps the app's priority"
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_loaded_model_uses_the_profile_of_the_calm_device(
    builtin: Bundle, alter_manifest: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("edgebert.serving.background_profile._EVERY_S", 0.01)
    state = [msgspec.structs.replace(READING, others_share=0.5)]

    @contextlib.contextmanager
    def watching(threads: int, *, beside_app: bool = False) -> Iterator[list[Reading]]:
        yield [state[0]]

    def measured(_: Profiling, pairs: Sequence[Combination], *, keep_engines: bool) -> DeviceProfile:
        return looked(profile_with(bundle, *(entry(one.subnet.id, 90.0, run=one.way) for one in pairs)), None)

    monkeypatch.setattr("edgebert.measuring.profiler.canary.watching", watching)
    monkeypatch.setattr("edgebert.measuring.profiler.Profiling.run", measured)
    bundle = Bundle.load(alter_manifest(subnetworks=tuple(builtin.subnet(one) for one in TWO)))
    slow = (entry(SMALL, 400.0, run=way()), entry(LARGE, 9900.0, run=way()))
    profile_cache.keep(looked(profile_with(bundle, *slow), "busy"), bundle, quick=True)

    with edgebert.load(bundle, latency_ms=500.0, threads=1, profile_in_background=True) as model:
        assert model.subnet.id == SMALL
        model("a great film")
        assert {*model.stats().subnetworks} == {SMALL}
        state[0] = READING
        assert model._background is not None
        assert model._background.wait(SOON_S)
        for _ in range(100):  # the larger one is loaded in the background
            model("a great film")
            if LARGE in model.stats().subnetworks:
                break
            model._residents.wait()
        assert LARGE in model.stats().subnetworks


def test_a_trusted_profile_starts_nothing(builtin: Bundle) -> None:
    profile = profile_with(builtin, entry(LARGE, 90.0, run=way()))
    with edgebert.load(builtin, latency_ms=500.0, profile=profile, profile_in_background=True) as model:
        assert model._background is None
