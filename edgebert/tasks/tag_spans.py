"""Spans of tagged words, counted as seqeval does by default. Knows nothing about networks and tokens."""

from collections.abc import Sequence

import numpy as np

from edgebert.tasks.task import Counts

Span = tuple[str, int, int]  # its type, and the places of its first and its last word among those of all texts

OUTSIDE = "O"


def span_counts(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> Counts:
    """Return the two sides of span F1 for each text, given the tags of its words by the network and by people.

    They are twice the number of spans that are right from end to end, and the spans found plus the spans wanted.
    """
    spans_found, spans_wanted = spans_of(found), spans_of(wanted)
    pairs = list(zip(spans_found, spans_wanted, strict=True))
    gained = [2 * len(ours & right) for ours, right in pairs]
    return np.array(gained, np.int64), np.array([len(ours) + len(right) for ours, right in pairs], np.int64)


def spans_of(texts: Sequence[Sequence[str]]) -> list[set[Span]]:
    """Return the spans of each text by the tags of its words, as seqeval's `get_entities` reads them.

    Tags are B-TYPE, I-TYPE, E-TYPE and S-TYPE, and O outside of spans. An I without a B before it begins a span, as in
    IOB1. What has another form is read by its first letter, and the rest of it is the type.
    """
    spans: list[set[Span]] = []
    # Seqeval reads one text after the other as one: what no tag began is taken to begin where the last span did.
    place = first = 0
    last_tag, last_type = OUTSIDE, ""
    for tags in texts:
        spans.append(set())
        for tag in (*tags, OUTSIDE):
            letter, kind = tag[:1], tag[1:].split("-", maxsplit=1)[-1] or "_"
            if _ends(last_tag, letter, changes=last_type != kind):
                spans[-1].add((last_type, first, place - 1))
            if _begins(last_tag, letter, changes=last_type != kind):
                first = place
            last_tag, last_type, place = letter, kind, place + 1
    return spans


def _ends(before: str, tag: str, *, changes: bool) -> bool:
    """Return whether a span ends between two tags, which differ in their types or not."""
    return before in "ES" or (before in "BI" and tag in "BSO") or (changes and before not in "O.")


def _begins(before: str, tag: str, *, changes: bool) -> bool:
    """Return whether a span begins with the second of two tags."""
    return tag in "BS" or (before in "ESO" and tag in "EI") or (changes and tag not in "O.")
