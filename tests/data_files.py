"""Data files as people have them, and what they are read as: by every verb alike."""

import gzip
import json
from pathlib import Path

from edgebert.inputs.dataset import Example
from edgebert.inputs.text_file import MOST_CHARACTERS

Row = tuple[str, str | None, str | tuple[str, ...] | None]

TABLE = b"text,label\na,x\nb,y\n"
OBJECTS = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
ROWS: list[Row] = [("a", None, "x"), ("b", None, "y")]
LONG = "word " * 200_000


def as_lines(*rows: object) -> bytes:
    """Return JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# The name of a file, what it holds, and its rows.
# As in version 2: several answers, and none where what seems to be one is wrong.
_QUESTIONS = [
    {"question": "a", "id": "1", "answers": [{"text": "c", "answer_start": 2}, {"text": "d", "answer_start": 4}]},
    {"question": "e", "id": "2", "is_impossible": True, "answers": [], "plausible_answers": [{"text": "c"}]},
]
_ARTICLE = {"title": "t", "paragraphs": [{"context": "b c d", "qas": _QUESTIONS}]}
SQUAD = {"version": "v2.0", "data": [_ARTICLE, _ARTICLE]}
SQUAD_ROWS: list[Row] = [("a", "b c d", ("c", "d")), ("e", "b c d", ())] * 2

RIGHT: list[tuple[str, bytes, list[Row]]] = [
    # What the ending says, and where there is none, what the first line is.
    ("a.csv", TABLE, ROWS),
    ("A.CSV", TABLE, ROWS),
    ("a.tsv", TABLE.replace(b",", b"\t"), ROWS),
    ("a.jsonl", as_lines(*OBJECTS), ROWS),
    ("a.ndjson", as_lines(*OBJECTS), ROWS),
    ("a.json", as_lines(*OBJECTS), ROWS),
    ("a.json", json.dumps(OBJECTS).encode(), ROWS),
    ("a.json", json.dumps(OBJECTS, indent=2).encode() + b"\n\n", ROWS),
    ("a.jsonl", json.dumps(OBJECTS).encode(), ROWS),
    ("reviews", TABLE, ROWS),
    ("a.txt", TABLE.replace(b",", b"\t"), ROWS),
    ("a.txt", b'"id","text"\n1,"a, b"\n', [("a, b", None, None)]),
    ("reviews", as_lines(*OBJECTS), ROWS),
    ("a.txt", b"first\tline\nsecond\n", [("first\tline", None, None), ("second", None, None)]),
    ("a.txt", b"Text, as it is\nb\n", [("Text, as it is", None, None), ("b", None, None)]),
    ("a.txt", b"{so} it goes\n[text]\n", [("{so} it goes", None, None), ("[text]", None, None)]),
    ("a.csv.gz", gzip.compress(TABLE), ROWS),
    ("a.csv", gzip.compress(TABLE), ROWS),
    # Bytes and lines.
    ("a.csv", b"\xef\xbb\xbf" + TABLE, ROWS),
    ("a.csv", b'\xef\xbb\xbf"text","label"\na,x\n', ROWS[:1]),
    ("a.jsonl", b"\xef\xbb\xbf" + as_lines(*OBJECTS), ROWS),
    ("a.csv", TABLE.replace(b"\n", b"\r\n"), ROWS),
    ("a.csv", TABLE.replace(b"\n", b"\r"), ROWS),
    ("a.tsv", TABLE.replace(b",", b"\t").replace(b"\n", b"\r"), ROWS),
    ("a.txt", b"a\rb\r\nc", [("a", None, None), ("b", None, None), ("c", None, None)]),
    ("a.txt", "a\u2028b\x0cc\x85".encode(), [("a\u2028b\x0cc\x85", None, None)]),
    ("a.csv", TABLE.rstrip(b"\n"), ROWS),
    ("a.csv", TABLE + b"\n \n\r\n", ROWS),
    ("a.csv", TABLE + b",\n,\n", ROWS),
    ("a.csv", TABLE.replace(b"\n", b"\n\n"), ROWS),
    ("a.tsv", TABLE.replace(b",", b"\t").replace(b"\n", b"\n\n"), ROWS),
    ("a.tsv", TABLE.replace(b",", b"\t") + b"\t\n\n", ROWS),
    ("a.jsonl", as_lines(*OBJECTS).replace(b"\n", b"\n\n"), ROWS),
    ("a.txt", b"a\n\n \n", [("a", None, None)]),
    ("a.csv", f"text\n{LONG}\n".encode(), [(LONG, None, None)]),
    # What spreadsheets write in other countries, and pandas.
    ("a.csv", b"\xef\xbb\xbftext;label\r\na;x\r\nb;y\r\n", ROWS),
    ("a.csv", b'"text";"label"\n"a, ""b"";";x\n', [('a, "b";', None, "x")]),
    ("a.csv", TABLE.replace(b",", b"\t"), ROWS),
    ("a.csv", b"sep=;\r\ntext;label\r\na, b;x\r\n", [("a, b", None, "x")]),
    ("a.csv", b'"sep=,"\ntext,label\na,x\nb,y\n', ROWS),
    ("reviews", TABLE.replace(b",", b";"), ROWS),
    ("a.csv", b"text\na; b\n", [("a; b", None, None)]),
    ("a.tsv", b'text\tlabel\n"a ""good"" b"\tx\n"a "" b\ty\n', [('a "good" b', None, "x"), ('"a "" b', None, "y")]),
    ("a.tsv", b'text\n"""a"""\n""""\n"a" "b"\n', [('"a"', None, None), ('"', None, None), ('"a" "b"', None, None)]),
    ("a.csv", b"Unnamed: 0,text,label\n0,a,x\n", ROWS[:1]),
    # Quotes.
    ("a.csv", b'label,text\nx,"a, ""b""\nc"\n', [('a, "b"\nc', None, "x")]),
    ("a.csv", b'text, label\n"a, b", "x"\n', [("a, b", None, "x")]),
    ("a.tsv", b'text\tlabel\nso "good"\tx\n', [('so "good"', None, "x")]),
    ("a.tsv", b'text\tlabel\n"so\tx\n', [('"so', None, "x")]),
    # Columns.
    ("a.csv", b" Text ,LABEL\na,x\n", ROWS[:1]),
    ("a.csv", b",text,label\n0,a,x\n", ROWS[:1]),
    ("a.csv", b"id,id,text,label,\n0,1,a,x,\n", ROWS[:1]),
    ("a.csv", b"text,label_text,label\na,good,1\n", [("a", None, "1")]),
    ("a.csv", b"sentence,label,idx\na,x,0\n", ROWS[:1]),
    ("a.csv", b"text,labels\na,x\n", ROWS[:1]),
    ("a.csv", b"text,text_pair,label\na,b,c\n", [("a", "b", "c")]),
    ("a.tsv", b"label\tpremise\thypothesis\nc\ta\tb\n", [("a", "b", "c")]),
    ("a.tsv", b"gold_label\tsentence1\tsentence2\nc\ta\tb\n", [("a", "b", "c")]),
    ("a.tsv", b"index\tquestion\tsentence\tlabel\n0\ta\tb\tc\n", [("a", "b", "c")]),
    ("a.tsv", b"id\tquestion1\tquestion2\n0\ta\tb\n", [("a", "b", None)]),
    ("a.tsv", b"question\tcontext\ttitle\na\tb\tc\n", [("a", "b", None)]),
    ("a.tsv", b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t2\t3\ta\tb\n", [("a", "b", "1")]),
    ("a.tsv", b"id\tquestion1\tquestion2\tis_duplicate\n1\ta\tb\t0\n", [("a", "b", "0")]),
    ("a.tsv", b"index\tgenre\tsentence1\tsentence2\tscore\n0\tx\ta\tb\t5.000\n", [("a", "b", "5.000")]),
    ("a.csv", b"label,score,text\nx,0.9,a\n", ROWS[:1]),
    ("a.csv", b"text\ntext\n", [("text", None, None)]),
    ("a.tsv", b"text\tquestion\tlabel\na\tb\tx\n", ROWS[:1]),
    ("a.jsonl", as_lines({"question": "a", "context": "b", "answers": {"text": ["c"]}}), [("a", "b", ("c",))]),
    ("a.jsonl", as_lines({"question": "a", "context": "b", "answer": "c"}), [("a", "b", "c")]),
    ("a.json", json.dumps(SQUAD).encode(), SQUAD_ROWS),
    ("a.json", json.dumps(SQUAD, indent=2).encode(), SQUAD_ROWS),
    ("questions", json.dumps(SQUAD, indent=2).encode(), SQUAD_ROWS),
    # Values.
    ("a.csv", b"text,label\n5,1.0\nnan,2\n", [("5", None, "1.0"), ("nan", None, "2")]),
    ("a.csv", b"text,label\na,\nb, y \n", [("a", None, ""), ("b", None, "y")]),
    ("a.jsonl", as_lines({"text": "a", "label": None, "pair": None}), [("a", None, None)]),
    ("a.jsonl", b'{"text": "a", "label": NaN}\n', [("a", None, None)]),
    ("a.jsonl", as_lines({"text": "a", "label": 1}, {"text": "b"}), [("a", None, "1"), ("b", None, None)]),
    ("a.jsonl", as_lines({"text": "a", "labels": ["x", 2]}), [("a", None, ("x", "2"))]),
    ("a.jsonl", as_lines({"text": "a", "labels": []}), [("a", None, ())]),
    ("a.jsonl", as_lines({"text": "\U0001f600", "label": True}), [("\U0001f600", None, "True")]),
    ("a.jsonl", as_lines({"text": "a", "meta": {"b": [None, {"c": 1}]}}), [("a", None, None)]),
    # Words with tags.
    ("a.jsonl", as_lines({"tokens": ["a", "b"], "tags": ["O", "B-X"]}), [("a b", None, ("O", "B-X"))]),
    ("a.jsonl", as_lines({"id": "0", "tokens": ["a", "b"], "ner_tags": [0, 3]}), [("a b", None, ("0", "3"))]),
    ("a.jsonl", as_lines({"tokens": ["a", "b"], "labels": ["O", "B-X"]}), [("a b", None, ("O", "B-X"))]),
    ("a.jsonl", as_lines({"tokens": ["a", "b"]}), [("a b", None, None)]),
    ("a.jsonl", as_lines({"text": "x", "tokens": ["a"], "label": "y", "tags": ["O"]}), [("a", None, ("O",))]),
    ("a.jsonl", as_lines({"text": "x", "tokens": ["a"], "label": "y"}), [("x", None, "y")]),
    ("a.tsv", b"tokens\ttags\na b\tO B-X\n", [("a b", None, "O B-X")]),
    ("a.tsv", b"text\tlabel\na b\tO B-X\n", [("a b", None, "O B-X")]),
    (
        "a.conll",
        b"-DOCSTART- -X- -X- O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP B-PER\n",
        [("EU rejects", None, ("B-ORG", "O")), ("Peter", None, ("B-PER",))],
    ),
    (
        "a.iob2",
        b"New\tB-LOC\r\nYork\tI-LOC\r\n\r\n#\tO\r\n",
        [("New York", None, ("B-LOC", "I-LOC")), ("#", None, ("O",))],
    ),
    ("a.iob.gz", gzip.compress(b"a O\nb O"), [("a b", None, ("O", "O"))]),
    ("a.bio", b"a\nb\n\nc\n", [("a b", None, None), ("c", None, None)]),
]

