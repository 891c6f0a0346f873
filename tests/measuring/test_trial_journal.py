import logging
import os
from pathlib import Path

import pytest
from fake_trials import READING, measurement

from edgebert.measuring.trial import Died
from edgebert.measuring.trial_journal import TrialJournal, TrialRecord, measurements_in
from profiles import way

RECORD = TrialRecord(round=1, subnet="a", way=way(), reading=READING, result=measurement(1.0))


def test_what_is_added_is_found_by_the_next_process(tmp_path: Path) -> None:
    TrialJournal(tmp_path / "j").add(RECORD)
    journal = TrialJournal(tmp_path / "j")
    assert journal.find(1, "a", way()) == RECORD
    assert journal.find(2, "a", way()) is None
    assert journal.find(1, "a", way(2)) is None
    journal.remove()
    assert not (tmp_path / "j").exists()


def test_a_line_that_was_being_written_is_dropped(tmp_path: Path) -> None:
    TrialJournal(tmp_path / "j").add(RECORD)
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"round": 1, "sub')
    assert TrialJournal(tmp_path / "j").find(1, "a", way()) == RECORD


def test_what_is_old_or_another_versions_is_measured_again(tmp_path: Path) -> None:
    # What is from the future was written before a clock was set back.
    for name, seconds in (("old", 0), ("future", 2**32)):
        TrialJournal(tmp_path / name).add(RECORD)
        os.utime(tmp_path / name, (seconds, seconds))
    (tmp_path / "other").write_text('{"version": 9}\n')
    for name in ("old", "future", "other"):
        assert TrialJournal(tmp_path / name).find(1, "a", way()) is None
        assert not (tmp_path / name).exists()


def test_where_nothing_can_be_written_profiling_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="edgebert")
    for journal in (TrialJournal(), TrialJournal(tmp_path / "none" / "j")):
        journal.add(RECORD)
        assert journal.find(1, "a", way()) == RECORD
        journal.remove()
    assert "if it is killed, this profiling will start anew" in caplog.text


def test_what_failed_is_no_measurement() -> None:
    failed = TrialRecord(round=1, subnet="a", way=way(), reading=READING, result=Died(reason="killed"))
    assert measurements_in([RECORD, failed]) == [RECORD.result]
