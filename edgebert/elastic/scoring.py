"""The score of sub-networks on labelled texts, by the first metric of their task."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from edgebert.elastic.events import SubnetScore
from edgebert.elastic.losses import Losses
from edgebert.elastic.model import Model
from edgebert.elastic.texts import Texts
from edgebert.inputs.tokenization import Tokens
from edgebert.subnet import Subnet
from edgebert.tasks.task import Options, Outputs, Result, Results, Task


class DevMetric(Protocol):
    """The part of a `Task` that scoring needs."""

    METRICS: ClassVar[tuple[str, ...]]
    BESIDE_FULL: ClassVar[bool]

    def options(self, given: Mapping[str, Any], /) -> Options:
        """Return what is asked for where nothing is given."""

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options, /) -> Results:
        """Return what is found out about each row of a batch."""

    def metrics(self, results: Results, targets: Sequence[Any], /) -> dict[str, float]:
        """Return each of `METRICS`, higher is better."""


@dataclass(frozen=True)
class Scorer:
    """Scores sub-networks on labelled texts by a metric; the loss is given too, per text."""

    metric: DevMetric
    losses: Losses
    texts: Texts
    accelerator: Accelerator

    @property
    def _task(self) -> Task:
        """The metric, where texts are windows of longer ones, or the full network counts too: then it is a task's."""
        assert isinstance(self.metric, Task), "other metrics are of texts as they are"
        return self.metric

    def score_all(self, model: Model, subnets: Sequence[Subnet]) -> tuple[SubnetScore, ...]:
        """Return the score of each sub-network in their order, the work shared by the devices.

        The first one is the full network, beside which some metrics count.
        """
        full = self.results(model, subnets[0])[0] if self.metric.BESIDE_FULL else None
        # The largest come first: in turns, each device gets large ones and small ones.
        mine = subnets[self.accelerator.process_index :: self.accelerator.num_processes]
        found = [self.score(model, subnet, full) for subnet in mine]
        if self.accelerator.num_processes > 1:
            found = gather_object(found)
        # Gathered are the shares of the devices one after the other, not in the order of the sub-networks.
        by_id = {one.id: one for one in found}
        return tuple(by_id[subnet.id] for subnet in subnets)

    def score(self, model: Model, subnet: Subnet, full: Results | None = None) -> SubnetScore:
        """Return the score of one sub-network, in fp32 and without dropout."""
        results, targets, loss = self.results(model, subnet)
        counted = results if full is None else self._task.beside(results, full)
        # Metrics such as F1 and correlations are of all texts together: no average over batches gives them.
        value = self.metric.metrics(counted, targets)[self.metric.METRICS[0]]
        return SubnetScore(subnet.id, subnet.width, subnet.depth, value, loss)

    @torch.inference_mode()
    def results(
        self, model: Model, subnet: Subnet, batch_size: int = 64
    ) -> tuple[Results, Sequence[Any], float | None]:
        """Return the results of a sub-network, what is asked for, and the loss per text, None without targets."""
        was_training = model.training
        model.eval()
        results: list[Result] = []
        targets: list[Any] = []
        loss, options = 0.0, self.metric.options({})
        for batch in self.texts.all_batches(batch_size, self.accelerator.device):
            outputs = model(batch.ids, batch.mask, subnet, batch.types).outputs
            # What the metric needs of them is kept, not the logits: a masked language model's would be gigabytes.
            arrays = {name: values.float().cpu().numpy() for name, values in outputs.items()}
            results += self.metric.results(arrays, batch.rows, options)
            if batch.targets is not None:
                loss += float(self.losses.of_targets(outputs, batch.targets))
                targets += batch.targets.tolist()
        model.train(was_training)
        mean_loss = loss / len(self.texts) if targets else None
        if self.texts.windows is None:
            return results, targets, mean_loss
        return self._of_longer_texts(results, batch_size), self.texts.windows.asked, mean_loss

    def _of_longer_texts(self, results: Sequence[Result], batch_size: int) -> list[Result]:
        """Return the results of the longer texts that the texts are windows of, from theirs in the order of batches."""
        windows, task = self.texts.windows, self._task
        assert windows is not None, "only windows have longer texts"
        order, options = itertools.chain(*self.texts.batches(batch_size)), task.options({})
        by_number = dict(zip(order, results, strict=True))
        ends = itertools.accumulate(windows.counts)
        joined = [
            task.joined([by_number[number] for number in range(end - count, end)], options)
            for count, end in zip(windows.counts, ends, strict=True)
        ]
        return list(task.tuned(joined, windows.asked)[1])
