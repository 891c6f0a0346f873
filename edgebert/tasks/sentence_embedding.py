"""sentence-embedding: a vector for each text, such that texts which say the same lie close together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from edgebert.errors import BundleError, EdgeBertError, OutputError, listed
from edgebert.inputs.dataset import Example
from edgebert.inputs.manifest import EmbeddingSettings, Manifest
from edgebert.inputs.tokenization import Text, Tokenizer, Tokens
from edgebert.tasks.embeddings import Embeddings, Vectors, common_space, cut, pairwise, similarities
from edgebert.tasks.metrics import Interval, spearman, spearman_interval
from edgebert.tasks.task import Answer, Form, Options, Outputs, Results, Task
from edgebert.tasks.text_regression import number_of

_SHOWN = 4  # numbers of a vector that a line on a terminal has
# Texts whose neighbours are put in order, to find out how far two networks agree about them.
_RANKED = 500


@dataclass(frozen=True)
class EmbeddingOptions(Options):
    """To how many dimensions vectors are cut, all of them by default, and what is put before each text.

    The prompt is given as it is, or by a name that the bundle knows; else the bundle's default one is.
    """

    dims: int | None = None
    prompt: str | None = None
    prompt_name: str | None = None


@dataclass(frozen=True)
class SentenceEmbedding(Task):
    """Vectors as sentence-transformers gives them; their quality is in which order their similarities put pairs.

    A result is a vector (dims,); of a row with two texts one for each, behind which the full network's vector of the
    second stands where quality is counted beside that network. It has no cascade: no vector tells how good it is.
    """

    settings: EmbeddingSettings

    NAME = "sentence-embedding"
    OUTPUTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"embedding": ("batch", "dims")}
    METRICS = ("spearman_to_full", "spearman")
    LOSS = "squared-error"
    OPTIONS: ClassVar[type[Options]] = EmbeddingOptions
    BESIDE_FULL = True
    ANSWER_KEY = "embedding"
    COLUMNS = ("embedding", "dims")

    @classmethod
    def of_bundle(cls, manifest: Manifest) -> "SentenceEmbedding":
        """Return the task of a bundle, whose vectors are as its manifest says."""
        if manifest.embedding is None:
            raise BundleError(f"expected what embeddings are like at $.embedding for {cls.NAME}; export it again")
        return cls((), manifest.embedding)

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of the vectors."""
        return {"embedding": self.settings}

    @classmethod
    def labels_in(cls, rows: Iterable[Example]) -> tuple[str, ...]:
        """Return no labels."""
        return ()

    def target(self, row: Example) -> float:
        """Return how alike the two texts of a row are, as a number."""
        if row.pair is None:
            expected = "expected two texts and how alike they are, found one text"
            raise EdgeBertError(f"{row.place}: {expected}; measure fidelity with --texts instead")
        return number_of(row)

    def texts(self, row: Example) -> tuple[Text, ...]:
        """Return the texts of a row, of a pair both."""
        return (row.text,) if row.pair is None else (row.text, row.pair)

    def options(self, given: Mapping[str, Any]) -> EmbeddingOptions:
        """Return what a call asks for; an EdgeBertError lists the dimensions and prompts that there are."""
        asked = super().options(given)
        assert isinstance(asked, EmbeddingOptions)
        known, name = self.settings.dims, asked.prompt_name
        # By its type: to ==, True is 1.
        if asked.dims is not None and (type(asked.dims) is not int or asked.dims not in known):
            expected = f"expected dims of {listed(list(map(str, known)))}, which the network was trained for"
            raise EdgeBertError(f"{expected}, found {asked.dims!r}; give one of these")
        if name is not None and name not in self.settings.prompts:
            expected = f"expected a prompt_name of {listed(list(self.settings.prompts)) or 'none'}, found {name!r}"
            raise EdgeBertError(f"{expected}; give one of these, or the prompt itself as prompt")
        return asked

    def rows(self, text: Text, tokenizer: Tokenizer, options: Options) -> Sequence[Tokens]:
        """Return the tokens of a text behind its prompt."""
        return (tokenizer.encode(self._prompted(text, tokenizer, options)),)

    def rows_of_all(self, texts: Sequence[Text], tokenizer: Tokenizer, options: Options) -> list[Sequence[Tokens]]:
        """Return what `rows` does for each of many texts."""
        return super().rows_of_all([self._prompted(text, tokenizer, options) for text in texts], tokenizer, options)

    def _prompted(self, text: Text, tokenizer: Tokenizer, options: Options) -> Text:
        assert isinstance(options, EmbeddingOptions)
        prompt, name = options.prompt, options.prompt_name or self.settings.default_prompt
        if prompt is None:
            prompt = self.settings.prompts[name] if name is not None else ""
        if not prompt:
            return text
        # Before the prompt: behind it, no text would be empty.
        first, _ = tokenizer.check(text)
        return prompt + first

    def check_outputs(self, outputs: Outputs, shape: tuple[int, ...]) -> None:
        """Check that a graph gave finite vectors that are as long as the bundle says; an OutputError says what not."""
        super().check_outputs(outputs, shape)
        found, expected = outputs["embedding"].shape[1], self.settings.dims[0]
        if found < expected:
            raise OutputError(f"expected an embedding of {expected} dims, found {found}; export the bundle again")

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options) -> Results:
        """Return the vector of each text, cut to the dimensions that are asked for."""
        return list(self._cut(outputs["embedding"], self.dims_of(options)))

    def dims_of(self, options: Options) -> int:
        """Return to how many dimensions vectors are cut."""
        assert isinstance(options, EmbeddingOptions)
        return options.dims or self.settings.dims[0]

    def _cut(self, vectors: Vectors, dims: int) -> Vectors:
        return cut(vectors, dims, is_normalized=self.settings.is_normalized)

    def joined(self, results: Results, options: Options) -> Any:
        """Return the vector of a text, or those of both texts of a pair."""
        return results[0] if len(results) == 1 else tuple(results)

    def answers(self, results: Results, options: Options) -> list[Answer]:
        """Return each vector, which says of which space it is."""
        return [Embeddings.of(vector, self.settings.space) for vector in results]

    def shaped(self, answers: list[Answer], form: Form, options: Options, networks: Sequence[str]) -> Embeddings:
        """Return vectors (texts, dims), or the one (dims,) of a text by itself, as sentence-transformers does."""
        vectors = np.array(answers, np.float32).reshape(len(answers), self.dims_of(options))
        return Embeddings.of(vectors if form == "several" else vectors[0], self.settings.space, networks)

    def similarity(self, first: ArrayLike, second: ArrayLike) -> Vectors:
        """Return how alike vectors (texts, dims) and (others, dims) are, (texts, others); higher is more."""
        common_space(first, second, space=self.settings.space)
        left, right = (np.atleast_2d(np.asarray(one, np.float32)) for one in (first, second))
        if left.ndim > 2 or right.ndim > 2 or left.shape[1] != right.shape[1]:
            shapes = f"found shapes {left.shape} and {right.shape}"
            raise EdgeBertError(f"expected vectors of as many dims, {shapes}; ask for both with the same dims")
        return similarities(self.settings.similarity, left, right)

    def cells(self, answer: Answer) -> tuple[str, str]:
        """Return the numbers of a vector, joined by blanks, and how many they are."""
        numbers = self.plain(answer)
        return " ".join(map(repr, numbers)), str(len(numbers))

    def brief_cells(self, answer: Answer) -> tuple[str, str]:
        """Return the first numbers of a vector, and how many there are."""
        return " ".join(f"{number:.4f}" for number in answer[:_SHOWN].tolist()) + " ...", f"{len(answer)} dims"

    def plain(self, answer: Answer) -> list[float]:
        """Return a vector as numbers, with the digits that tell it from any other in float32."""
        # A list that was read is such numbers already.
        return list(map(float, np.asarray(answer, np.float32).astype(np.str_).tolist()))

    @property
    def known_cells(self) -> None:
        """None: a vector may be anything."""
        return None

    def beside(self, results: Results, full: Results) -> Results:
        """Return the vectors of pairs, each with the full network's vector of its second text."""
        return [(*one, right[1]) for one, right in zip(results, full, strict=True)]

    def metrics(self, results: Results, targets: Sequence[float]) -> dict[str, float]:
        """Return the rank correlations of similarities with the wanted numbers, for all dimensions and fewer.

        `spearman_to_full` is that of the first texts by this network and the second by the full one, which is this one
        where no other stands beside the results, `spearman` that of both by this network; behind them stand those of
        vectors that are cut, such as `spearman_to_full_128`.
        """
        first, second = (np.stack([one[place] for one in results]) for place in (0, 1))
        by_full = np.stack([one[-1] for one in results])
        wanted = np.asarray(targets, np.float64)
        found = {}
        for dims in sorted(self.settings.dims, reverse=True):
            query, end = self._cut(first, dims), "" if dims == first.shape[1] else f"_{dims}"
            for name, others in zip(self.METRICS, (by_full, second), strict=True):
                alike = pairwise(self.settings.similarity, query, self._cut(others, dims))
                found[name + end] = spearman(alike.astype(np.float64), wanted)
        return found

    def interval(self, results: Results, targets: Sequence[float]) -> Interval:
        """Return the 95 % interval of the first rank correlation."""
        return spearman_interval(self.metrics(results, targets)[self.METRICS[0]], len(targets))

    def fidelity(self, results: Results, full: Results) -> float:
        """Return the mean cosine of vectors and the full network's."""
        cosines = pairwise("cosine", _vectors(results), _vectors(full))
        return float(np.clip(cosines.mean(dtype=np.float64), -1, 1))

    def more_fidelity(self, results: Results, full: Results) -> dict[str, float]:
        """Return how alike both put the other texts in order by how near they are to a text, on average.

        Those others are as the full network puts them, as in an index that it made.
        """
        found, right = (_vectors(one)[:_RANKED] for one in (results, full))
        rows = zip(*(similarities(self.settings.similarity, one, right) for one in (found, right)), strict=True)
        others = [(np.delete(one, place), np.delete(other, place)) for place, (one, other) in enumerate(rows)]
        agreement = [spearman(one.astype(np.float64), other.astype(np.float64)) for one, other in others]
        return {"rank_agreement": float(np.mean(agreement))}

    def wrong_answers(self, found: Outputs, right: Outputs, tolerance: float) -> int:
        """Return 0: a vector is never another answer, only farther off."""
        return 0


def _vectors(results: Results) -> Vectors:
    """Return the vectors of rows, (vectors, dims), also of those that have two texts."""
    return np.stack([one for row in results for one in (row if isinstance(row, tuple) else (row,))])
