"""Writes bundles whose int8 weights are the worst for sums that saturate: `python planted.py FOLDER`.

Half of the rows of every matrix have one value of either sign, which is plus or minus 127 in int8: two neighbours,
times uint8, are beyond 16 bits. One bundle has 8 bits, the other the 7 of --reduce-range. Needs torch and the
exporters.
"""

import sys
import tempfile
from pathlib import Path

import torch
from random_models import WORDS, random_classifier, save
from transformers import PreTrainedModel

from edgebert.exporters.build import export

PRECISIONS = ("int8", "int8-static", "int8-weights", "fp32")


def plant(model: PreTrainedModel) -> None:
    """Give half of the rows of each matrix of the layers one value, a quarter with a sign for all of a row."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, matrix in model.named_parameters():
            if matrix.ndim == 2 and ".layer." in name:
                quarter, value = len(matrix) // 4, matrix.abs().mean()
                matrix[:quarter] = value * torch.where(torch.rand(quarter, 1) < 0.5, -1.0, 1.0)
                matrix[quarter : 2 * quarter] = value * matrix[quarter : 2 * quarter].sign()


def main() -> None:
    """Write the bundles planted and planted-7-bits into a folder, unless they are there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    model = random_classifier("bert", num_hidden_layers=2, hidden_size=64, intermediate_size=256, num_attention_heads=4)
    plant(model)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint, texts = save(model, Path(scratch)), Path(scratch) / "texts.tsv"
        texts.write_text("text\n" + "".join(f"{' '.join(WORDS[at : at + 9])}\n" for at in range(5, len(WORDS) - 9)))
        for name, reduce_range in (("planted", False), ("planted-7-bits", True)):
            if not (folder / name).exists():
                export(
                    checkpoint,
                    folder / name,
                    precisions=PRECISIONS,
                    calibration_data=texts,
                    max_length=48,
                    reduce_range=reduce_range,
                )


if __name__ == "__main__":
    main()
