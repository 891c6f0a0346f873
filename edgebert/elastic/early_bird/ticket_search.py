"""The search for a ticket (EarlyBERT, arXiv 2101.00063): trains coefficients of all units until the choice settles."""

import itertools
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgebert.elastic.early_bird.ticket import Pruning, Ticket, distance, draw, left_to_ties
from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.events import MaskEvent, StepEvent
from edgebert.elastic.model import ModelOutput, ReadOutputs, outputs_by_name
from edgebert.elastic.stage import Stage, TrainingSettings
from edgebert.elastic.stage_training import StageContext, epoch_batches, learn, make_optimizer, warmed_up
from edgebert.elastic.texts import Texts
from edgebert.elastic.units import UnitValues
from edgebert.records import Record
from edgebert.subnet import Subnet

SEARCH = "search"
WINDOW = 5  # masks that are compared, as in the paper


class TicketSearch(Record, frozen=True):
    """How a ticket is looked for, when it is drawn, and how much it prunes.

    The loss is the task's and, for heads and for neurons, a penalty times the sum of the coefficients' magnitudes. The
    ticket that would be drawn is looked at every `check_every` of an epoch. It is drawn when the last five differ from
    the newest by less than `settled`, in heads and in neurons; with `draw_at`, after that part of an epoch whatever
    they say; in any case after `at_most` epochs.
    """

    learning_rate: float = 5e-5
    head_penalty: float = 1e-4
    neuron_penalty: float = 1e-4
    check_every: float = 0.02  # five masks, so that none is drawn before a tenth of an epoch
    settled: float = 0.1
    draw_at: float | None = None
    at_most: float = 1.0
    pruning: Pruning = Pruning()

    @property
    def stage(self) -> Stage:
        """The search as the stage of training that it is: the full network learns the labels."""
        return Stage(name=SEARCH, epochs=1, learning_rate=self.learning_rate, label_weight=1.0)

    def steps(self, texts: Texts, settings: TrainingSettings, epochs: float | None = None) -> int:
        """Return the steps of so many epochs, by default of the longest search; at least one."""
        epochs = epochs or self.draw_at or self.at_most
        return max(1, round(epochs * len(texts.batches(settings.batch_size))))

    def batches(self, texts: Texts, settings: TrainingSettings) -> Iterator[list[int]]:
        """Return the numbers of the texts of each step of the longest search."""
        # It may go on over several epochs, or end in the middle of one.
        epochs = (epoch_batches(texts, settings, self.stage, epoch) for epoch in itertools.count())
        return itertools.islice(itertools.chain.from_iterable(epochs), self.steps(texts, settings))


class ScaledModel(ElasticModel):
    """An elastic model with a coefficient for each head and each neuron, all 1 at first, that learn with it."""

    def __init__(self, network: PreTrainedModel, read_outputs: ReadOutputs = outputs_by_name):
        super().__init__(network, read_outputs)
        self.heads = nn.Parameter(torch.ones(self.config.layers, self.config.heads))
        self.neurons = nn.Parameter(torch.ones(self.config.layers, self.config.ffn))

    def forward(
        self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None, scales: UnitValues | None = None
    ) -> ModelOutput:
        """Run a sub-network as the elastic model does, by default with the coefficients."""
        return super().forward(ids, mask, subnet, types, scales or UnitValues(self.heads, self.neurons))

    def coefficients(self) -> UnitValues:
        """Return the magnitudes of the coefficients as they are now, in the CPU's memory."""
        return self.family.tied(UnitValues(self.heads.detach().abs().cpu(), self.neurons.detach().abs().cpu()))

    def penalty(self, search: TicketSearch) -> Tensor:
        """Return what large coefficients cost."""
        return search.head_penalty * self.heads.abs().sum() + search.neuron_penalty * self.neurons.abs().sum()


class MaskHistory:
    """Compares the masks that would be drawn as a search goes on, and says when they have settled.

    Equal coefficients are told apart by their numbers: while all are 1, the mask stays the same for no reason. So none
    is drawn before the first step, and where ties could change one by as much as `settled`, neither it nor those before
    it are kept.
    """

    def __init__(self, search: TicketSearch):
        self._search = search
        self._masks: deque[UnitValues] = deque(maxlen=WINDOW - 1)

    def compare(self, coefficients: UnitValues, mask: UnitValues, step: int, steps: int, seconds: float) -> MaskEvent:
        """Compare a mask with those before it, and say whether it is to be the ticket."""
        ties, limit = left_to_ties(coefficients, mask), self._search.settled
        found = [distance(mask, earlier) for earlier in reversed(self._masks)]
        settled = len(found) == WINDOW - 1 and all(max(one) < limit for one in (*found, ties))
        # Masks that ties decide would seem to have settled from the first step on.
        if max(ties) < limit:
            self._masks.append(mask)
        else:
            self._masks.clear()

        drawn: Literal["settled", "at", "latest"] | None = None
        if settled and self._search.draw_at is None:
            drawn = "settled"
        elif step == steps:
            drawn = "latest" if self._search.draw_at is None else "at"
        heads, neurons = tuple(heads for heads, _ in found), tuple(neurons for _, neurons in found)
        return MaskEvent(SEARCH, step, steps, seconds, heads, neurons, ties, drawn)


def find_ticket(search: TicketSearch, student: ScaledModel, context: StageContext) -> Ticket:
    """Return the ticket that a search draws. The student, the context's too, learns and is of no use afterwards.

    A search that was interrupted begins anew.

    Raises:
        TrainingError: the loss is no longer finite, or the memory is not enough.
    """
    settings, history = context.settings, MaskHistory(search)
    optimizer = make_optimizer(student.network, settings)
    # (layers, units) are matrices, which `make_optimizer` would give weight decay; they have the penalty.
    optimizer.add_param_group({"params": [student.heads, student.neurons], "weight_decay": 0.0})
    steps = search.steps(context.texts, settings)
    every = search.steps(context.texts, settings, search.check_every)
    # An interrupted search has no state to go on from: it is short (docs/methods.md: 100 of the 253 steps of an epoch).
    if context.accelerator.is_main_process:
        context.journal.file.cut_back(0)
    started = time.monotonic()

    student.train()
    for step, numbers in enumerate(search.batches(context.texts, settings), 1):
        # It rises as in other stages, then stays: what settles is not for want of movement.
        rate = warmed_up(search.learning_rate, settings.warmup, step, steps)
        context.seed(step)
        losses = learn(context, optimizer, rate, context.subnets, numbers, step, partial(student.penalty, search))
        context.report(StepEvent(SEARCH, step, steps, round(time.monotonic() - started, 2), losses, rate))

        if step % every == 0 or step == steps:
            coefficients = student.coefficients()
            mask = draw(coefficients, search.pruning)
            event = history.compare(coefficients, mask, step, steps, round(time.monotonic() - started, 2))
            context.report(event)
            if event.drawn:
                return Ticket.of(mask, event.drawn, step)
    raise AssertionError("the last step draws")
