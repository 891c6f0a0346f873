"""The score of sub-networks on labelled texts, by the first metric of their task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from edgebert.elastic.events import SubnetScore
from edgebert.elastic.losses import LossFunctions
from edgebert.elastic.model import Model
from edgebert.elastic.texts import Target, Texts
from edgebert.inputs.tokenization import Tokens
from edgebert.subnet import Subnet
from edgebert.tasks.task import Options, Outputs, Result, Results


class DevMetric(Protocol):
    """The part of a `Task` that scoring needs."""

    METRICS: ClassVar[tuple[str, ...]]

    def options(self, given: Mapping[str, Any], /) -> Options:
        """Return what is asked for where nothing is given."""

    def results(self, outputs: Outputs, rows: Sequence[Tokens], options: Options, /) -> Results:
        """Return what is found out about each row of a batch."""

    def metrics(self, results: Results, targets: Sequence[Target], /) -> dict[str, float]:
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
        targets: list[Target] = []
        loss, options = 0.0, self.metric.options({})
        for batch in self.texts.all_batches(batch_size, self.accelerator.device):
            assert batch.targets is not None, "scores need labels"
            logits = model(batch.ids, batch.mask, subnet, batch.types).logits.float()
            loss += float(self.losses.of_targets(logits, batch.targets))
            # What the metric needs of them is kept, not the logits: a masked language model's would be gigabytes.
            results += self.metric.results({"logits": logits.cpu().numpy()}, (), options)
            targets += batch.targets.tolist()
        model.train(was_training)

        # Metrics such as F1 and correlations are of all texts together: no average over batches gives them.
        value = self.metric.metrics(results, targets)[self.metric.METRICS[0]]
        return SubnetScore(subnet.id, subnet.width, subnet.depth, value, loss / len(self.texts))
