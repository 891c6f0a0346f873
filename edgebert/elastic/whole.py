"""A transformers classifier of any family, run as it is: what is trained where nothing is cut in each call."""

import inspect
from typing import Any

from torch import Tensor, nn

from edgebert.elastic.model import ElasticModel, Output
from edgebert.errors import TrainingError
from edgebert.subnet import Subnet

# Where a base model keeps its layers and its embeddings.
_PARTS = {
    "bert": ("encoder.layer", "embeddings"),
    "roberta": ("encoder.layer", "embeddings"),
    "xlm-roberta": ("encoder.layer", "embeddings"),
    "camembert": ("encoder.layer", "embeddings"),
    "electra": ("encoder.layer", "embeddings"),
    "distilbert": ("transformer.layer", "embeddings"),
    "xlnet": ("layer", "word_embedding"),
}


class WholeModel(nn.Module):
    """A transformers classifier with one sub-network: all of it."""

    def __init__(self, classifier: Any):
        """Wrap a transformers model for sequence classification; its weights are shared, not copied.

        Raises:
            TrainingError: the model is of no known family.
        """
        super().__init__()
        self.config = classifier.config
        if self.config.model_type not in _PARTS:
            known = ", ".join(_PARTS)
            raise TrainingError(f"model_type '{self.config.model_type}' is not supported; expected one of {known}")
        self.classifier = classifier
        self._layers, self._embeddings = _PARTS[self.config.model_type]
        self._takes_types = "token_type_ids" in inspect.signature(classifier.forward).parameters
        self.train(classifier.training)

    def subnet(self, name: str = "full", method: str = "full", layers: tuple[int, ...] = ()) -> Subnet:
        """Return the one sub-network there is, under a name; `layers` are the numbers of its layers if not 0, 1, ..."""
        count = self.config.num_hidden_layers
        return Subnet(
            id=name,
            method=method,
            width=None,
            depth=None,
            precision="fp32",
            layers=layers or tuple(range(count)),
            heads=(self.config.num_attention_heads,) * count,
            ffn=(ffn_size(self.config),) * count,
        )

    def forward(self, ids: Tensor, mask: Tensor, subnet: Subnet, types: Tensor | None = None) -> Output:
        """Run the model on token ids, attention mask and token types, each (batch, length) of integers."""
        assert len(subnet.layers) == self.config.num_hidden_layers, "a whole model runs all of its layers"
        inputs = {"token_type_ids": types} if types is not None and self._takes_types else {}
        out = self.classifier(input_ids=ids, attention_mask=mask, output_hidden_states=True, **inputs)
        return Output(out.logits, out.hidden_states)

    def freeze_embeddings(self) -> None:
        """Let training leave the embedding tables, and their LayerNorm, as they are."""
        self.classifier.base_model.get_submodule(self._embeddings).requires_grad_(False)

    def keep_layers(self, layers: tuple[int, ...]) -> None:
        """Drop all layers but some, whose numbers are given in their order."""
        parent, _, name = self._layers.rpartition(".")
        base = self.classifier.base_model
        kept = nn.ModuleList(base.get_submodule(self._layers)[layer] for layer in layers)
        setattr(base.get_submodule(parent), name, kept)
        self.config.num_hidden_layers = len(layers)


Model = ElasticModel | WholeModel


def ffn_size(config: Any) -> int:
    """Return how many FFN neurons a layer has, whatever a family's configuration calls it."""
    names = ("intermediate_size", "hidden_dim", "d_inner")
    size: int = next(getattr(config, name) for name in names if hasattr(config, name))
    return size
