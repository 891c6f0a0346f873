import json
import subprocess
import sys

import pytest

# What a library in C writes to standard output, in the midst of a verb or of a trial.
VERB = """
import os, sys
from edgebert.cli import devices, main
run = devices.run
def with_notice(options):
    os.write(1, b"a notice\\n")
    run(options)
    os.write(1, b"another\\n")
devices.run = with_notice
sys.exit(main.main(["devices", "--json"]))
"""
TRIAL = """
import os
from edgebert.errors import EdgeBertError
from edgebert.measuring import trial
def measure(asked):
    os.write(1, b"a notice\\nanother\\n")
    raise EdgeBertError("no way")
trial.measure = measure
trial.main()
"""
ASKED = """{"bundle": "b", "subnet": "s",
    "way": {"engine": "cpu", "device": "cpu", "flavor": "fused", "threads": 1, "options": []}, "settings": %s}"""


@pytest.mark.parametrize("code", [VERB, TRIAL])
def test_what_libraries_print_is_not_in_the_output(code: str) -> None:
    import msgspec

    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.profile_settings import settings_for

    asked = ASKED % msgspec.json.encode(settings_for(Bundle.load())).decode()
    done = subprocess.run(
        [sys.executable, "-c", code], input=asked, capture_output=True, text=True, check=True, timeout=600
    )
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == "a notice\nanother\n"


def test_an_output_that_is_closed_or_replaced_stays_as_it_is() -> None:
    code = "import sys; from edgebert import standard_output; sys.stdout = None; standard_output.reserve()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