_NOT_SAME = {"one.jsonl": b'{"text": "a"}\n', "two.jsonl": b'{"sentence": "a"}\n'}

# The name of a file, what it holds, and the message: a part of it, from the file's name on.
WRONG: list[tuple[str, bytes, str]] = [
    ("a.tsv", b"", "a.tsv is empty; expected at least one text"),
    ("a.txt", b"\n\n", "a.txt is empty; expected at least one text"),
    ("a.tsv", b"text\tlabel\n", "a.tsv is empty; expected at least one text"),
    ("a.json", b"[]", "a.json is empty; expected at least one text"),
    # Bytes and lines.
    ("a.tsv", b"text\na\n\xe9t\xe9\n", "a.tsv:3: expected UTF-8, found byte 0xe9; convert the file to UTF-8"),
    ("a.csv", b"\xed\xa0\x80\n", "a.csv:1: expected UTF-8, found byte 0xed; convert the file to UTF-8"),
    ("a.json", b'[{"text": "a"},\n{"text": "\xe9"}]', "a.json:2: expected UTF-8, found byte 0xe9"),
    ("a.csv", "text\na\n".encode("utf-16"), "a.csv: expected text in UTF-8, found UTF-16; save it as"),
    ("a.csv", "text\na\n".encode("utf-16-le"), "a.csv:1: expected UTF-8, found byte 0x00; is it UTF-16?"),
    ("a.csv", b"text\na\nb\0\n", "a.csv:3: expected UTF-8, found byte 0x00"),
    ("a.xlsx", b"PK\x03\x04\x14", "a.xlsx: expected text in UTF-8, found a zip archive; save it as .csv, .tsv or"),
    ("a.csv", "text\na\n".encode("utf-32"), "a.csv: expected text in UTF-8, found UTF-32; save it as"),
    ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "a.xls: expected text in UTF-8, found an old Excel workbook; save it as"),
    ("a.pdf", b"%PDF-1.7\n", "a.pdf: expected text in UTF-8, found PDF; save it as"),
    ("a.arrow", b"ARROW1\0\0", "a.arrow: expected text in UTF-8, found Arrow; save it as"),
    ("a.parquet", b"PAR1\x15\0", "a.parquet: expected text in UTF-8, found Parquet; save it as"),
    ("a.csv.gz", gzip.compress(TABLE)[:-9], "cannot unpack {folder}/a.csv.gz: Compressed file ended before"),
    ("a.csv.gz", gzip.compress(TABLE)[:9] + b"\xff" * 20, "cannot unpack {folder}/a.csv.gz: "),
    ("a.txt", b"a" * (MOST_CHARACTERS + 1), "a.txt:1: expected lines of at most 16777216 characters, found a longer"),
    ("a.txt", b"a\n\nb\n", "a.txt:2: expected a text, found an empty one; leave the line out"),
    ("a.csv", b"text,label\n,\na,x\n", "a.csv:2: expected a text, found an empty one; leave the line out"),
    # Quotes and rows.
    ("a.csv", b'text,label\na,x\n"a,x\n\n', "a.csv:3: unexpected end of data; check the quotes of the row that begins"),
    ("a.csv", b'text,label\n"a"b,x\n', "a.csv:2: ',' expected after '\"'; check the quotes"),
    ("a.csv", b'text\n"' + (b"a" * 4095 + b"\n") * (MOST_CHARACTERS // 4096 + 1), "a.csv:2: field larger than field"),
    ("a.csv", b'text,label\n"a\n\nb",x\na\n', "a.csv:5: expected 2 columns as in the header, found 1"),
    ("a.csv", b"text,label\na,x,y\n", "a.csv:2: expected 2 columns as in the header, found 3"),
    ("a.tsv", b"text\tlabel\na\tx\nc\n", "a.tsv:3: expected 2 columns as in the header, found 1"),
    # Columns.
    ("a.tsv", b"good\tpositive\n", "a.tsv:1: expected a column 'text', found good, positive; name the columns in the"),
    ("a.csv", b"text|label\na|x\n", "a.csv:1: expected a column 'text', found text|label; name"),
    ("a.tsv", b"text,label\na,x\n", "a.tsv:1: expected columns separated by tabs, found 'text,label'; call it .csv"),
    ("a.csv", TABLE * 2, "a.csv:4: expected a row, found the header once more; leave the line out"),
    ("a.csv", b"sep=;\ntext;label\na\n", "a.csv:3: expected 2 columns as in the header, found 1"),
    ("a.tsv", b"gj04\t1\t\tA text.\n", "a.tsv:1: expected a column 'text', found gj04, 1, , A text.; name the columns"),
    ("a.csv", b"sentence1,label\na,x\n", "a.csv:1: expected a column 'text', found sentence1, label; name"),
    (
        "a.csv",
        b"tokens,ner_tags\n\"['a', 'b']\",x\n",
        "a.csv:2: expected words in 'tokens', found \"['a', 'b']\"; separate them by blanks, or write a list in a",
    ),
    (
        "a.jsonl",
        as_lines({"tokens": ["a", 1]}),
        "a.jsonl:1: expected a list of words in 'tokens', found 1; write each as",
    ),
    ("a.jsonl", as_lines({"tokens": ["", " "]}), "a.jsonl:1: expected a text in 'tokens', found an empty one; leave"),
    ("a.jsonl", as_lines({"tokens": []}), "a.jsonl:1: expected a text in 'tokens', found an empty one; leave the line"),
    ("a.jsonl", b'{"tokens": ["\\ud800"]}\n', "a.jsonl:1: expected characters in 'tokens', found \\ud800"),
    (
        "a.jsonl",
        as_lines({"tokens": ["a"], "tags": ["O"], "ner_tags": [0]}),
        "a.jsonl:1: expected one column for the label, found 'tags' and 'ner_tags'; rename the others",
    ),
    (
        "a.conll",
        b"a O\nb\n",
        "a.conll:2: expected a word and its tag as in the lines before, found 'b'; correct the line",
    ),
    ("a.bio", b"a\n\nb O\n", "a.bio:3: expected a word as in the lines before, found 'b O'; correct the line"),
    ("a.conll", b"-DOCSTART- -X- O O\n\n", "a.conll is empty; expected at least one text"),
    ("a.json", b'{"version": "1", "data": []}', "a.json:1: expected SQuAD's file with its articles in 'data'; give it"),
    ("a.csv", b"text,text\na,b\n", "a.csv:1: expected one column for the text, found 'text' and 'text'; rename the"),
    ("a.csv", b"text,Text\na,b\n", "a.csv:1: expected one column for the text, found 'text' and 'Text'; rename the"),
    ("a.csv", b"text,label,label\na,x,y\n", "a.csv:1: expected one column for the label, found 'label' and 'label'"),
    ("a.csv", b"premise,premise,hypothesis\na,b,c\n", "a.csv:1: expected one column for the text, found 'premise' and"),
    ("a.csv", b"text,sentence\na,b\n", "a.csv:1: expected one column for the text, found 'text' and 'sentence'"),
    ("a.csv", b"text,premise,hypothesis\na,b,c\n", "a.csv:1: expected one column for the text, found 'text' and 'prem"),
    ("a.csv", b"text,pair,text_pair\na,b,c\n", "a.csv:1: expected one column for the pair, found 'pair' and 'text_p"),
    ("a.csv", b"premise,hypothesis,pair\na,b,c\n", "a.csv:1: expected one column for the pair, found 'hypothesis' and"),
    ("a.csv", b"question,sentence,context\na,b,c\n", "a.csv:1: expected one column for the pair, found 'sentence'"),
    ("a.csv", b"text,label,labels\na,x,y\n", "a.csv:1: expected one column for the label, found 'label' and 'labels'"),
    ("a.jsonl", b"".join(_NOT_SAME.values()), "a.jsonl:2: expected 'text' as in the rows before, found 'sentence'"),
    ("a.jsonl", as_lines({"text": "a", "pair": "b"}, {"text": "c"}), "a.jsonl:2: expected a pair in every row or in n"),
    # JSON.
    ("a.jsonl", b'{"text": "a"}\n{"text"\n', "a.jsonl:2: expected a JSON object a line, or an array of them: E"),
    ("a.jsonl", b'{"text": "a", "text": "b"}\n', "a.jsonl:1: expected a JSON object a line: the key 'text' stands"),
    ("a.jsonl", b'"text"\n', 'a.jsonl:1: expected a JSON object a line, found "text"'),
    ("a.jsonl", b"[" * 100_000, "a.jsonl:1: expected ']' or '{' in an array of objects, found '['"),
    ("a.jsonl", b'{"text": ' + b"[" * 100_000, "a.jsonl:1: expected a JSON object a line: maximum recursion depth"),
    ("a.json", b'[{"text": "a"}\n', "a.json:2: expected ',' or ']' in an array of objects, found its end"),
    ("a.json", b'[{"text": "a"},\n]', "a.json:2: expected '{' in an array of objects, found ']'"),
    ("a.json", b'[{"text": "a"}\n{"text": "b"}]', "a.json:2: expected ',' or ']' in an array of objects, found '{'"),
    ("a.json", b'[{"text": "a"}]\n{}', "a.json:2: expected the end of the file after ']'"),
    ("a.json", b'[{"text": "a"},\n\n{"text" 5}]', "a.json:3: expected a JSON object: Expecting ':' delimiter"),
    ("a.json", b'[{"text": "a"},\n{"b": 1, "b": 2}]', "a.json:2: expected a JSON object: the key 'b' stands twice"),
    ("a.json", b'{"data": [{"title": 1}]}', "a.json:1: expected a list 'paragraphs' of objects as in SQuAD's files, f"),
    ("a.json", b'{\n"data": [{"paragraphs": [{"qas": 5}]}]}', "a.json:2: expected a list 'qas' of objects as in SQuAD"),
    (
        "a.json",
        b'{"data": [{"title": "a", "paragraphs": []}',
        "a.json:1: expected ',' or ']' in an array of objects, found",
    ),
    # Values.
    ("a.tsv", b"text\tlabel\n \tx\na\ty\n", "a.tsv:2: expected a text in 'text', found an empty one; leave the line"),
    ("a.csv", b"sentence1,sentence2\na,\n", "a.csv:2: expected a text in 'sentence2', found an empty one; leave the"),
    ("a.jsonl", b'{"text": 5}\n', "a.jsonl:1: expected a text in 'text', found 5; write it as a string"),
    (
        "a.json",
        b'{"text": {"0": "a"}}',
        "a.json:1: expected a text in 'text', found {'0': 'a'}; write an object for each",
    ),
    (
        "a.json",
        b'{"columns": ["text"], "data": [["a"]]}',
        "a.json:1: expected a column 'text', found columns, data; name",
    ),
    ("a.jsonl", b'{"text": null, "label": "x"}\n', "a.jsonl:1: expected a column 'text', found label"),
    ("a.jsonl", b'{"text": "a", "pair": ["b"]}\n', "a.jsonl:1: expected a text in 'pair', found ['b']"),
    ("a.jsonl", b'{"text": "a"}\n{"text": "\\ud800"}\n', "a.jsonl:2: expected characters in 'text', found \\ud800"),
    ("a.jsonl", b'{"text": "a", "label": "\\udc80"}\n', "a.jsonl:1: expected characters in 'label', found \\udc80"),
    ("a.jsonl", b'{"text": "a", "label": {"x": 1}}\n', "a.jsonl:1: expected a label in 'label', found {'x': 1}; give"),
    ("a.jsonl", b'{"text": "a", "labels": [["x"]]}\n', "a.jsonl:1: expected a label in 'labels', found [['x']]; give"),
    ("a.jsonl", b'{"text": "a", "labels": [null]}\n', "a.jsonl:1: expected a label in 'labels', found [None]; give"),
    ("a.jsonl", b'{"text": "a", "labels": [NaN]}\n', "a.jsonl:1: expected a label in 'labels', found [nan]; give"),
]


def place(folder: Path, name: str, content: bytes) -> Path:
    """Write one of the files into a folder."""
    path = folder / name
    path.write_bytes(content)
    return path


def message(folder: Path, wrong: str) -> str:
    """Return how the message of a wrong file begins."""
    return wrong.format(folder=folder) if wrong.startswith("cannot") else f"{folder}/{wrong}"


def as_row(example: Example) -> Row:
    """Return what is read of an example."""
    return example.text, example.pair, example.label


def named(cases: list[tuple[str, bytes, object]]) -> list[str]:
    """Return a name for each of the cases, for the report of a test."""
    return [f"{number}-{name}" for number, (name, *_) in enumerate(cases)]
