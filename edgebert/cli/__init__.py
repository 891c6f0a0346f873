"""The command line: one file for each verb, which adds its arguments and runs; heavy imports stay inside `run`."""
