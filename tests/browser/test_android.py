import os
from pathlib import Path

import pytest

from edgebert.browser import android
from edgebert.browser.android import Cable

DEVICES = "List of devices attached\nR58\\tdevice\nemulator-5554\\tdevice\nX9\\tunauthorized\n\n"


@pytest.mark.skipif(os.name != "posix", reason="a script of sh stands in for adb")
def test_a_port_is_passed_on_to_each_phone_that_agreed_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, adb = tmp_path / "calls", tmp_path / "adb"
    adb.write_text(
        f'#!/bin/sh\necho "$@" >>{calls}\n[ "$1" = devices ] && printf "{DEVICES}"\n[ "$2" != emulator-5554 ]\n'
    )
    adb.chmod(0o755)
    monkeypatch.setattr(android.shutil, "which", lambda name: str(adb))
    cable = Cable(8000)
    assert cable.phones == ["R58"]
    cable.end()
    assert calls.read_text().splitlines() == [
        "devices",
        "-s R58 reverse tcp:8000 tcp:8000",
        "-s emulator-5554 reverse tcp:8000 tcp:8000",
        "-s R58 reverse --remove tcp:8000",
    ]


def test_without_adb_there_are_no_phones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(android.shutil, "which", lambda name: None)
    cable = Cable(8000)
    assert cable.phones == []
    cable.end()
