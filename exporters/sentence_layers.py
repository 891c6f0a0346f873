"""What stands behind a network that embeds texts: how vectors of tokens become the vector of a text, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgebert.tasks.embeddings import Similarity

# As sentence-transformers calls them.
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@dataclass(frozen=True)
class Dense:
    """A linear layer on the vector of a text, then an activation, by its name in activations.py.

    Its weights lie in `folder`, below that of the checkpoint.
    """

    folder: str
    inputs: int
    outputs: int
    has_bias: bool
    activation: str


@dataclass(frozen=True)
class Normalize:
    """Vectors get length 1."""


@dataclass(frozen=True)
class SentenceLayers:
    """What makes the vector of a text of the vectors of its tokens, and how texts are read.

    `poolings` are put side by side, then `steps` follow. Vectors may be cut to `dims`, the most first, where the folder
    says that they are cut. `max_length` is the most tokens that are read of a text, None for as many as the tokenizer
    and the network take; `lowers` says that texts are put into lower case where the tokenizer does not.
    """

    poolings: tuple[str, ...] = ("mean",)
    steps: tuple[Dense | Normalize, ...] = ()
    dims: tuple[int, ...] = ()
    max_length: int | None = None
    lowers: bool = False
    similarity: Similarity = "cosine"
    # As sentence-transformers has them where a folder names none.
    prompts: Mapping[str, str] = field(default_factory=lambda: {"query": "", "document": ""})
    default_prompt: str | None = None

    def size(self, hidden: int) -> int:
        """Return how many dimensions vectors have where those of tokens have so many."""
        widths = [hidden * len(self.poolings), *(step.outputs for step in self.steps if isinstance(step, Dense))]
        return widths[-1]

    @property
    def is_normalized(self) -> bool:
        """Whether vectors have length 1."""
        return bool(self.steps) and isinstance(self.steps[-1], Normalize)
