"""What sentence-transformers says of a cross-encoder: what scores are made of its one logit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert.errors import ExportError
from edgebert.exporters.config_file import read_config, shown

SIGMOID = "torch.nn.modules.activation.Sigmoid"
_SETTINGS = "config_sentence_transformers.json"
# By the end of the names of torch's classes, what transformers calls a problem with such scores.
_PROBLEMS = {"Sigmoid": "single_label_classification", "Identity": "regression"}


def problem_type_of(path: Path, config: Mapping[str, Any]) -> Any:
    """Return the problem_type that the scores of a checkpoint are of: its config's, if it is no cross-encoder.

    Raises:
        ExportError: its scores are made in a way that is not supported.
    """
    usual = config.get("problem_type")
    names, count = config.get("id2label"), config.get("num_labels")
    has_one_label = len(names) == 1 if isinstance(names, dict | list) and names else count == 1
    settings = read_config(path, _SETTINGS) if (path / _SETTINGS).is_file() else {}
    is_own = settings.get("model_type") == "CrossEncoder"
    # Newer folders say it in a file of their own, those before version 4 by another name.
    found = [settings.get("activation_fn")] if is_own else []
    of_config = config.get("sentence_transformers")
    found += [of_config.get("activation_fn")] if isinstance(of_config, dict) else []
    activation = next(filter(None, [*found, config.get("sbert_ce_default_activation_function")]), None)
    if not has_one_label or activation is None:
        return usual

    name = str(activation).rpartition(".")[2]
    if name not in _PROBLEMS:
        expected = f"expected {' or '.join(_PROBLEMS)} as the activation of its scores"
        raise ExportError(f"{path}: {expected}, found {shown(activation)}; use another checkpoint")
    if is_own and settings.get("default_prompt_name") is not None:
        found_prompt = f"a default prompt, {shown(settings['default_prompt_name'])}, is not supported"
        raise ExportError(f"{path / _SETTINGS}: {found_prompt} for cross-encoders; save it without")
    return _PROBLEMS[name]
