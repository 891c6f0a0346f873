"""All tasks there are, by name. To add one, write its file and put its class into this list."""

from edgebert.errors import BundleError, EdgeBertError
from edgebert.inputs.manifest import Manifest
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.question_answering import QuestionAnswering
from edgebert.tasks.sentence_embedding import SentenceEmbedding
from edgebert.tasks.task import Task
from edgebert.tasks.text_classification import TextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification

# The first is what a checkpoint is trained for where nothing says otherwise.
TASKS: tuple[type[Task], ...] = (
    TextClassification,
    MultiLabelTextClassification,
    TextRegression,
    QuestionAnswering,
    SentenceEmbedding,
    TokenClassification,
)
DEFAULT_TASK = TASKS[0]


def kind_of(name: str, error: type[EdgeBertError]) -> type[Task]:
    """Return the kind of task of that name.

    Raises:
        error: there is no such task in this version.
    """
    for kind in TASKS:
        if name == kind.NAME:
            return kind
    known = ", ".join(kind.NAME for kind in TASKS)
    raise error(f"expected a task of {known}, found '{name}'; use a newer edgebert, or another bundle")


def task_in(manifest: Manifest) -> Task:
    """Return the task of a bundle.

    Raises:
        BundleError: it is of a task that this version does not know.
    """
    return kind_of(manifest.task, BundleError).of_bundle(manifest)


def tasks_of(manifest: Manifest) -> dict[str, Task]:
    """Return the task of a bundle as it is for each sub-network, by the sub-network's id; raises as `task_in`."""
    task = task_in(manifest)
    return {subnet.id: task.of_subnet(subnet) for subnet in manifest.subnetworks}
