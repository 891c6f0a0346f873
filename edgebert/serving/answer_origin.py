"""What a file of answers was made with, in a hidden file beside it."""

from pathlib import Path
from typing import Any, ClassVar

import msgspec

from edgebert.choosing.selection import Budget
from edgebert.records import Record, Sha256
from edgebert.subnet import Way


class AnswerOrigin(Record, frozen=True):
    """What a file of answers was made with; without a sub-network and a way where the budget chooses anew each time.

    `space` is that of embeddings.
    """

    VERSION: ClassVar[int] = 2

    schema_version: int
    edgebert_version: str
    bundle_sha256: str
    space: Sha256 | None
    subnetwork: str | None
    way: Way | None
    budget: Budget
    options: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Return all that answers depend on, by name, to compare."""
        # Not on the number of threads, and the same command takes another one on another day.
        way = self.way and str(msgspec.structs.replace(self.way, threads=1))
        settings = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("budget", "options")}
        return settings | {"way": way} | msgspec.structs.asdict(self.budget) | self.options


def record_of(target: Path) -> Path:
    """Return where the record of a file of answers stands."""
    return target.with_name(f".{target.name}.edgebert")
