import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from page_client import PAGE, Served, as_json, posted, profile_of, trial, who

from edgebert.browser.devices import file_name_of
from edgebert.inputs.bundle import Bundle
from edgebert.measuring.device_profile import DeviceProfile
from profiles import BEST, LEAST, PHONE, in_a_browser, profile_of_costs

Serve = Callable[..., Served]
TABLET = msgspec.structs.replace(PHONE, name="Firefox 153 on Android, Tab/../A9", fingerprint="a" * 64)


def test_a_device_measures_itself_and_its_profile_is_saved_and_printed(
    served: Served, builtin: Bundle, tmp_path: Path
) -> None:
    assert served.begin() == []
    for number in (1, 2):
        assert served.post(f"records?{who()}", posted(number)).status == 200
    assert served.post(f"profile?{who()}", profile_of(builtin)).status == 200
    status, out, said = served.ends()
    assert status == 0
    assert BEST in out
    assert PHONE.name in out
    assert str(tmp_path / "out.json") in said
    assert f"{PHONE.name} is measuring" in said
    assert DeviceProfile.load(tmp_path / "out.json").device == PHONE


def test_as_json_the_profile_is_all_of_standard_output(serve: Serve, builtin: Bundle) -> None:
    served = serve("--json")
    served.begin()
    profile = profile_of(builtin)
    served.post(f"profile?{who()}", profile)
    status, out, _ = served.ends()
    assert (status, json.loads(out)) == (0, profile)


def test_a_page_that_is_loaded_again_goes_on(served: Served) -> None:
    served.begin()
    served.post(f"records?{who()}", posted())
    (again,) = served.begin(page="1" * 32)
    assert again == as_json(trial())


def test_a_server_that_was_interrupted_goes_on_with_the_same_options_alone(serve: Serve) -> None:
    first = serve("--quick")
    first.begin()
    first.post(f"records?{who()}", posted())
    status, out, said = first.interrupt()
    assert (status, out) == (130, "")
    assert "run the same command again to go on" in said
    assert serve("--quick").begin() == [as_json(trial())]
    assert serve().begin() == []
    assert serve("--quick").begin(TABLET) == []


def test_another_onnxruntime_web_starts_anew(serve: Serve, ort_folder: Path) -> None:
    first = serve()
    first.begin()
    first.post(f"records?{who()}", posted())
    first.interrupt()
    (ort_folder / "ort-wasm-simd-threaded.wasm").write_text("another")
    assert serve().begin() == []


def test_what_is_posted_twice_is_kept_once(served: Served) -> None:
    served.begin()
    for _ in range(2):
        assert served.post(f"records?{who()}", posted()).status == 200
    assert len(served.begin()) == 1


def test_a_page_that_another_took_over_from_is_told_so(served: Served, builtin: Bundle) -> None:
    served.begin()
    served.begin(page="1" * 32)
    for answer in (
        served.post(f"records?{who()}", posted()),
        served.post(f"profile?{who()}", profile_of(builtin)),
    ):
        assert answer.status == 409
        assert "load this page again to go on here" in answer.text
    assert served.post(f"records?{who(page='1' * 32)}", posted()).status == 200


def test_who_has_not_begun_posts_nothing(served: Served) -> None:
    assert served.post(f"records?{who()}", posted()).status == 409


def test_two_devices_get_a_profile_each_and_it_ends_with_the_last(
    served: Served, builtin: Bundle, tmp_path: Path
) -> None:
    for device in (PHONE, TABLET):
        served.begin(device)
        assert served.post(f"records?{who(device)}", posted(device=device)).status == 200
    assert [len(served.begin(device)) for device in (PHONE, TABLET)] == [1, 1]
    served.post(f"profile?{who(TABLET)}", profile_of(builtin, TABLET))
    assert served.process.poll() is None
    served.post(f"profile?{who()}", profile_of(builtin))
    status, out, _ = served.ends()
    assert status == 0
    assert out.count("profile of bundle") == 2
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        "out-Chrome-156-on-Android-Pixel-8.json",
        "out-Firefox-153-on-Android-Tab-A9.json",
    ]


def test_devices_of_one_name_get_a_file_each(served: Served, builtin: Bundle, tmp_path: Path) -> None:
    twin = msgspec.structs.replace(PHONE, fingerprint="b" * 64)
    for device in (PHONE, twin):
        served.begin(device)
    for device in (PHONE, twin):
        served.post(f"profile?{who(device)}", profile_of(builtin, device))
    assert served.ends()[0] == 0
    found = {DeviceProfile.load(path).device.fingerprint for path in tmp_path.glob("out-*.json")}
    assert found == {PHONE.fingerprint, twin.fingerprint}


def test_without_a_file_the_profile_is_kept_in_the_cache(serve: Serve, builtin: Bundle, tmp_path: Path) -> None:
    served = serve()
    served.begin()
    served.post(f"profile?{who()}", profile_of(builtin))
    _, _, said = served.ends()
    (path,) = (tmp_path / "cache" / "edgebert" / "profiles").glob("*-page.json")
    assert str(path) in said
    # What was written down on the way is of no more use.
    assert not list(path.parent.glob("*.jsonl"))


def test_some_networks_are_added_to_the_profile_that_is_there(serve: Serve, builtin: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    in_a_browser(profile_of_costs(builtin, {LEAST: 10.0})).save(out)
    served = serve("--out", str(out), "--subnets", BEST)
    served.begin()
    served.post(f"profile?{who()}", profile_of(builtin))
    assert served.ends()[0] == 0
    assert {entry.id for entry in DeviceProfile.load(out).subnetworks} == {BEST, LEAST}


def test_a_profile_that_cannot_be_saved_ends_it_with_the_reason(
    served: Served, builtin: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "out.json").mkdir()
    served.begin()
    served.post(f"profile?{who()}", profile_of(builtin))
    status, out, said = served.ends()
    assert (status, out) == (1, "")
    assert "error: cannot write" in said


def test_why_a_page_stops_is_told_in_a_line(served: Served) -> None:
    served.begin()
    assert served.post(f"problems?{who()}", {"reason": "no memory"}).status == 200
    assert served.post(f"problems?{who()}", {"reason": "x\n"}).status == 400
    served.wait_for("a device has stopped: no memory\n")


def test_there_are_not_any_number_of_devices(served: Served) -> None:
    for number in range(64):
        assert served.ask(f"records?device={number:064x}&page={PAGE}").status == 200
    answer = served.ask(f"records?device={64:064x}&page={PAGE}")
    assert (answer.status, answer.text) == (400, "expected at most 64 devices; start edgebert again for more\n")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Chrome 156 on Android, Pixel 8", "Chrome-156-on-Android-Pixel-8"),
        ("../../etc/passwd", "etc-passwd"),
        ("...", "device"),
        ("手机", "device"),
        ("a" * 500, "a" * 60),
    ],
)
def test_a_name_becomes_a_part_of_a_file_name(name: str, found: str) -> None:
    assert file_name_of(name) == found
