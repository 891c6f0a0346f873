"""What js/test says of tokens is what is so here: its tests of tokens and of Unicode read the same files."""

import json

import token_vectors
from tokenizers import normalizers

DEVIATIONS = json.loads((token_vectors.FILE.parents[1] / "unicode-deviations.json").read_bytes())


def test_texts_become_the_tokens_of_the_vectors() -> None:
    expected = json.loads(token_vectors.FILE.read_bytes())
    assert len(expected["cases"]) >= 40
    assert json.loads(json.dumps(token_vectors.written())) == expected


def test_the_library_puts_marks_into_unicodes_order() -> None:
    order = DEVIATIONS["order"]
    for case in order["texts"]:
        assert normalizers.BertNormalizer().normalize_str(case["text"]) == case["library"]
    for case in order["offsets"]:
        found = token_vectors.expected("as it is", 128, case["text"])
        assert found["pieces"]["offsets"] == case["library"]
