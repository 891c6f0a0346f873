"""Tests that cannot run on an emulated processor, each with the reason; all others of the device's do."""

LEFT_OUT: dict[str, str] = {}
