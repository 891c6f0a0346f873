"""Predictors on a simulated device: its clock goes on by what networks take, and stands still otherwise."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.choosing.selection import Budget, named, select
from edgebert.engines.engine import Session
from edgebert.engines.session import default_way
from edgebert.errors import BudgetError, EdgeBertError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.tokenization import Arrays, Tokenizer
from edgebert.measuring.device_profile import DeviceProfile, ProfiledSubnet
from edgebert.serving.policy import Policy
from edgebert.serving.predictor import Predictor
from edgebert.serving.residents import Residents
from edgebert.subnet import Way
from edgebert.tasks.task import Outputs
from profiles import BEST, LEAST, MIDDLE, entry, profile_of_costs, profile_with

MS = {BEST: 400.0, MIDDLE: 200.0, LEAST: 100.0}  # for 128 tokens, and in proportion for fewer
LONGEST = "fine " * 126
UNSURE, LONGEST_UNSURE = "fine ?", "fine " * 125 + "?"


class Network:
    """A network of the simulated device."""

    input_names = ("input_ids", "attention_mask")

    def __init__(self, device: "Device", subnet_id: str, ms_at_128: float):
        self._device, self._id, self._ms_at_128 = device, subnet_id, ms_at_128

    def run(self, inputs: Arrays) -> Outputs:
        """Let time go by. The networks are sure of all texts without a question mark, and the best of those too."""
        ids = inputs["input_ids"]
        self._device.now_s += self._ms_at_128 * self._device.times_slower * ids.size / 128 / 1000
        self._device.ran.append(self._id)
        self._device.rows.append(len(ids))
        sure = (ids != self._device.question_mark).all(axis=1) | (self._id == BEST)
        return {"logits": np.where(sure[:, None], [[0.0, 9.0]], [[0.0, 0.1]]).astype(np.float32)}


class Device:
    """A device whose clock is moved by its networks alone, and by `per_look_s` whenever somebody looks at it."""

    def __init__(self, bundle: Bundle, ms: dict[str, float] = MS):
        self.bundle, self.ms = bundle, ms
        self.question_mark = Tokenizer.of(bundle).encode("?").ids[1]
        self.now_s, self.per_look_s, self.times_slower = 0.0, 0.0, 1.0
        self.ran: list[str] = []
        self.rows: list[int] = []

    def clock(self) -> float:
        self.now_s += self.per_look_s
        return self.now_s

    def open_network(self, subnet_id: str, way: Way) -> Session:
        return Network(self, subnet_id, self.ms[subnet_id])

    def predictor(
        self, budget: Budget, profile: DeviceProfile | None = None, subnet: str | None = None, cascade: bool = False
    ) -> tuple[Predictor, Residents]:
        """Return what `load` makes on a real device, and its networks."""
        profile, budget = profile or profile_of_costs(self.bundle, self.ms), budget.of(self.bundle)
        unlimited = named(self.bundle.subnet(subnet), budget, default_way()) if subnet else None
        selection = unlimited or select(self.bundle, profile, budget)
        residents = Residents(budget.memory_mb, self.open_network)
        policy = Policy(self.bundle, selection, residents, lambda: profile, self.clock)
        if subnet:
            policy.load_chosen()
        else:
            policy.govern(cascade=cascade)
        return Predictor(self.bundle, selection, Tokenizer.of(self.bundle), residents, policy, self.clock), residents


@pytest.fixture
def device(builtin: Bundle) -> Device:
    return Device(builtin)


def test_a_short_text_gets_a_better_network_than_a_long_one_once_it_is_loaded(device: Device) -> None:
    model, residents = device.predictor(Budget(latency_ms=250.0))
    assert model.subnet.id == MIDDLE
    model(LONGEST)
    model("fine")  # has the best network loaded
    residents.wait()
    model("fine")
    model(LONGEST)
    assert device.ran == [MIDDLE, MIDDLE, BEST, MIDDLE]
    assert model.stats().switches == 2


def test_a_longer_text_than_was_budgeted_gets_a_smaller_network(device: Device) -> None:
    model, residents = device.predictor(Budget(latency_ms=250.0, length=64))
    assert model.subnet.id == BEST
    model(LONGEST)  # has the middle one loaded
    residents.wait()
    model(LONGEST)
    assert device.ran == [LEAST, MIDDLE]


def test_a_call_may_have_a_budget_of_its_own(device: Device) -> None:
    model, residents = device.predictor(Budget(), subnet=BEST)
    model(LONGEST, latency_ms=120.0)
    model("fine", latency_ms=120.0)
    model(LONGEST)
    assert device.ran == [LEAST, BEST, BEST]
    assert [subnet_id for subnet_id, _ in residents.loaded()] == [BEST, LEAST]
    with pytest.raises(BudgetError, match="no sub-network meets 50 ms at p95 for 128 tokens"):
        model(LONGEST, latency_ms=50.0)
    with pytest.raises(EdgeBertError, match="expected a latency_ms above 0, found 0"):
        model("fine", latency_ms=0)
    assert (model.stats().requests, model.stats().within_budget) == (3, 1)


def test_on_a_slow_device_the_choice_steps_down_and_up_again(device: Device) -> None:
    model, _ = device.predictor(Budget(latency_ms=600.0))
    model(LONGEST)
    device.times_slower = 3.0
    for _ in range(3):
        model(LONGEST)
    assert device.ran == [BEST, BEST, LEAST, LEAST]
    assert model.stats().within_budget == 0.75
    assert max(model.stats().slow_down.values()) > 2

    device.times_slower, device.now_s = 1.0, device.now_s + 60
    model(LONGEST)
    assert device.ran[-1] == BEST


@settings(max_examples=25)
@given(
    st.floats(110, 1000),
    st.lists(st.integers(1, 126), min_size=1, max_size=6),
    st.sampled_from([None, 110.0, 300.0, 900.0]),
)
def test_on_a_quiet_device_every_budget_is_kept(latency_ms: float, words: list[int], call_ms: float | None) -> None:
    device = Device(Bundle.load())
    model, residents = device.predictor(Budget(latency_ms=latency_ms))
    for count in words:
        assert len(model("fine " * count, latency_ms=call_ms)) == 1
        residents.wait()
    assert model.stats().within_budget == 1


def test_what_one_text_of_a_call_saves_goes_to_the_others(device: Device) -> None:
    model, residents = device.predictor(Budget(), subnet=BEST)
    texts = [LONGEST, "fine " * 62, LONGEST]
    model(texts, latency_ms=1010.0)  # 400 ms a text of 128 tokens, 200 ms one of 64
    assert device.ran == [BEST, BEST, BEST]
    model(texts, latency_ms=710.0)
    residents.wait()
    device.ran.clear()
    model(texts, latency_ms=710.0)  # 142 ms of 710 for the shortest, 305 of the 610 that are left, and all of the rest
    assert device.ran == [MIDDLE, MIDDLE, BEST]


def test_the_time_outside_networks_is_left_of_a_budget(device: Device) -> None:
    model, _ = device.predictor(Budget(latency_ms=402.5))
    device.per_look_s = 0.001  # before the network is chosen and twice after it
    for _ in range(40):
        model(LONGEST)
    assert device.ran[0] == BEST
    assert BEST not in device.ran[5:], "the best takes 400 ms, and what lies around it comes on top"


def test_a_budget_that_was_broken_is_counted(device: Device) -> None:
    model, _ = device.predictor(Budget(latency_ms=100.0))
    device.times_slower = 2.0
    model(LONGEST)
    assert model.stats().within_budget == 0


def test_what_is_loaded_counts_against_the_memory_budget(device: Device) -> None:
    entries = (entry(BEST, 400.0, 60.0), entry(MIDDLE, 200.0, 50.0), entry(LEAST, 100.0, 30.0))
    profile = profile_with(device.bundle, *entries)
    model, residents = device.predictor(Budget(latency_ms=450.0, memory_mb=100), profile)
    model(LONGEST, latency_ms=250.0)  # the middle one is fast enough, but 60 + 50 MB would not fit
    residents.wait()
    assert [subnet_id for subnet_id, _ in residents.loaded()] == [BEST, LEAST]
    assert device.ran == [LEAST]

    model, residents = device.predictor(Budget(latency_ms=450.0, memory_mb=80), profile)
    model(LONGEST, latency_ms=250.0)
    assert device.ran[1:] == [BEST], "nothing fits beside the one that is loaded"


def test_a_cascade_is_the_first_to_take_memory(builtin: Bundle) -> None:
    qualities = builtin.manifest.qualities
    bests = [one for one, quality in qualities.items() if quality == qualities[BEST]]
    small = "w0.25-d0.75-int8-static"
    device = Device(builtin, {one: 40.0 if one == small else 200.0 for one in qualities} | dict.fromkeys(bests, 440.0))
    entries = [entry(one, ms, 20.0 if one in bests else 15.0) for one, ms in device.ms.items()]
    # The best is chosen; behind a small one it is as good and takes less, and no third has room.
    budget = Budget(memory_mb=36)
    model, residents = device.predictor(budget, profile_with(builtin, *entries), cascade=True)
    assert model.subnet.id == BEST
    assert model.cascade is not None
    assert residents.loaded() == [model.cascade.first.key, model.cascade.second.key]
    assert [subnet_id for subnet_id, _ in residents.loaded()] == [small, BEST]


def test_a_network_loaded_by_its_name_leaves_the_others_less_memory(device: Device) -> None:
    entries = (entry(BEST, 400.0, 60.0), entry(LEAST, 100.0, 30.0))
    profile = profile_with(device.bundle, *entries)
    model, residents = device.predictor(Budget(memory_mb=80), profile, subnet=BEST)
    model(LONGEST, latency_ms=450.0)
    assert [subnet_id for subnet_id, _ in residents.loaded()] == [BEST]


def test_a_network_of_unknown_memory_loaded_by_its_name_leaves_the_others_none(device: Device) -> None:
    profile = profile_with(device.bundle, entry(BEST, MS[BEST], None), entry(LEAST, MS[LEAST], 10.0))
    model, residents = device.predictor(Budget(memory_mb=80), profile, subnet=BEST)
    with pytest.raises(EdgeBertError, match=r"expected at most 0.0 MB, found 10.0 MB for .*; raise memory_mb"):
        model(LONGEST, latency_ms=120.0)
    assert [subnet_id for subnet_id, _ in residents.loaded()] == [BEST]


def test_without_a_limit_of_memory_it_need_not_be_known(device: Device) -> None:
    profile = profile_with(device.bundle, *(entry(name, ms, None) for name, ms in MS.items()))
    model, residents = device.predictor(Budget(latency_ms=250.0), profile)
    assert (model.subnet.id, model.selection.peak_memory_mb) == (MIDDLE, None)
    model("fine")  # has the best network loaded
    residents.wait()
    model("fine")
    assert device.ran == [MIDDLE, BEST]


def test_a_cascade_asks_a_second_network_where_the_first_is_not_sure(builtin: Bundle) -> None:
    device = Device(builtin, {BEST: 400.0, LEAST: 40.0})
    model, _ = device.predictor(Budget(tolerance=0.005), cascade=True)
    assert model.cascade is not None
    sure, unsure = model("fine fine"), model(UNSURE)
    assert device.ran == [LEAST, LEAST, BEST]
    assert sure == unsure == [{"label": "positive", "score": pytest.approx(0.99988, abs=1e-4)}]

    device.ran.clear()
    assert len(model(["fine fine fine", UNSURE, "fine"])) == 3
    assert device.ran == [LEAST, LEAST, BEST, LEAST], "the shortest first"


def test_a_batch_is_handed_on_as_far_as_it_is_unsure(builtin: Bundle) -> None:
    device = Device(builtin, {BEST: 400.0, LEAST: 40.0})
    profile = profile_with(builtin, *(in_batches_of_4(entry(one, ms)) for one, ms in device.ms.items()))
    model, _ = device.predictor(Budget(tolerance=0.005, batch_size=4), profile, cascade=True)
    answers = model([UNSURE, "fine fine", UNSURE, "fine fine"])
    assert (device.ran, device.rows) == ([LEAST, BEST], [4, 2])
    assert answers == model("fine fine") * 4, "the best answers a question mark as the least answers all else"


def in_batches_of_4(entry: ProfiledSubnet) -> ProfiledSubnet:
    """Return an entry with the same latencies for batches of four texts as for one."""
    batches = tuple(msgspec.structs.replace(row, batch_size=4) for row in entry.latency)
    return msgspec.structs.replace(entry, latency=entry.latency + batches)


def test_a_cascade_has_no_second_network_where_time_is_short(builtin: Bundle) -> None:
    device = Device(builtin, {BEST: 400.0, LEAST: 40.0})
    model, _ = device.predictor(Budget(tolerance=0.005, latency_ms=450.0), cascade=True)
    assert model.cascade is not None
    model(LONGEST_UNSURE)
    device.times_slower = 3.0
    model(LONGEST_UNSURE)
    assert device.ran == [LEAST, BEST, LEAST], "the first took 120 ms, and the second would take three times 400 ms"


def test_networks_that_are_closed_in_mid_request_are_an_error(device: Device) -> None:
    model, residents = device.predictor(Budget(latency_ms=450.0))

    def close(inputs: Arrays) -> Outputs:
        residents.close()
        return {"logits": np.zeros((1, 2), np.float32)}

    for key in residents.loaded():
        residents.get(key, None).run = close  # type: ignore[method-assign]
    with pytest.raises(EdgeBertError, match="this Predictor is closed; load another"):
        model([LONGEST, LONGEST])
