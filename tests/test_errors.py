import pytest

from edgebert.errors import EdgeBertError, listed
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
