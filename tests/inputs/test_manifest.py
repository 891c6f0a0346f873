import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert import records
from edgebert.errors import BundleError
from edgebert.inputs.bundle import BUILTIN, Bundle
from edgebert.inputs.bundle_file import MANIFEST
from edgebert.inputs.manifest import FIDELITY, Manifest

Alter = Callable[..., Path]


def test_qualities_of_two_metrics_are_refused(builtin: Bundle, alter_manifest: Alter) -> None:
    first, *others = builtin.manifest.subnetworks
    assert first.quality is not None
    fidelity = msgspec.structs.replace(first.quality, metric=FIDELITY)
    path = alter_manifest(subnetworks=(msgspec.structs.replace(first, quality=fidelity), *others))
    with pytest.raises(BundleError, match=r"expected qualities of one metric, found accuracy, fidelity"):
        Bundle.load(path)


def test_a_manifest_is_read_as_it_was_written(builtin: Bundle) -> None:
    assert records.decode(records.encode(builtin.manifest), Manifest, "bundle.json", BundleError) == builtin.manifest


VALUES = st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()


def altered(value: Any, data: st.DataObject) -> Any:
    """Return a JSON value with another one somewhere in it."""
    if isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)))
        return value | {key: altered(value[key], data)}
    if isinstance(value, list) and value:
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], altered(value[place], data), *value[place + 1 :]]
    return data.draw(st.just(value[::-1]) if isinstance(value, str) and data.draw(st.booleans()) else VALUES)


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_other_value_in_the_manifest_is_found(bundle_path: Path, data: st.DataObject) -> None:
    right = msgspec.json.decode((BUILTIN / MANIFEST).read_bytes())
    wrong = altered(right, data)
    content = msgspec.json.format(msgspec.json.encode(wrong), indent=1) + b"\n"
    hypothesis.assume(msgspec.json.decode(content) != right)  # infinity is written as null
    (bundle_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=f"{MANIFEST}.*: "):
        Bundle.load(bundle_path)


def test_labels_that_are_swapped_are_found(bundle_path: Path) -> None:
    content = (bundle_path / MANIFEST).read_text()
    swapped = content.replace('"negative"', '"x"').replace('"positive"', '"negative"').replace('"x"', '"positive"')
    (bundle_path / MANIFEST).write_text(swapped)
    with pytest.raises(BundleError, match=r"bundle.json was altered: expected sha256 \w+..., found \w+...; copy"):
        Bundle.load(bundle_path)


def test_the_hash_of_a_manifest_is_that_of_its_file_without_it(builtin: Bundle) -> None:
    content = (BUILTIN / MANIFEST).read_bytes()
    assert hashlib.sha256(content.replace(builtin.sha256.encode(), b"")).hexdigest() == builtin.sha256
    assert builtin.manifest.content() == content
    other = msgspec.structs.replace(builtin.manifest, labels=("a", "b"))
    assert other.content() != content


def test_an_unknown_key_in_the_manifest_is_named(bundle_path: Path) -> None:
    content = (bundle_path / MANIFEST).read_bytes()
    (bundle_path / MANIFEST).write_bytes(content.replace(b'"hidden_size"', b'"hidden"', 1))
    with pytest.raises(BundleError, match=r"bundle.json: Object contains unknown field hidden at \$.subnetworks\[0\]"):
        Bundle.load(bundle_path)


def test_another_schema_version_is_refused(alter_manifest: Alter) -> None:
    with pytest.raises(BundleError, match=r"expected schema_version 8, found 4"):
        Bundle.load(alter_manifest(schema_version=4))


def test_sub_networks_with_the_same_name_are_refused(builtin: Bundle, alter_manifest: Alter) -> None:
    first = builtin.manifest.subnetworks[0]
    with pytest.raises(BundleError, match="expected sub-networks with ids of their own"):
        Bundle.load(alter_manifest(subnetworks=(first, first)))


def test_a_sub_network_needs_numbers_for_each_layer(builtin: Bundle, alter_manifest: Alter) -> None:
    first = msgspec.structs.replace(builtin.manifest.subnetworks[0], heads=(12,))
    with pytest.raises(BundleError, match=r"expected heads and ffn for each layer of w1.00-d1.00-int8-static; make"):
        Bundle.load(alter_manifest(subnetworks=(first,)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": ("a", "a")}, r"expected different labels, found a, a"),
        ({"max_length": 0}, r"Expected int >= 2 at \$.max_length"),
        ({"max_length": 2**40}, r"Expected int <= 1048576 at \$.max_length"),
        ({"inputs": ("foo",)}, r"Invalid enum value 'foo' at \$.inputs\[0\]"),
        ({"subnetworks": ()}, "expected sub-networks with ids of their own"),
    ],
)
def test_values_that_make_no_sense_are_refused(alter_manifest: Alter, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.load(alter_manifest(**wrong))
