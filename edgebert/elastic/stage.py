"""What one stage of training does, and the settings that all stages share, as values that can be stored."""

from typing import Literal

from edgebert.records import Record

Compute = Literal["fp32", "bf16"]


class Stage(Record, frozen=True):
    """One stage: which sub-networks learn from what, for how long.

    The weights are those of the losses: of true labels, the teacher's logits and the teacher's hidden states.
    `teacher` is the fine-tuned model or the result of the stage before; it runs at full width or at the student's.
    `sampled` sub-networks learn in a step, the largest and the smallest among them; None: all.
    Without `dropout` the student learns as it is run; without `embeddings` its embedding tables stay as they are.
    Logits are compared at a `temperature`.
    """

    name: str
    epochs: int
    learning_rate: float
    label_weight: float = 0.0
    logit_weight: float = 0.0
    hidden_weight: float = 0.0
    widths: tuple[float, ...] = (1.0,)
    depths: tuple[float, ...] = (1.0,)
    teacher: Literal["none", "fine-tuned", "previous"] = "none"
    teacher_width: Literal["full", "student"] = "full"
    sampled: int | None = None
    dropout: bool = True
    embeddings: bool = True
    temperature: float = 1.0


class TrainingSettings(Record, frozen=True):
    """What all stages share. A batch of `batch_size` texts is split over devices and `accumulate` parts of a step."""

    seed: int
    batch_size: int
    accumulate: int
    max_length: int
    compute: Compute
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    @property
    def too_large(self) -> str:
        """What to say and what to do where the memory is not enough."""
        parts = f"{self.batch_size} texts of up to {self.max_length} tokens in {self.accumulate} part(s)"
        return f"{parts}; run the same command again with a higher --accumulate"


def fine_tuning(epochs: int = 4, learning_rate: float = 5e-5, *, embeddings: bool = True) -> Stage:
    """Return fine-tuning on the labels; without `embeddings` the embedding tables stay as they are."""
    return Stage("fine-tuned", epochs, learning_rate, label_weight=1.0, embeddings=embeddings)
