"""Writes the test vectors of tasks, `tests/laws/tasks/*.json`: run it again where an answer changes on purpose."""

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import decoders
from vector_tokenizers import recorded, tokenizer_of, units

from edgebert.inputs.bundle import Bundle
from edgebert.inputs.manifest import EmbeddingSettings
from edgebert.inputs.tokenization import Tokenizer, Tokens
from edgebert.tasks.embeddings import Embeddings
from edgebert.tasks.task import Outputs, Task
from edgebert.tasks.tasks import tasks_of

FOLDER = Path(__file__).parents[1] / "laws" / "tasks"

Json = Any


def task_of(facts: Json) -> Task:
    """Return the task of the built-in bundle, if it were one of these facts."""
    builtin = Bundle.load().manifest
    embedding = facts["embedding"] and msgspec.convert(facts["embedding"], EmbeddingSettings)
    threshold = facts["no_answer_threshold"]
    subnet = msgspec.structs.replace(builtin.subnetworks[0], no_answer_threshold=threshold)
    said = {"task": facts["task"], "labels": tuple(facts["labels"]), "embedding": embedding}
    return tasks_of(msgspec.structs.replace(builtin, **said, subnetworks=(subnet,)))[subnet.id]


def facts(task: str, labels: Sequence[str] = (), embedding: Json = None, threshold: float | None = None) -> Json:
    return {"task": task, "labels": list(labels), "embedding": embedding, "no_answer_threshold": threshold}


def outputs_of(outputs: Json) -> Outputs:
    return {name: _numbers(**one) for name, one in outputs.items()}


def _numbers(dims: list[int], data: Sequence[float | str] = (), at: int | None = None) -> NDArray[np.float32]:
    """Return numbers that are given, as text where JSON has none such, or those of the table from a place on."""
    if at is not None:
        data = np.resize(np.roll(table(), -at), np.prod(dims)).tolist()
    return np.array(list(map(float, data)), np.float32).reshape(dims)


@functools.cache
def table() -> list[float]:
    """Return random numbers, of which outputs are made so that each case need not write its own down."""
    found: list[float] = json.loads((FOLDER / "table.json").read_text(encoding="utf-8"))
    return found


def expected_of(tokenizer: Tokenizer, task: Task, case: Json) -> Json:
    """Return the rows of a case's texts, and what is answered to the outputs for them."""
    asked = task.options(case["options"])
    rows = [task.rows(text, tokenizer, asked) for text in map(_text, case["texts"])]
    found = iter(task.results(outputs_of(case["outputs"]), list(itertools.chain(*rows)), asked))
    results = [task.joined(list(itertools.islice(found, len(own))), asked) for own in rows]
    answers = task.shaped(task.answers(results, asked), case["form"], asked, ["a"] * len(rows))
    # Both tasks whose answers have places are asked for one text at a time.
    return {"rows": [_row(row) for own in rows for row in own], "answers": _in_units(answers, rows[0][0].text)}


def _text(given: Json) -> Any:
    return given if isinstance(given, str) else tuple(given)


def _row(row: Tokens) -> Json:
    spans = [span and units(row.text, span) for span in row.spans]
    return {"ids": list(row.ids), "types": list(row.types), "spans": spans}


def _in_units(answers: Json, text: str) -> Json:
    if isinstance(answers, Embeddings):
        said = {"space": answers.space, "networks": list(answers.networks), "dims": list(answers.shape)}
        return {**said, "data": answers.ravel().tolist()}
    if isinstance(answers, list):
        return [_in_units(one, text) for one in answers]
    if "start" not in answers:
        return answers
    start, end = units(text, (answers["start"], answers["end"]))
    return {**answers, "start": start, "end": end}


LABELS = ("good", "bad", "\u00e9t\u00e9", "so-so", "good, or bad")
CHOICES: list[Json] = [{}, {"top_k": 1}, {"top_k": 3}, {"top_k": 9}, {"top_k": None}, {"top_k": "best"}]
# Scores that are equal in float32, or nearly so, and logits whose exponentials overflow.
ODD_ROWS = [
    [3.1, -0.2, 1.7, 3.05, 0.4],
    [0.0] * 5,
    [1, 2, 2, 1, 2],
    [16.6, 16.7, 17, 30, 40],
    [300, -70, 299, 70, 300],
    [-3, -3.000001, -3, -85, 0],
]


