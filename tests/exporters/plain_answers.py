"""Answers to questions, found by a plain search over all spans of all windows, as transformers 4's pipeline found them.

Written from what that pipeline does; shares no code with ours and takes transformers' own models and tokenizers.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch


def windows_of(tokenizer: Any, question: str, context: str, length: int, overlap: int) -> tuple[Any, int]:
    """Return transformers' encoding of the windows, and as which of its sequences they hold the context."""
    first = tokenizer.padding_side == "right"  # else the context comes first, as in XLNet's
    encoding = tokenizer(
        question if first else context,
        context if first else question,
        truncation="only_second" if first else "only_first",
        max_length=length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    return encoding, int(first)


def softmax(values: dict[int, float]) -> dict[int, float]:
    largest = max(values.values())
    total = math.fsum(math.exp(value - largest) for value in values.values())
    return {place: math.exp(value - largest) / total for place, value in values.items()}


def spans_of(
    encoding: Any, number: int, sequence: int, starts: Any, ends: Any, longest: int, count: int, words: bool
) -> Any:
    """Return the spans of a window as (score, start, end), the likeliest first, and the score of there being none."""
    row = encoding.encodings[number]
    context = [place for place, one in enumerate(row.sequence_ids) if one == sequence]
    none = 0 if sequence else len(row.ids) - 1
    first, last = (softmax({place: float(logits[place]) for place in (none, *context)}) for logits in (starts, ends))

    offsets, word_ids = row.offsets, row.word_ids

    def characters(begin: int, end: int) -> tuple[int, int]:
        if words and word_ids[begin] is not None and word_ids[end] is not None:
            left = row.word_to_chars(word_ids[begin], sequence)[0]
            return left, row.word_to_chars(word_ids[end], sequence)[1]
        return offsets[begin][0], offsets[end][1]

    pairs = [pair for pair in itertools.product(context, context) if 0 <= pair[1] - pair[0] < longest]
    pairs.sort(key=lambda pair: -first[pair[0]] * last[pair[1]])
    found = [(first[begin] * last[end], *characters(begin, end)) for begin, end in pairs[:count]]
    return found, first[none] * last[none]


def answers(
    model: Any,
    tokenizer: Any,
    question: str,
    context: str,
    *,
    length: int = 384,
    overlap: int | None = None,
    top_k: int = 1,
    longest: int = 15,
    words: bool = True,
    impossible: bool = False,
    threshold: float = 0.0,
) -> list[dict[str, Any]]:
    """Return the best answers, each {"score", "start", "end", "answer"}; "" is that there is none."""
    overlap = min(length // 2, 128) if overlap is None else overlap
    count = 2 * top_k + 10 if words else top_k
    encoding, sequence = windows_of(tokenizer, question, context, length, overlap)
    found: dict[str, dict[str, Any]] = {}
    nothing = math.inf
    for number, (starts, ends) in enumerate(logits_of(model, encoding)):
        spans, none = spans_of(encoding, number, sequence, starts, ends, longest, count, words)
        nothing = min(nothing, none)
        for score, begin, end in spans:
            text = context[begin:end].lstrip()
            start = end - len(text)
            one = found.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
            one["score"] += score

    ranked = [(one["score"], one) for one in found.values()]
    if impossible:
        none = {"score": nothing, "start": 0, "end": 0, "answer": ""}
        ranked.append((nothing * math.exp(-threshold), none))
    return [one for _, one in sorted(ranked, key=lambda pair: -pair[0])[:top_k]]


@torch.inference_mode()
def logits_of(model: Any, encoding: Any) -> Iterator[tuple[list[float], list[float]]]:
    """Yield the logits of where answers begin and end in each window, run alone."""
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoding]
    for rows in zip(*(encoding[name] for name in names), strict=True):
        found = model(**{name: torch.tensor([row]) for name, row in zip(names, rows, strict=True)})
        yield found.start_logits[0].tolist(), found.end_logits[0].tolist()
