"""What every sub-network of the built-in bundle answers: what the JavaScript side is compared with in browsers.

`PYTHONPATH=. python tests/answer_vectors.py` writes the answers to js/test/vectors/answers.json.
"""

import json
from pathlib import Path
from typing import Any

import edgebert
from edgebert.inputs.bundle import BUILTIN, Bundle

FILE = Path(__file__).parents[1] / "js" / "test" / "vectors" / "answers.json"

TEXTS = (
    "Superb!",
    "Not bad at all, and twice as long as it should be.",
    "A warm, funny and quietly moving film that earns every one of its laughs.",
    "The plot makes no sense, the jokes fall flat and the ending never comes.",
    "Delivered late & damaged: 2 of 5 stars, I want my $39.99 back!",
    "\u00c4rger, caf\u00e9, \u6771\u4eac and na\u00efve fa\u00e7ades \U0001f600",
    "It opens in a hospital corridor, moves to a farm by the sea, and in between it asks what three sisters who have "
    "not spoken for twenty years still owe each other; the answer takes two hours and is worth the wait.",
    "I went in expecting very little, since the trailer gives away the best two jokes and the reviews were "
    "lukewarm, but somewhere in the second half, when the brothers finally sit down in the empty restaurant and "
    "talk about their father, it becomes something else entirely: patient, generous and honest about how people "
    "avoid each other for years. The photography is plain and the songs are forgettable, yet I would gladly "
    "watch it again tomorrow, if only for the last ten minutes, which are as good as anything that I have seen "
    "this year.",
)


def written() -> dict[str, Any]:
    """Return the texts, and for each sub-network the labels and scores of all of them."""
    networks = {}
    for subnet in Bundle.load(BUILTIN).manifest.subnetworks:
        model = edgebert.load(subnet=subnet.id, provider="cpu", threads=1)
        answers = model(list(TEXTS))
        networks[subnet.id] = [{**answer, "score": round(answer["score"], 6)} for answer in answers]
    return {"texts": list(TEXTS), "networks": networks}


def main() -> None:
    vectors = written()
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(answers)}" for name, answers in vectors["networks"].items())
    texts = ",\n".join(map(json.dumps, vectors["texts"]))
    FILE.write_text(f'{{\n"texts": [\n{texts}\n],\n"networks": {{\n{rows}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