def label_cases() -> Iterator[Json]:
    for task, options in itertools.product(("text-classification", "multi-label-text-classification"), CHOICES):
        yield label_case(facts(task, LABELS), options, ODD_ROWS)
    for task, options in itertools.product(("text-classification", "text-regression"), CHOICES[:3:2]):
        yield label_case(facts(task, LABELS[:1]), options, [[-0.37], [0.0], [88.0], [-88.0]])
    yield label_case(facts("text-regression", LABELS[:2]), {"top_k": None}, [[0.5, -0.25], [1, 1]])
    for form, options in itertools.product(("text", "dict", "several"), CHOICES[::2]):
        yield label_case(facts("text-classification", LABELS), options, [[3, 1, 4, 1, 5]], form)


def label_case(task: Json, options: Json, logits: list[list[float]], form: str = "several") -> Json:
    texts = ["the film", ["the film", "a child"]] * len(logits)
    return case_of(task, options, texts[: len(logits)], {"logits": given(logits)}, form)


def case_of(task: Json, options: Json, texts: Json, outputs: Json, form: str = "text") -> Json:
    return {"task": task, "options": options, "form": form, "texts": texts, "outputs": outputs}


def given(numbers: Any) -> Json:
    numbers = np.array(numbers)
    return {"dims": list(numbers.shape), "data": numbers.ravel().tolist()}


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "MISC", "X-Y", "B-X-Y")
TAGGED = [
    "Anna Berlin-Smith doesn't watch the films, do not ask!",
    "\U0001f600 \U0001d49c\U0001d4b7 \U0001f468\u200d\U0001f469  Anna\u2019s \u00e9t\u00e9  e\u0301t\u00e9s"
    " \u6771\U0002f852 [MASK] films",
    "the film " * 14 + "Anna",
    "a",
    "\u200b",
    "unbelievable antidisestablishmentarianism x\ty\u00a0z   Anna [UNK] ?",
]
STRATEGIES = [{}, *({"aggregation_strategy": one} for one in ("simple", "first", "average", "max"))]
IGNORED: list[Json] = [{}, {"ignore_labels": []}, {"ignore_labels": ["O", "PER", "B-LOC"]}]


def tag_cases(name: str) -> Iterator[Json]:
    texts = TAGGED if name == "builtin" else TAGGED[1:2]
    for number, (text, strategy) in enumerate(itertools.product(texts, STRATEGIES)):
        yield tag_case(name, text, {**strategy, **IGNORED[number % 3]}, 10 * number)
    for number, (text, strategy) in enumerate(itertools.product(texts[:3], STRATEGIES[1:])):
        yield tag_case(name, text, {**strategy, "stride": (0, 5, 9)[number % 3]}, 7 * number)
    for strategy in STRATEGIES[:: 1 if name == "builtin" else 4]:  # all labels are equally likely
        yield tag_case(name, TAGGED[0], {**strategy, "ignore_labels": []}, None)


def tag_case(name: str, text: str, options: Json, at: int | None) -> Json:
    task = facts("token-classification", TAGS)
    shape = [*shape_of(name, task, text, options), len(TAGS)]
    logits = given(np.zeros(shape, int)) if at is None else {"dims": shape, "at": at}
    return case_of(task, options, [text], {"logits": logits})


def shape_of(name: str, task: Json, text: Any, options: Json) -> list[int]:
    """Return the shape (batch, length) of the rows of a text."""
    rows = task_of(task).rows(text, tokenizer_of(name), task_of(task).options(options))
    return [len(rows), max(len(row.ids) for row in rows)]


CONTEXTS = [
    "Five adults and a child watch the film. The Film is long; five ADULTS do not!",
    "\U0001f600\U0001f600 Caf\u00e9s in \u6771\u4eac: unbelievably  good\u2026 \U0001d49cnna\u2019s e\u0301t\u00e9"
    " [MASK] \u00a3100 ends here",
    "yes  [MASK]",
    "\u200b",
]
ASKED: list[Json] = [
    {},
    {"top_k": 4},
    {"top_k": 3, "handle_impossible_answer": True},
    {"handle_impossible_answer": True},
    {"handle_impossible_answer": False, "max_answer_len": 2},
    {"doc_stride": 0, "top_k": 9, "align_to_words": False},
    {"doc_stride": 14, "top_k": 2, "max_answer_len": 500},
]


