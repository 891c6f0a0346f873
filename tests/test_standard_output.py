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
ASKED = """{"bundle": "b", "bundle_sha256": "%s", "subnet": "s", "settings": %s,\
 "way": {"engine": "cpu", "device": "cpu", "flavor": "fused", "threads": 1, "options": []}}
"""


@pytest.mark.parametrize("code", [VERB, TRIAL])
def test_what_libraries_print_is_not_in_the_output(code: str) -> None:
    import msgspec

    from edgebert.inputs.bundle import Bundle
    from edgebert.measuring.profile_settings import settings_for

    bundle, pipe = Bundle.load(), subprocess.PIPE
    asked = ASKED % (bundle.sha256, msgspec.json.encode(settings_for(bundle)).decode())
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        if code == TRIAL:  # a verb asks for nothing, and may have ended
            # It stays open: a trial ends with its input.
            process.stdin.write(asked)
            process.stdin.flush()
        assert isinstance(json.loads(process.stdout.read()), dict)
        assert process.stderr.read() == "a notice\nanother\n"


def test_an_output_that_is_closed_or_replaced_stays_as_it_is() -> None:
    code = "import sys; from edgebert import standard_output; sys.stdout = None; standard_output.reserve()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
