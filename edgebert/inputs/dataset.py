"""Reads data files row by row: TSV, CSV, JSON, CoNLL and plain text, of any size. Knows nothing about models."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.errors import EdgeBertError
from edgebert.inputs import text_file
from edgebert.inputs.json_rows import json_rows
from edgebert.inputs.squad import answers_in, is_nested, question_rows, starts_in
from edgebert.inputs.text_file import MOST_CHARACTERS, TextFile
from edgebert.inputs.tokenization import Text

# What columns are called, our own names first, in lower case. The two of a couple mean a text and its pair only where
# both are there: in GLUE, SQuAD, SNLI and most data sets on the Hugging Face hub.
_TEXTS = ("text", "sentence")
_PAIRS = ("pair", "text_pair")
_COUPLES = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "context"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("#1 string", "#2 string"),
)
# In this order: the last ones are GLUE's, and mean a label only where no column is called one. The file of answers
# that `predict --out` writes has a score beside its label.
_LABELS = (
    *(("label", "labels", "gold_label"), ("answers",), ("answer",), ("is_duplicate", "score", "quality")),
    ("tags", "ner_tags"),
)
# Beside a list of words, whose tags come first: conll2003's rows are numbered, and others say what a whole text is.
_WORDS = "tokens"
_TAGS = (("tags", "ner_tags"), ("label", "labels"))
_STARTS = ("start", "answer_start")
_NUMBERS = ("", "id", "idx", "index")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|\t])"?[\r\n]*$', re.IGNORECASE)
_FORMS = {
    **{".tsv": "tsv", ".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json"},
    **dict.fromkeys((".conll", ".bio", ".iob", ".iob2"), "conll"),
}
_KNOWN = {*_TEXTS, *_PAIRS, *_NUMBERS, *itertools.chain(*_LABELS, *_COUPLES)}

# A row as it was read: the line on which it begins, perhaps with a name of it, the names of its columns, and their
# values; a header has none.
Row = tuple[int | str, Sequence[str], Sequence[Any]]


@dataclass(frozen=True)
class Example:
    """One row of a data file: its text, the pair and the label if it has them, and where it stands.

    A label is text as it was read; a list of them, as JSON may give for a text, is a tuple. Of answers `starts` are the
    places of their first characters in the pair, where the file says so. `words` are the characters (start, end) of
    each word where a row came as a list of words, which are joined by blanks; None elsewhere.
    """

    text: str
    pair: str | None
    label: str | tuple[str, ...] | None
    place: str
    starts: tuple[int, ...] | None = None
    words: tuple[tuple[int, int], ...] | None = None

    @property
    def input(self) -> Text:
        """The text, or the (text, pair) tuple, as a Predictor takes it."""
        return self.text if self.pair is None else (self.text, self.pair)


def read_examples(path: str | Path, *, streams: bool = False) -> Iterator[Example]:
    """Yield the rows of a file, or with `streams` also of a pipe or, for "-", of standard input.

    The ending says what it holds: .tsv, .csv, .json or .jsonl, perhaps before .gz. Under other endings a first line
    that is a header or a JSON object says so, and else each line is a text. Columns are `text`, `pair` and `label`, the
    last two optional, or common other names of them; any others are passed over, and so are blank lines of a table and
    what is blank at the end of the file. JSON may give several labels as a list, and a text as a list of words, called
    `tokens`, with a label for each. So may CoNLL files (.conll, .bio, .iob, .iob2): a word a line with its tag in the
    last column, and a blank line behind each text. SQuAD's files are read as they are.

    Raises:
        EdgeBertError: the file cannot be read, is empty or not UTF-8, a row is incomplete or has other columns than
            those before it, or two columns could be meant; names the line.
    """
    with text_file.opened(path, streams=streams) as file:
        examples = _examples(_rows(file), file.name)
        first = next(examples, None)
        if first is None:
            raise EdgeBertError(f"{file.name} is empty; expected at least one text")
        yield first
        yield from examples


def _rows(file: TextFile) -> Iterator[Row]:
    first = file.line()
    form = _FORMS.get(file.ending) or _form_of(first)
    if form == "json":
        # Null is what pandas writes for nothing, and NaN, which alone is not itself, what Python does.
        for number, row in question_rows(file, first) if is_nested(first) else json_rows(file, first):
            present = {key: value for key, value in row.items() if value is not None and value == value}
            yield number, list(present), list(present.values())
    else:
        yield from {"tsv": _tsv_rows, "csv": _csv_rows, "conll": _conll_rows, "plain": _plain_rows}[form](file, first)


def _form_of(first: str) -> str:
    """Return what a file of another ending holds by its first line: a header would else be answered as a text."""
    if re.match(r'\s*(\[\s*)?\{\s*"', first) or first.strip() in ("[", "{"):
        return "json"
    for form, separator in (("tsv", "\t"), ("csv", ","), ("csv", ";")):
        names = [_plain_name(cell.strip().strip('"')) for cell in first.split(separator)]
        if sum(name in _KNOWN for name in set(names)) > 1 and _places_of_texts(names):
            return form
    return "plain"


def _plain_rows(file: TextFile, first: str) -> Iterator[Row]:
    names = ("text",)
    for number, line in enumerate(file.lines(first), 1):
        yield number, names, (line.rstrip("\r\n"),)


def _conll_rows(file: TextFile, first: str) -> Iterator[Row]:
    """Yield the words of each text, and their tags where lines have more than one column."""
    names: Sequence[str] = ()
    cells: list[list[str]] = []
    begin = 0
    # A blank line more than the file has, so that its last text ends too.
    for number, line in enumerate(itertools.chain(file.lines(first), ("",)), 1):
        found = line.strip("\r\n").split("\t") if "\t" in line else line.split()
        if not line.strip() or found[0] == "-DOCSTART-":
            if cells:
                yield begin, names, [list(column) for column in zip(*cells, strict=True)]
            cells = []
            continue
        begin = begin if cells else number
        names = names or ((_WORDS, "tags") if len(found) > 1 else (_WORDS,))
        if min(len(found), 2) != len(names):
            expected = f"expected a word{' and its tag' * (len(names) > 1)} as in the lines before"
            raise EdgeBertError(f"{file.name}:{number}: {expected}, found {line.strip()[:40]!r}; correct the line")
        cells.append([found[0], found[-1].strip()][: len(names)])


def _tsv_rows(file: TextFile, first: str) -> Iterator[Row]:
    rows = ((number, line.rstrip("\r\n")) for number, line in enumerate(file.lines(first), 1))
    cells = ((number, _tsv_cells(line)) for number, line in rows if line.strip(" "))
    return _table_rows(cells, file.name, "check its tabs")


def _tsv_cells(line: str) -> list[str]:
    cells = line.split("\t")
    return list(map(_unquoted, cells)) if '""' in line else cells


def _unquoted(cell: str) -> str:
    """Return a cell as it was before pandas put it in quotes for the quotes in it; any other as it is."""
    if len(cell) < 4 or not cell[0] == cell[-1] == '"':
        return cell
    inner = cell[1:-1].replace('""', "\0")  # a character that no text has
    return inner.replace("\0", '"') if "\0" in inner and '"' not in inner else cell


def _csv_rows(file: TextFile, first: str) -> Iterator[Row]:
    import csv  # only here, since every import of edgebert would take longer for it

    # The default of 128 kB would refuse a long text. It holds for the whole process, so it is never made smaller.
    csv.field_size_limit(max(csv.field_size_limit(), MOST_CHARACTERS))
    # Spreadsheets write semicolons where the comma is the decimal point; some programs say so in a line of their own.
    told = _SEPARATOR_LINE.match(first)
    separator = told[1] if told else next((one for one in ",;\t" if one in first), ",")
    # Strict, or a quote that is never closed would swallow the rest of the file. A header with a space after its commas
    # says that there is one in all rows, where a quote begins a field all the same.
    spaced = f"{separator} " in first
    reader = csv.reader(file.lines(first), delimiter=separator, strict=True, skipinitialspace=spaced)
    number = 1

    def rows() -> Iterator[tuple[int, list[str]]]:
        nonlocal number
        for row in reader:
            is_told = told and number == 1
            if row and (len(row) > 1 or row[0].strip()) and not is_told:
                yield number, row
            number = reader.line_num + 1

    try:
        yield from _table_rows(rows(), file.name, "put cells that hold a separator in quotes")
    except csv.Error as problem:
        raise EdgeBertError(f"{file.name}:{number}: {problem}; check the quotes of the row that begins here") from None


def _table_rows(rows: Iterator[tuple[int, list[str]]], name: str, advice: str) -> Iterator[Row]:
    number, header = next(rows, (1, []))
    if not header:
        return
    if len(header) == 1 and any(separator in header[0] for separator in ",;"):
        found = f"found {header[0][:80]!r}; call it .csv"
        raise EdgeBertError(f"{name}:{number}: expected columns separated by tabs, {found}")
    yield number, header, ()
    for number, cells in rows:
        if len(cells) != len(header):
            found = f"expected {len(header)} columns as in the header, found {len(cells)}"
            raise EdgeBertError(f"{name}:{number}: {found}; {advice}")
        # Of files that were joined; a text alone may say "text".
        if cells == header and len(cells) > 1:
            raise EdgeBertError(f"{name}:{number}: expected a row, found the header once more; leave the line out")
        yield number, header, cells


def _examples(rows: Iterable[Row], name: str) -> Iterator[Example]:
    names: Sequence[str] = ()
    columns: _Columns | None = None
    blank: int | str | None = None
    for number, found, values in rows:
        # JSON may leave out what is null, and so have other keys in each row.
        if columns is None or (found is not names and found != names):
            names, columns = found, _columns_of(found, f"{name}:{number}", columns)
        if _is_blank(values):
            blank = blank or (number if values else None)
        elif blank:
            # At the end of a file it is what editors and spreadsheets leave there; here a text is missing.
            raise EdgeBertError(f"{name}:{blank}: expected a text, found an empty one; leave the line out")
        else:
            yield columns.example(values, f"{name}:{number}")


def _is_blank(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and not value.strip() for value in values)


@dataclass(frozen=True)
class _Column:
    """A column by its place in a row, and its name as the file has it."""

    place: int
    name: str

    def text(self, values: Sequence[Any], place: str) -> str:
        """Return the text that a row has in this column, or raise an EdgeBertError."""
        text = values[self.place]
        if not isinstance(text, str):
            is_table = isinstance(text, dict)  # as pandas writes a whole table by default
            advice = "write an object for each row (pandas: orient='records')" if is_table else "write it as a string"
            found = f"found {str(text)[:40]}; {advice}"
            raise EdgeBertError(f"{place}: expected a text in '{self.name}', {found}")
        if not text.strip():
            raise EdgeBertError(f"{place}: expected a text in '{self.name}', found an empty one; leave the line out")
        self.check_unicode(text, place)
        return text

    def words(self, values: Sequence[Any], place: str) -> list[str] | None:
        """Return the words that a row has in this column; None where it has a text."""
        words = values[self.place]
        if isinstance(words, str) and words.startswith("[") and words.endswith("]"):  # as pandas writes a list
            advice = "separate them by blanks, or write a list in a .jsonl file"
            raise EdgeBertError(f"{place}: expected words in '{self.name}', found {words[:40]!r}; {advice}")
        if not isinstance(words, list):
            return None
        if not all(isinstance(word, str) for word in words):
            found = next(word for word in words if not isinstance(word, str))
            expected = f"expected a list of words in '{self.name}', found {str(found)[:40]}"
            raise EdgeBertError(f"{place}: {expected}; write each as a string")
        return words

    def label(self, values: Sequence[Any], place: str) -> str | tuple[str, ...]:
        """Return the label that a row has in this column, or several of a list, or raise an EdgeBertError."""
        value = values[self.place]
        ones = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str | int | float) and one == one for one in ones):
            found = f"found {str(value)[:40]}; give text, a number or a list of them"
            raise EdgeBertError(f"{place}: expected a label in '{self.name}', {found}")
        labels = tuple(str(one).strip() for one in ones)  # white space around a label is never meant
        self.check_unicode("".join(labels), place)
        return labels if isinstance(value, list) else labels[0]

    def check_unicode(self, text: str, place: str) -> None:
        """Raise an EdgeBertError for half of a surrogate pair, which is no character and which JSON can write."""
        if text.isascii():
            return
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            found = f"found \\u{ord(text[problem.start]):04x}, which is half of one; write both halves"
            raise EdgeBertError(f"{place}: expected characters in '{self.name}', {found}") from None


@dataclass(frozen=True)
class _Columns:
    """Which columns hold the text, the pair, the label and where an answer begins; None for what a file has not."""

    text: _Column
    pair: _Column | None
    label: _Column | None
    starts: _Column | None

    def example(self, values: Sequence[Any], place: str) -> Example:
        """Return what a row's values mean."""
        words = self.text.words(values, place) if _plain_name(self.text.name) == _WORDS else None
        if words is not None:
            values = [*values[: self.text.place], " ".join(words), *values[self.text.place + 1 :]]
        places = None if words is None else _places_of_words(words)
        text = self.text.text(values, place)
        pair = None if self.pair is None else self.pair.text(values, place)
        if self.label is None:
            return Example(text, pair, None, place, words=places)
        answers = answers_in(values[self.label.place])
        if answers is not None:
            self.label.check_unicode("".join(answers[0]), place)
            return Example(text, pair, answers[0], place, answers[1])
        label = self.label.label(values, place)
        count = len(label) if isinstance(label, tuple) else 1
        starts = None if self.starts is None else starts_in(values[self.starts.place], count)
        return Example(text, pair, label, place, starts, places)