def answer_cases(name: str) -> Iterator[Json]:
    contexts = CONTEXTS if name == "builtin" else CONTEXTS[1:3]
    asked = ASKED if name == "builtin" else ASKED[:-1]
    for number, (context, options) in enumerate(itertools.product(contexts, asked)):
        for threshold in (None, -7.0, 5.0) if options in ASKED[:5:2] else (None,):
            yield answer_case(name, ["who is it?", context], options, threshold, 31 * number)
    if name == "builtin":  # a question that is cut
        yield answer_case(name, ["why " * 30, CONTEXTS[1]], {}, None, 0)


def answer_case(name: str, text: list[str], options: Json, threshold: float | None, at: int) -> Json:
    task = facts("question-answering", threshold=threshold)
    shape = shape_of(name, task, tuple(text), options)
    # The table has so many digits that no two spans are equally likely: which of these comes first is said nowhere.
    outputs = {"start_logits": {"dims": shape, "at": at}, "end_logits": {"dims": shape, "at": at + 400}}
    return case_of(task, options, [text], outputs)


SETTINGS = {"space": "ab" * 32, "similarity": "cosine", "prompts": {"query": "find: ", "none": ""}}
VECTOR_OPTIONS: list[Json] = [{}, {"dims": 6}, {"dims": 12, "prompt_name": "none"}, {"prompt_name": "query"}]
VECTOR_OPTIONS += [{"prompt": "say: ", "dims": 6}, {"prompt": "", "prompt_name": "query"}]


def vector_cases() -> Iterator[Json]:
    asked = itertools.product((True, False), (None, "query"), VECTOR_OPTIONS)
    for number, (is_normalized, default, options) in enumerate(asked):
        said = {**SETTINGS, "dims": [12, 6], "is_normalized": is_normalized, "default_prompt": default}
        task, texts = facts("sentence-embedding", embedding=said), ["the film", "\u00e9t\u00e9"]
        yield case_of(task, options, texts, {"embedding": {"dims": [2, 12], "at": 20 * number}}, "several")
    yield case_of(task, {}, ["a"], {"embedding": {"dims": [1, 12], "at": 0}})
    yield case_of(task, {}, ["a"], {"embedding": {"dims": [1, 15], "at": 0}})  # cut to all dims
    yield case_of(task, {"dims": 6}, ["a"], {"embedding": given(np.zeros((1, 12), int))})


def similarity_cases() -> Iterator[Json]:
    random = np.random.default_rng(5)
    first, second = random.normal(size=(3, 7)).round(3), random.normal(size=(4, 7)).round(3)
    first[1] = second[2] = 0
    for kind in ("cosine", "dot", "euclidean", "manhattan"):
        yield {"similarity": kind, "first": first.tolist(), "second": second.tolist()}
        yield {"similarity": kind, "first": first[0].tolist(), "second": second.tolist()}


def similarities_of(case: Json) -> Json:
    said = {**SETTINGS, "dims": [7], "is_normalized": False, "default_prompt": None, "similarity": case["similarity"]}
    return task_of(facts("sentence-embedding", embedding=said)).similarity(case["first"], case["second"]).tolist()


NAMES = [
    "do",
    "##s",
    "##",
    ".",
    ",",
    "!",
    "?",
    "'",
    "n't",
    "'m",
    "'s",
    "'ve",
    "'re",
    "do not",
    "a ' b",
    "@@x",
    "x .",
    "do",
]
NAMES += ["\u00e9", "[UNK]", "##'s", "not", " ", ""]


def decoder_cases() -> Iterator[Json]:
    random = np.random.default_rng(6)
    for prefix, cleanup in itertools.product(("##", "@@"), (True, False)):
        decoder = {"type": "WordPiece", "prefix": prefix, "cleanup": cleanup}
        for _ in range(12):
            yield {"decoder": decoder, "names": [NAMES[one] for one in random.integers(0, len(NAMES), 6)]}
    yield {"decoder": None, "names": NAMES[:4]}


def joined_of(case: Json) -> str:
    decoder = case["decoder"] and decoders.WordPiece(case["decoder"]["prefix"], case["decoder"]["cleanup"])
    return str(decoder.decode(case["names"])) if decoder else " ".join(case["names"])


