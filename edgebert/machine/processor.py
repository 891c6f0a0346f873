"""A processor as a value: its name, its instruction sets, its cores, and which of them are alike.

How a system tells all this is in `linux_processor.py`, `apple_processor.py` and `windows_processor.py`.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# The instruction sets that decide how fast, and for int8 how right, matrix products are; by Linux's names everywhere.
_X86_SETS = {"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "fma"}
_ARM_SETS = {
    *("neon", "asimd", "asimddp", "asimdhp", "asimdbf16", "i8mm", "bf16"),
    *("sve", "sve2", "svei8mm", "svebf16", "sme", "sme2", "smei8i32"),
}
# Cores of one kind whose speeds differ by less are alike: chips of one batch are given clocks that differ by a tenth.
_ALIKE = 0.9


class Core(NamedTuple):
    """A physical core: what kind it is, and the logical ones that it has, by the system's numbers if it tells them.

    `capacity` is how fast Linux believes it to be, where the fastest core of a machine has 1024.
    """

    kind: str
    cpus: frozenset[int] = frozenset()
    max_clock_mhz: float | None = None
    capacity: float | None = None

    def is_usable(self, allowed: frozenset[int] | None) -> bool:
        """Return whether one of its logical cores is allowed; None allows all."""
        return allowed is None or not self.cpus or not self.cpus.isdisjoint(allowed)


class CoreGroup(NamedTuple):
    """Cores of one kind and about the same speed; `speed` compares groups of one processor, 0 if it is not known."""

    cores: tuple[Core, ...]
    speed: float


@dataclass(frozen=True)
class Processor:
    """A processor; `board` is the model of the board or computer that it is in, where the system tells."""

    name: str
    board: str | None
    instruction_sets: tuple[str, ...]
    cores: tuple[Core, ...]

    @cached_property
    def groups(self) -> tuple[CoreGroup, ...]:
        """The cores as `grouped` puts them together."""
        return grouped(self.cores)

    def usable(self, allowed: frozenset[int] | None) -> list[CoreGroup]:
        """Return what of each group has a logical core that is allowed, None allowing all; no empty groups.

        All of them if none is: then the process is bound to cores that the system does not list.
        """
        usable = []
        for group in self.groups:
            cores = tuple(core for core in group.cores if core.is_usable(allowed))
            if cores:
                usable.append(CoreGroup(cores, group.speed))
        return usable or list(self.groups)

    def usual_threads(self, allowed: frozenset[int] | None = None) -> int:
        """Return how many threads are done first if each has an equal share of the work and a core of its own.

        These are all cores that are allowed, less the groups so slow that all others would wait for them. Of groups
        whose speed is not known the first alone.
        """
        counts, groups = self._counts(allowed), self.usable(allowed)
        # So much is done in the time that the slowest takes for its share; of equals the first has the fewest threads.
        done = [count * group.speed for count, group in zip(counts, groups, strict=True)]
        return counts[done.index(max(done))]

    def thread_counts(self, allowed: frozenset[int] | None = None) -> list[int]:
        """Return the thread counts worth measuring, in ascending order.

        One, half of the fastest group, all of it, and with it the next groups one by one.
        """
        counts = self._counts(allowed)
        # Fewer than all are slower as a rule, but leave cores to the app.
        return sorted({1, max(1, counts[0] // 2), *counts})

    def _counts(self, allowed: frozenset[int] | None) -> list[int]:
        """Return how many cores the fastest group has, then it and the next, and so on."""
        return list(itertools.accumulate(len(group.cores) for group in self.usable(allowed)))


def grouped(cores: Sequence[Core]) -> tuple[CoreGroup, ...]:
    """Return cores put together by kind and speed, the fastest first; in the system's order where no speed is known."""
    groups: list[list[tuple[float, Core]]] = []
    # By the speed alone, so that cores which are equally fast keep their order.
    for speed, core in sorted(zip(_speeds(cores), cores, strict=True), key=lambda one: one[0], reverse=True):
        for group in groups:
            fastest, first = group[0]
            if first.kind == core.kind and speed >= _ALIKE * fastest:
                group.append((speed, core))
                break
        else:
            groups.append([(speed, core)])
    return tuple(CoreGroup(tuple(core for _, core in group), group[0][0]) for group in groups)


def relevant_sets(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of a processor's instruction sets that matter for networks, in the order of their names."""
    return tuple(sorted((_X86_SETS | _ARM_SETS).intersection(names)))


def printable_name(text: str) -> str:
    """Return a name that a system gives, without what a line of a table cannot hold."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _speeds(cores: Sequence[Core]) -> list[float]:
    """Return how fast each core is, in a unit of their own; 0 for all where the system does not tell it of each."""
    capacities = [core.capacity or 0.0 for core in cores]
    # All have the same capacity too where a board's description lacks them.
    if all(capacities) and len(set(capacities)) > 1:
        return capacities
    clocks = [core.max_clock_mhz or 0.0 for core in cores]
    return clocks if all(clocks) else [0.0] * len(cores)
