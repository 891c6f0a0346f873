"""What processor this is, as macOS tells it: the values that `sysctl` shows, read without a process."""

from collections.abc import Callable, Iterator

from edgebert.machine.processor import Core, Processor, printable_name, relevant_sets

# Reads a value of the system as the bytes that it is stored in; None if there is none of that name.
Read = Callable[[str], bytes | None]

# What macOS calls ARM's instruction sets, and what Linux does.
_ARM_SETS = {
    "FEAT_FP16": "asimdhp",
    "FEAT_DotProd": "asimddp",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "sme",
    "FEAT_SME2": "sme2",
}
_X86_SETS = {"FMA": "fma", "AVX2": "avx2", "AVX512F": "avx512f", "AVX512VNNI": "avx512_vnni"}


def processor(read: Read | None = None, *, otherwise: str = "unknown processor") -> Processor:
    """Return the processor of this Mac, called `otherwise` where it has no name; `read` reads a value of the system."""
    read = read or _reader()
    name = printable_name(_text(read, "machdep.cpu.brand_string")) or otherwise
    return Processor(
        name=name,
        board=printable_name(_text(read, "hw.model")) or None,
        instruction_sets=relevant_sets(_sets(read)),
        cores=tuple(_cores(read, name)),
    )


def _cores(read: Read, name: str) -> Iterator[Core]:
    """Yield the cores of each performance level; level 0 is the fastest."""
    levels = _number(read, "hw.nperflevels")
    if levels < 2:  # Intel's, and older systems
        yield from [Core(name)] * _number(read, "hw.physicalcpu")
        return
    for level in range(levels):
        prefix = f"hw.perflevel{level}"
        kind = f"{name} {_text(read, f'{prefix}.name') or f'level {level}'}"
        yield from [Core(printable_name(kind))] * _number(read, f"{prefix}.physicalcpu")


def _sets(read: Read) -> Iterator[str]:
    if _number(read, "hw.optional.AdvSIMD") or _number(read, "hw.optional.arm.AdvSIMD"):
        yield "asimd"
    yield from (ours for theirs, ours in _ARM_SETS.items() if _number(read, f"hw.optional.arm.{theirs}"))
    features = f"{_text(read, 'machdep.cpu.features')} {_text(read, 'machdep.cpu.leaf7_features')}".split()
    yield from (_X86_SETS[feature] for feature in features if feature in _X86_SETS)


def _text(read: Read, name: str) -> str:
    return (read(name) or b"").partition(b"\0")[0].decode(errors="replace")


def _number(read: Read, name: str) -> int:
    """Return a whole number of 4 or 8 bytes; 0 if there is none of that name."""
    return int.from_bytes(read(name) or b"", "little")


def _reader() -> Read:
    """Return what reads a value by the C library of this Mac."""
    import ctypes  # only here: on other systems it is not needed

    library = ctypes.CDLL(None)

    def read(name: str) -> bytes | None:
        size = ctypes.c_size_t(0)
        if library.sysctlbyname(name.encode(), None, ctypes.byref(size), None, ctypes.c_size_t(0)):
            return None
        content = ctypes.create_string_buffer(size.value)
        failed = library.sysctlbyname(name.encode(), content, ctypes.byref(size), None, ctypes.c_size_t(0))
        return None if failed else content.raw[: size.value]

    return read
