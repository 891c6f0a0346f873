from pathlib import Path

import pytest

from edgebert.elastic_manifest import ElasticManifest, Slice
from edgebert.errors import ExportError

MANIFEST = ElasticManifest(
    schema_version=1,
    method="dynabert",
    widths=(0.25, 1.0),
    depths=(0.5, 1.0),
    rewired=True,
    origin="x",
    subnetworks=(Slice(id="a", layers=(0, 2), heads=(3, 4), ffn=(10, 20)),),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert ElasticManifest.load(tmp_path) is None
    MANIFEST.save(tmp_path)
    assert ElasticManifest.load(tmp_path) == MANIFEST


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path)
    content = (tmp_path / "elastic.json").read_text().replace('"ffn"', '"neurons"')
    (tmp_path / "elastic.json").write_text(content)
    with pytest.raises(
        ExportError, match=r"elastic.json: Object contains unknown field neurons at \$.subnetworks\[0\]"
    ):
        ElasticManifest.load(tmp_path)
