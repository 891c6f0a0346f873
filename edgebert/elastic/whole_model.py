"""A transformers classifier of any family, run as it is: what is trained where nothing is cut in each call."""

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from edgebert.elastic.model import ModelOutput
from edgebert.elastic.model_config import config_of
from edgebert.elastic_manifest import Slice
from edgebert.subnet import Subnet


class WholeModel(nn.Module):
    """A transformers classifier with one sub-network: all of it."""

    def __init__(self, classifier: PreTrainedModel):
        """Wrap a transformers model with a task's head; its weights are shared, not copied.

        Raises:
            TrainingError: the model is of no known family.
        """
        super().__init__()
        self.config = config_of(classifier.config)
        self.classifier = classifier
        self.train(classifier.training)

    def subnet(self) -> Subnet:
        """Return the one sub-network there is."""
        count = self.config.layers
        whole = Slice("full", tuple(range(count)), (self.config.heads,) * count, (self.config.ffn,) * count)
        return whole.subnet("full", "fp32")

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> ModelOutput:
        """Run the model on token ids, attention mask and token types, each (batch, length) of integers."""
        # Its layers may have other numbers, those of the model that it was cut from.
        assert len(subnet.layers) == self.config.layers, "a whole model runs all of its layers"
        out = self.classifier(input_ids=ids, attention_mask=mask, output_hidden_states=True, **self.typed(types))
        return ModelOutput(out.logits, out.hidden_states)

    def typed(self, types: Tensor | None) -> dict[str, Tensor]:
        """Return token types by transformers' name of that input, for a model that takes them."""
        return {} if types is None or not self.config.family.described.token_types else {"token_type_ids": types}

    def freeze_embeddings(self) -> None:
        """Make training leave the embedding tables, and their LayerNorm, as they are."""
        self.config.family.embeddings(self.classifier).requires_grad_(False)

    def plain(self) -> PreTrainedModel:
        """Return the classifier as transformers loads it."""
        return self.classifier

    def keep_layers(self, layers: Sequence[int]) -> "WholeModel":
        """Return a copy that has only some of the layers, whose numbers are given in their order."""
        return WholeModel(self.config.family.with_layers(self.classifier, layers))
