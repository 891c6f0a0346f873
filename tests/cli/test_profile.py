import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from profiles import BEST, LEAST, in_a_browser, profile_of_costs

Edgebert = Callable[..., Any]

QUICK = ["profile", "--quick", "--lengths", "8", "--threads", "1"]


def test_a_profile_is_printed_written_and_inspected(edgebert: Edgebert, builtin: Bundle, tmp_path: Path) -> None:
    out = str(tmp_path / "p.json")
    done = edgebert(*QUICK, "--subnets", f"{BEST},{LEAST}", "--out", out)
    assert done.status == 0, done.err
    table = done.out
    (row,) = [line for line in table.splitlines() if line.startswith(BEST)]
    assert "cpu, fused, 1 thread" in row
    assert f"{builtin.manifest.qualities[BEST]:.3f}" in row
    assert edgebert("inspect", out).out == table
    assert json.loads(edgebert("inspect", out, "--json").out) == json.loads(Path(out).read_text())


def test_a_profile_as_json_is_all_of_standard_output(edgebert: Edgebert) -> None:
    found = json.loads(edgebert(*QUICK, "--subnets", LEAST, "--json").out)
    assert list(found) == list(DeviceProfile.__struct_fields__)


def test_sub_networks_are_added_to_a_profile(edgebert: Edgebert, tmp_path: Path) -> None:
    out = str(tmp_path / "p.json")
    arguments = [*QUICK, "--out", out, "--subnets"]
    assert edgebert(*arguments, LEAST).status == 0
    done = edgebert(*arguments, BEST, "--emulate", "cpus=1,memory-mb=1000")
    assert done.status == 1
    assert "error: nothing can be added to the profile: another machine was emulated" in done.err
    assert edgebert(*arguments, BEST).status == 0
    assert [one["id"] for one in json.loads(Path(out).read_text())["subnetworks"]] == [LEAST, BEST]


def test_an_emulated_machine_is_marked(edgebert: Edgebert) -> None:
    done = edgebert(*QUICK, "--subnets", LEAST, "--emulate", "cpus=1,memory-mb=1000")
    assert "EMULATED, limited to 1 processors and 1000 MB" in done.out


def test_nothing_is_added_to_a_browsers_profile(edgebert: Edgebert, builtin: Bundle, tmp_path: Path) -> None:
    in_a_browser(profile_of_costs(builtin, {BEST: 90.0})).save(tmp_path / "phone.json")
    before = (tmp_path / "phone.json").read_bytes()
    done = edgebert(*QUICK, "--subnets", LEAST, "--out", str(tmp_path / "phone.json"))
    assert "phone.json: expected a profile measured by edgebert in Python" in done.error(1)
    assert (tmp_path / "phone.json").read_bytes() == before
