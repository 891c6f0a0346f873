"""The score of sub-networks on labelled texts, by the first metric of their task."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from edgebert.elastic.events import SubnetScore
from edgebert.elastic.losses import LossFunctions
from edgebert.elastic.model import Model
from edgebert.elastic.texts import Texts
from edgebert.inputs.tokenization import Tokens
from edgebert.subnet import Subnet
from edgebert.tasks.task import Options, Outputs, Result, Results, Task


class DevMetric(Protocol):
    """The part of a `Task` that scoring needs."""

    METRICS: ClassVar[tuple[str, ...]]

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
    losses: LossFunctions
    texts: Texts
    accelerator: Accelerator

    def score_all(self, model: Model, subnets: Sequence[Subnet]) -> tuple[SubnetScore, ...]:
        """Return the score of each sub-network in their order, the work shared by the devices."""
        # The largest come first: in turns, each device gets large ones and small ones.
        mine = subnets[self.accelerator.process_index :: self.accelerator.num_processes]
        found = [self.score(model, subnet) for subnet in mine]
        if self.accelerator.num_processes > 1:
            found = gather_object(found)
        # Gathered are the shares of the devices one after the other, not in the order of the sub-networks.
        by_id = {one.id: one for one in found}
        return tuple(by_id[subnet.id] for subnet in subnets)

    @torch.inference_mode()
    def score(self, model: Model, subnet: Subnet, batch_size: int = 64) -> SubnetScore:
        """Return the score of one sub-network, in fp32 and without dropout."""
        was_training = model.training
        model.eval()
        results: list[Result] = []
        targets: list[Any] = []
        loss, options = 0.0, self.metric.options({})
        for batch in self.texts.all_batches(batch_size, self.accelerator.device):
            assert batch.targets is not None, "scores need labels"
            output = model(batch.ids, batch.mask, subnet, batch.types)
            loss += float(self.losses.of_targets(output.logits.float(), batch.targets))
            # What the metric needs of them is kept, not the logits: a masked language model's would be gigabytes.
            arrays = {name: values.float().cpu().numpy() for name, values in output.outputs.items()}
            results += self.metric.results(arrays, batch.rows, options)
            targets += batch.targets.tolist()
        model.train(was_training)
        if self.texts.windows is not None:
            results, targets = self._of_longer_texts(results, batch_size), list(self.texts.windows.asked)

        # Metrics such as F1 and correlations are of all texts together: no average over batches gives them.
        value = self.metric.metrics(results, targets)[self.metric.METRICS[0]]
        return SubnetScore(subnet.id, subnet.width, subnet.depth, value, loss / len(self.texts))

    def _of_longer_texts(self, results: Sequence[Result], batch_size: int) -> list[Result]:
        """Return the results of the longer texts that the texts are windows of, from theirs in the order of batches."""
        windows, task = self.texts.windows, self.metric
        assert windows is not None, "only windows have longer texts"
        assert isinstance(task, Task), "only tasks know what windows are"
        order, options = itertools.chain(*self.texts.batches(batch_size)), task.options({})
        by_number = dict(zip(order, results, strict=True))
        ends = itertools.accumulate(windows.counts)
        joined = [
            task.joined([by_number[number] for number in range(end - count, end)], options)
            for count, end in zip(windows.counts, ends, strict=True)
        ]
        return list(task.tuned(joined, windows.asked)[1])
