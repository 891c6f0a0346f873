"""What a task answers to the outputs of a graph, in one step."""

from typing import Any

from edgebert.tasks.task import Answer, Outputs, Task


def answers_of(task: Task, outputs: Outputs, **options: Any) -> list[Answer]:
    asked = task.options(options)
    return task.answers(task.results(outputs, (), asked), asked)
