from edgebert.machine.memory import process_memory


def test_memory_that_is_taken_is_seen() -> None:
    before = process_memory()
    taken = bytearray(b"x" * 50_000_000)
    after = process_memory()
    assert len(taken) == 50_000_000
    assert after.resident_mb >= before.resident_mb + 40
    assert after.private_mb >= before.private_mb + 40
    assert after.peak_mb >= before.peak_mb
    assert after.private_mb > 0