def refused_cases() -> Iterator[Json]:
    """Yield outputs that no answer can be made of, for inputs of shape (2, 3)."""
    two, four = facts("text-classification", LABELS[:2]), [0.5, 1, -1, 0]
    yield refused(two, {})
    yield refused(two, {"scores": [[2, 2], four]})
    for dims in ([1, 4], [4, 1], [2, 2, 1]):
        yield refused(two, {"logits": [dims, four]})
    for odd in ("NaN", "Infinity", "-Infinity"):
        yield refused(two, {"logits": [[2, 2], [*four[:3], odd]]})
    yield refused(facts("token-classification", LABELS[:2]), {"logits": [[2, 2], four]})
    yield refused(facts("question-answering"), {"start_logits": [[2, 3], [0.0] * 6]})
    said = {**SETTINGS, "dims": [4, 2], "is_normalized": True, "default_prompt": None}
    yield refused(facts("sentence-embedding", embedding=said), {"embedding": [[2, 2], four]})
    for task in ("text-classification", "text-regression", "token-classification", "sentence-embedding", "other"):
        yield refused(facts(task), {})


def refused(task: Json, outputs: dict[str, list[Any]]) -> Json:
    return {"task": task, "outputs": {name: {"dims": dims, "data": data} for name, (dims, data) in outputs.items()}}


def message_of(case: Json) -> str:
    try:
        task_of(case["task"]).check_outputs(outputs_of(case["outputs"]), (2, 3))
    except Exception as problem:
        return str(problem)
    raise AssertionError("expected an error, found none")


def laws() -> dict[str, Json]:
    """Return what every file holds, by its name."""
    found = {"labels": answered("builtin", label_cases()), "embeddings": answered("builtin", vector_cases())}
    for end, name in (("", "builtin"), ("_cased", "cased"), ("_sentence_pieces", "sentence pieces")):
        found[f"tags{end}"] = answered(name, tag_cases(name))
    for end, name in (("", "builtin"), ("_cased", "cased")):
        found[f"answers{end}"] = answered(name, answer_cases(name))
    found["similarities"] = {"cases": [{**case, "expected": similarities_of(case)} for case in similarity_cases()]}
    found["decoders"] = {"cases": [{**case, "expected": joined_of(case)} for case in decoder_cases()]}
    found["refused"] = {"cases": [{**case, "expected": message_of(case)} for case in refused_cases()]}
    return found | {"blanks": {"cases": [{"expected": blanks()}]}}


def blanks() -> list[int]:
    """Return the characters that a text may not consist of alone."""
    return [code for code in range(0x110000) if chr(code).isspace()]


def answered(name: str, cases: Iterable[Json]) -> Json:
    """Return cases with what is answered; tasks stand beside them, and rows are told where they first occur."""
    tasks: list[Json] = []
    told: set[str] = set()
    found = []
    for case in cases:
        expected = expected_of(tokenizer_of(name), task_of(case["task"]), case)
        text = json.dumps(expected["rows"])
        if text in told:
            del expected["rows"]
        told.add(text)
        if case["task"] not in tasks:
            tasks.append(case["task"])
        found.append({**case, "task": tasks.index(case["task"]), "expected": expected})
    parts = {part for case in found for text in case["texts"] for part in ([text] if isinstance(text, str) else text)}
    settings = tasks[0]["embedding"]
    prompts = ["", "find: ", "say: "] if settings else [""]
    texts = sorted(prompt + part for prompt in prompts for part in parts)
    return {"tokenizer": recorded(name, texts), "tasks": tasks, "cases": found}


def main() -> None:
    """Write the files, each case in a line of its own."""
    numbers = np.random.default_rng(1).normal(0, 2.5, 997).round(4).tolist()
    (FOLDER / "table.json").write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    for name, law in laws().items():
        cases = ",\n".join(json.dumps(rounded(case), separators=(",", ":")) for case in law.pop("cases"))
        start = "".join(f'"{key}":{json.dumps(value, separators=(",", ":"))},\n' for key, value in law.items())
        (FOLDER / f"{name}.json").write_text(f'{{{start}"cases":[\n{cases}\n]}}\n', encoding="utf-8")


def rounded(case: Json) -> Json:
    """Return a case with no more digits than float32 has, and than who compares looks at."""
    if isinstance(case, float):
        return float(f"{case:.9g}")
    if isinstance(case, dict):
        return {key: rounded(value) for key, value in case.items()}
    return list(map(rounded, case)) if isinstance(case, list) else case


if __name__ == "__main__":
    main()
