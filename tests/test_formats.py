"""docs/formats.md describes every key of every file, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebert.browser.posted import PageTrial
from edgebert.choosing.selection import Selection
from edgebert.elastic_manifest import ElasticManifest
from edgebert.inputs.bundle import Answers, Golden
from edgebert.inputs.manifest import Manifest
from edgebert.machine.device import Device
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.machine.limits import Limits
from edgebert.measuring.device_profile import DeviceProfile
from edgebert.measuring.evaluation import Evaluation
from edgebert.measuring.trial_journal import TrialRecord
from edgebert.reporting.comparison_report import Comparison
from edgebert.serving.answer_origin import AnswerOrigin
from edgebert.subnet import Way
from edgebert.tasks.tasks import TASKS

FORMATS = Path(__file__).parents[1] / "docs" / "formats.md"
# Described once, where they are first named.
SHARED = (Way, Limits, Device, JavaScriptDevice)


def keys_of(kind: msgspec.inspect.Type, path: str, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the path of each value that JSON of this type may hold."""
    inspect = msgspec.inspect
    if isinstance(kind, inspect.StructType) and (is_whole or kind.cls not in SHARED):
        if kind.tag is not None:
            yield f"{path}.{kind.tag_field}".lstrip(".")
        for field in kind.fields:
            yield from keys_of(field.type, f"{path}.{field.encode_name}".lstrip("."))
    elif isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        for member in members:
            yield from keys_of(member, path, is_whole=is_whole)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(kind.item_type, inspect.StructType):
        yield from keys_of(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from keys_of(kind.value_type, f"{path}.NAME")
    else:
        yield path


def documented(name: str) -> set[str]:
    """Return the keys in the section whose heading names a type."""
    text = FORMATS.read_text(encoding="utf-8")
    section = re.search(rf"^##+ .*`{name}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"no section for {name}"
    return set(re.findall(r"^\| `([^`]+)` \|", section[1], re.MULTILINE))


def check(name: str, kind: Any) -> None:
    """Compare a section with a type; a value that may be null may have a line of its own beside those of its keys."""
    keys = set(keys_of(msgspec.inspect.type_info(kind), "", is_whole=True))
    parents = {".".join(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 1)}
    parents |= {parent.removesuffix("[]") for parent in parents}
    found = documented(name)
    assert keys <= found
    assert found <= keys | parents


@pytest.mark.parametrize(
    "kind",
    [
        Way,
        Limits,
        Device,
        JavaScriptDevice,
        ElasticManifest,
        Manifest,
        Golden,
        Answers,
        DeviceProfile,
        Selection,
        Comparison,
        Evaluation,
        TrialRecord,
        PageTrial,
        AnswerOrigin,
    ],
)
def test_every_key_of_a_file_is_described_and_no_other(kind: Any) -> None:
    check(kind.__name__, kind)


@pytest.mark.parametrize("kind", [ElasticManifest, Manifest, Golden, Answers, DeviceProfile, AnswerOrigin])
def test_the_version_that_is_described_is_the_one_that_is_written(kind: Any) -> None:
    text = FORMATS.read_text(encoding="utf-8")
    section = text[text.index(f"`{kind.__name__}`") :]
    assert re.search(r"^\| `schema_version` \| (\d+) \|", section, re.MULTILINE)[1] == str(kind.VERSION)  # type: ignore[index]


def test_the_columns_of_answers_are_those_that_files_have() -> None:
    rows = re.findall(r"^\| (`[^|]*) \| (`[^|]*) \|$", FORMATS.read_text(encoding="utf-8"), re.MULTILINE)
    described = {
        task: tuple(re.findall(r"`(\w+)`", columns)) for tasks, columns in rows for task in re.findall("`(.*?)`", tasks)
    }
    assert {task.NAME: task.COLUMNS for task in TASKS}.items() <= described.items()


@pytest.mark.full
def test_every_key_of_the_journals_of_training_is_described() -> None:
    from edgebert.elastic.bort.surrogate import SurrogateTrial
    from edgebert.elastic.dynabert.augmentation import Variants
    from edgebert.elastic.events import Event

    for name, kind in {"Event": Event, "Variants": Variants, "SurrogateTrial": SurrogateTrial}.items():
        check(name, kind)
