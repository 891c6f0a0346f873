import msgspec

from profiles import PHONE


def test_a_device_is_told_with_what_is_known_of_it() -> None:
    told = "Chrome 156 on Android, Pixel 8, 8 cores, 8 GB, arm valhall (isolated, timer step 0.005 ms)"
    assert str(PHONE) == told
    shy = msgspec.structs.replace(PHONE, cores=None, memory_gb=None, gpu=None, isolated=False, timer_step_ms=1.0)
    assert str(shy) == "Chrome 156 on Android, Pixel 8 (not isolated, timer step 1 ms)"
    assert ", 1 core, 0.25 GB," in str(msgspec.structs.replace(PHONE, cores=1, memory_gb=0.25))
