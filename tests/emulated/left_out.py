"""Tests that do not run on an emulated processor, each with the reason; all others of the device's do."""

_PROCESSES = "starts processes, each of which takes half a minute to import what it needs, and none asks the processor"
_FILES = "reads files and compares records, which the processor has no part in"

LEFT_OUT: dict[str, str] = {
    "tests/browser": _PROCESSES,
    "tests/cli": f"{_PROCESSES}; the steps profile and agreement run the commands themselves",
    "tests/measuring/test_profiler.py::"
    "test_a_profiler_that_is_killed_leaves_a_readable_profile_and_goes_on_where_it_was": "a trial takes longer than "
    "the two minutes that it waits for one",
    "tests/measuring/test_trial.py::test_a_process_without_the_memory_ends_and_one_with_it_does_not": "qemu maps more "
    "than a process may",
    "tests/reporting": _FILES,
    "tests/serving/test_residents.py::test_a_process_grows_by_no_more_than_its_memory": "what qemu keeps of translated "
    "code counts as the process's",
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