def _places_of_words(words: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the characters (start, end) of words in a text that joins them by blanks."""
    ends = itertools.accumulate(len(word) + 1 for word in words)
    return tuple((end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True))


def _columns_of(names: Sequence[str], place: str, before: _Columns | None) -> _Columns:
    """Return which of some columns hold what: the same as in the rows before, if there are any."""
    plain = [_plain_name(name) for name in names]

    def only(places: Iterable[int], meaning: str) -> _Column | None:
        found = sorted(set(places))
        if len(found) > 1:
            both = " and ".join(f"'{names[one]}'" for one in found)
            raise EdgeBertError(f"{place}: expected one column for the {meaning}, found {both}; rename the others")
        return _Column(found[0], names[found[0]]) if found else None

    has_words = _WORDS in plain and (not _places_of_texts(plain) or not set(_TAGS[0]).isdisjoint(plain))
    lists = (number for number, name in enumerate(plain) if name == _WORDS)
    text = only(lists if has_words else _places_of_texts(plain), "text")
    if text is None:
        raise EdgeBertError(f"{place}: {_no_text(names, plain)}")
    partners = set() if has_words else {second for first, second in _COUPLES if first == plain[text.place]} | {*_PAIRS}
    pair = only((number for number, name in enumerate(plain) if name in partners), "pair")
    called = next((names for names in (_TAGS if has_words else _LABELS) if not set(names).isdisjoint(plain)), ())
    label = only((number for number, name in enumerate(plain) if name in called), "label")
    # Of other tasks a column of such a name is passed over, so several are no error.
    start = next((_Column(number, names[number]) for number, name in enumerate(plain) if name in _STARTS), None)
    found = _Columns(text, pair, label, start)
    if before:
        _check_same(before, found, place)
    return found


def _plain_name(name: str) -> str:
    return name.strip().casefold()


def _places_of_texts(names: Sequence[str]) -> list[int]:
    """Return the places of all columns that may hold the text; the second of a couple is a pair, whatever its name."""
    couples = [couple for couple in _COUPLES if set(couple) <= set(names)]
    firsts, seconds = {first for first, _ in couples}, {second for _, second in couples}
    return [number for number, name in enumerate(names) if name in firsts or (name in _TEXTS and name not in seconds)]


def _no_text(names: Sequence[str], plain: Sequence[str]) -> str:
    """Return what is wrong with columns of which none holds a text."""
    if {"version", "data"} <= set(plain) or "paragraphs" in plain:
        return "expected SQuAD's file with its articles in 'data'; give it as it was, or a row for each question"
    found = ", ".join(names)[:80] or "none"
    return f"expected a column 'text', found {found}; name the columns in the first line, or in every object of JSON"


def _check_same(before: _Columns, found: _Columns, place: str) -> None:
    """Raise an EdgeBertError if a row of JSON has its text elsewhere than those before, or a pair and they none."""
    if (before.pair is None) != (found.pair is None):
        raise EdgeBertError(f"{place}: expected a pair in every row or in none; leave such rows out")
    for one, other in ((before.text, found.text), (before.pair, found.pair), (before.label, found.label)):
        if one and other and one.name != other.name:
            found_name = f"found '{other.name}'; rename it"
            raise EdgeBertError(f"{place}: expected '{one.name}' as in the rows before, {found_name}")
