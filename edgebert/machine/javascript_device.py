"""What device this is as JavaScript sees it: of profiles that a browser or Node made. Nothing here asks for it."""

from typing import ClassVar

from edgebert.records import Count, Line, Positive, Record, Sha256


class JavaScriptDevice(Record, frozen=True, tag_field="runtime", tag="javascript"):
    """A device as edgebert in JavaScript describes it, in a browser or in Node; what is not shown there is None.

    `isolated` is whether a page may use several threads and precise clocks. No time is known better than to the clock's
    step, `timer_step_ms`. `fingerprint` differs between devices on which timings are not comparable.
    """

    RUNTIME: ClassVar[str] = "edgebert in JavaScript"

    name: Line
    user_agent: Line
    cores: Count | None
    memory_gb: Positive | None
    gpu: Line | None
    isolated: bool
    timer_step_ms: Positive
    fingerprint: Sha256

    def __str__(self) -> str:
        known = [self.name]
        if self.cores:
            known.append(f"{self.cores} core{'s' * (self.cores > 1)}")
        if self.memory_gb:
            known.append(f"{self.memory_gb:g} GB")
        if self.gpu:
            known.append(self.gpu)
        isolation = "isolated" if self.isolated else "not isolated"
        return f"{', '.join(known)} ({isolation}, timer step {self.timer_step_ms:g} ms)"
