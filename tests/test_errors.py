import gzip

import pytest

from edgebert.errors import BudgetError, EdgeBertError, cause_of, listed, one_line
from edgebert.inputs.dataset import Example
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.task import Task
from edgebert.tasks.text_classification import TextClassification

MANY = tuple(f"label {number}" for number in range(2000))


def test_a_few_names_are_all_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""
    assert listed(MANY[:24]).endswith("label 22, label 23")


def test_of_many_names_the_first_are_listed_and_the_rest_is_counted() -> None:
    assert listed(MANY).startswith("label 0, label 1, ")
    assert listed(MANY).endswith("label 23 and 1976 more")


@pytest.mark.parametrize("task", [TextClassification(MANY), MultiLabelTextClassification(MANY)])
def test_a_wrong_label_of_thousands_is_one_short_line(task: Task) -> None:
    with pytest.raises(EdgeBertError, match=r"expected .* and 1976 more.* found .*'none'") as raised:
        task.target(Example("a text", None, "none", "data.tsv:2"))
    assert len(str(raised.value)) < 400


def test_a_message_is_one_line_of_a_few_hundred_characters_whatever_it_quotes() -> None:
    path = "/" + "deep/" * 800 + "bundle.json"
    message = str(EdgeBertError(f"cannot read {path}:\n  is\x1b[2J gone\u202e; check the path"))
    assert message.startswith("cannot read /deep/")
    assert message.endswith("deep/bundle.json: is\\u001b[2J gone\\u202e; check the path")
    assert len(message) < 300
    assert len(str(EdgeBertError("a word " * 10_000 + "; shorten it"))) <= 500
    assert str(EdgeBertError("a word " * 10_000 + "; shorten it")).endswith("a word ; shorten it")


def test_a_cause_is_told_whatever_the_error_knows_of_it() -> None:
    assert cause_of(FileNotFoundError(2, "No such file", "a")) == "No such file"
    assert cause_of(gzip.BadGzipFile("not packed")) == "not packed"
    assert cause_of(OSError()) == "OSError"


def test_the_nearest_miss_is_kept_beside_the_line() -> None:
    problem = BudgetError("over\nit", "the miss")
    assert (str(problem), problem.nearest) == ("over it", "the miss")


def test_long_names_are_listed_short() -> None:
    names = [f"{number}{'x' * 1000}" for number in range(77)]
    assert len(listed(names)) < 400
    assert listed(names).endswith(" more")


def test_a_name_of_a_folder_becomes_one_that_a_file_can_hold() -> None:
    assert one_line(" a\tb\nc\x1b\udcff ") == "a b c\\u001b\\udcff"
