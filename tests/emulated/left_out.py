"""Tests that do not run on an emulated processor, each with the reason; all others of the device's do."""

_PROCESSES = "starts processes, each of which takes half a minute to import what it needs, and none asks the processor"
_FILES = "reads files and compares records, which the processor has no part in"

LEFT_OUT: dict[str, str] = {
    "tests/cli": f"{_PROCESSES}; the steps profile and agreement run the commands themselves",
    "tests/reporting": _FILES,
    "tests/test_architecture.py": _FILES,
    "tests/test_data_files.py": _FILES,
    "tests/test_edgebert.py": _PROCESSES,
    "tests/test_examples.py": _PROCESSES,
    "tests/test_formats.py": _FILES,
    "tests/test_imports.py": _PROCESSES,
    "tests/test_kills.py": _PROCESSES,
    "tests/test_locks.py": _PROCESSES,
    "tests/test_processes.py": _PROCESSES,
    "tests/test_python_exit.py": _PROCESSES,
    "tests/test_scratch.py": _PROCESSES,
    "tests/test_structure.py": _FILES,
    "tests/test_telemetry.py": _PROCESSES,
}
