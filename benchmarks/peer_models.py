"""Makes what the peer benchmarks load: each contender's form of MiniLM-L6 and of BERT-base, once.

MiniLM-L6 is a checkpoint's full network, BERT-base has random weights (latency does not depend on them). Each form is
made in a process of its own and stays in WORK/MODEL; a folder that is removed is made again.

    python benchmarks/peer_models.py --work checkpoints/peers
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peer_contenders import OURS

from edgebert.cli.arguments import names
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.dataset import read_examples
from edgebert.inputs.tokenization import Tokenizer, Tokens, pad

RANDOM = "BERT-base"
WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)
MAX_LENGTH = 128
CALIBRATION_TEXTS = 300
# What peers.py needs; peers_start.py compares the bytes of the last two as well.
FOR_SPEED = ("checkpoint", "bundle", "onnx", "dynamic", "openvino", "openvino-int8", "ctranslate2")
FAMILIES = ("family", "family-dynamic")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is made from what, and where."""
    data = Path("checkpoints/builtin")
    parser.add_argument("--models", type=names, default=["MiniLM-L6", RANDOM])
    parser.add_argument("--checkpoint", type=Path, default=data / "elastic", help="MiniLM-L6")
    parser.add_argument("--vocabulary", type=Path, default=data / "pretrained" / "vocab.txt", help="BERT-base's")
    parser.add_argument(
        "--calibrate", type=Path, default=data / "movie-reviews" / "train.tsv", help="for static scales"
    )
    parser.add_argument("--work", type=Path, default=Path("checkpoints/peers"), help="where all that is made stays")


def make(options: argparse.Namespace, artifacts: Sequence[str]) -> list[Path]:
    """Return the folder of each model, with these artifacts in it; those that were not there are made."""
    for model in options.models:
        for artifact in artifacts:
            if not (options.work / model / artifact).exists():
                print(f"making {artifact} of {model}", file=sys.stderr, flush=True)
                make_apart(options, model, artifact)
        check_origin(options, model)
    return [options.work / model for model in options.models]


def make_apart(options: argparse.Namespace, model: str, artifact: str) -> None:
    """Make one artifact in a fresh process."""
    files = [f"--{name}={getattr(options, name)}" for name in ("checkpoint", "vocabulary", "calibrate", "work")]
    command = [sys.executable, __file__, *files, "--models", model, "--artifact", artifact]
    subprocess.run(command, stdout=sys.stderr, check=True)


def check_origin(options: argparse.Namespace, model: str) -> None:
    """Stop if a model was made from another checkpoint than the one given."""
    given, used = (folder / "model.safetensors" for folder in (options.checkpoint, options.work / model / "checkpoint"))
    if model != RANDOM and given.stat().st_mtime != used.stat().st_mtime:
        sys.exit(f"error: {options.work / model} was made from another checkpoint; remove it or choose another --work")


def make_here(options: argparse.Namespace, model: str, artifact: str) -> None:
    """Make one artifact in this process; it takes its place when it is finished."""
    folder = options.work / model
    partial = folder / f"{artifact}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    MAKERS[artifact](options, folder, partial)
    partial.rename(folder / artifact)


def make_checkpoint(options: argparse.Namespace, folder: Path, out: Path) -> None:
    if folder.name == RANDOM:
        import random_checkpoint

        random_checkpoint.write(folder.name, options.vocabulary, out)
    else:
        shutil.copytree(options.checkpoint, out, dirs_exist_ok=True)


def make_bundle(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Export the full and the smallest sub-network in the precisions of all recipes that are compared."""
    from edgebert.exporters.build import export

    export(
        folder / "checkpoint",
        out,
        widths=(0.25, 1),
        depths=(0.5, 1),
        precisions=sorted({recipe.name.partition("/")[0] for recipe in OURS}),
        calibration_data=options.calibrate,
        max_length=MAX_LENGTH,
    )


def make_family(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Export all twelve sub-networks in int8, as a device would get them."""
    from edgebert.exporters.build import export

    export(folder / "checkpoint", out, widths=WIDTHS, depths=DEPTHS, precisions=("int8",), max_length=MAX_LENGTH)


def make_onnx(options: argparse.Namespace, folder: Path, out: Path) -> None:
    export_onnx(read_model(folder), out / "model.onnx")


def make_dynamic(options: argparse.Namespace, folder: Path, out: Path) -> None:
    quantize(folder / "onnx" / "model.onnx", out / "model.onnx")


def make_family_dynamic(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Take all twelve sub-networks out as plain models; export and quantise each on its own."""
    from edgebert.elastic.elastic_model import ElasticModel

    model = ElasticModel(read_model(folder))
    for subnet in (model.subnet(width, depth) for depth in DEPTHS for width in WIDTHS):
        export_onnx(model.extract(subnet), out / "fp32.onnx")
        quantize(out / "fp32.onnx", out / f"{subnet.id}.onnx")
        (out / "fp32.onnx").unlink()


def make_openvino(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Convert torch's model directly: its attention stays one operation, which it does not on the way by ONNX."""
    import openvino

    inputs = example()
    free = [(name, openvino.PartialShape([-1, -1]), openvino.Type.i64) for name in inputs]
    converted = openvino.convert_model(read_model(folder), example_input=inputs, input=free)
    openvino.save_model(converted, out / "model.xml", compress_to_fp16=False)


def make_openvino_int8(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Quantise with NNCF's settings for transformers, calibrated on real texts."""
    import nncf
    import openvino

    model = openvino.Core().read_model(folder / "openvino" / "model.xml")
    texts = [inputs_of(ids) for ids in token_ids(folder, options.calibrate)[:CALIBRATION_TEXTS]]
    kind = nncf.ModelType.TRANSFORMER
    quantized = nncf.quantize(model, nncf.Dataset(texts), model_type=kind, subset_size=len(texts))
    openvino.save_model(quantized, out / "model.xml", compress_to_fp16=False)


def make_ctranslate2(options: argparse.Namespace, folder: Path, out: Path) -> None:
    """Convert the encoder and its pooler; CTranslate2 has no BERT classifiers, so the last layer stays apart."""
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer

    model = read_model(folder)
    model.bert.config.position_embedding_type = "absolute"  # the converter wants it said
    with tempfile.TemporaryDirectory() as encoder:
        model.bert.save_pretrained(encoder)
        AutoTokenizer.from_pretrained(folder / "checkpoint").save_pretrained(encoder)
        TransformersConverter(encoder).convert(out, quantization="int8", force=True)
    np.savez(out / "classifier.npz", **{name: value.numpy() for name, value in model.classifier.state_dict().items()})


def read_model(folder: Path):
    """Return transformers' model of a model's checkpoint, ready for inference."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder / "checkpoint").eval()


def export_onnx(model, out: Path) -> None:
    """Export a transformers model with torch's exporter.

    Eager attention makes fewer nodes of it than torch's fused one, and a graph that is 3 to 10 % faster.
    """
    import torch

    model.set_attn_implementation("eager")
    inputs = example()
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=512)}
    torch.onnx.export(
        model,
        kwargs=inputs,
        f=out,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(inputs, free),
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def quantize(source: Path, out: Path) -> None:
    """Quantise as ONNX Runtime's guide does, with all its defaults; per_channel=True is up to 5 % slower."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    model = onnx.load(source)
    del model.graph.value_info[:]  # torch's shapes of transposed weights make the quantiser fail; it infers its own
    quantize_dynamic(model, out)


def example() -> dict:
    """Return torch inputs (2, 4) int64 to trace a model with."""
    import torch

    ids = torch.tensor([[101, 2307, 2143, 102]] * 2)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def inputs_of(ids: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the graph inputs (1, length) int64 of one text."""
    return pad([Tokens(ids, [0] * len(ids))], ("input_ids", "attention_mask", "token_type_ids"))


def token_ids(model: Path, file: Path) -> list[list[int]]:
    """Return the token ids of each text of a data file, as the model in a folder takes them."""
    encode = Tokenizer.of(Bundle.load(model / "bundle")).encode
    return [list(encode(example.input).ids) for example in read_examples(file)]


MAKERS = {
    "checkpoint": make_checkpoint,
    "bundle": make_bundle,
    "onnx": make_onnx,
    "dynamic": make_dynamic,
    "openvino": make_openvino,
    "openvino-int8": make_openvino_int8,
    "ctranslate2": make_ctranslate2,
    "family": make_family,
    "family-dynamic": make_family_dynamic,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--artifact", choices=MAKERS, help="make this one alone, in this process")
    options = parser.parse_args()
    if options.artifact:
        make_here(options, options.models[0], options.artifact)
    else:
        make(options, (*FOR_SPEED, *FAMILIES))


if __name__ == "__main__":
    main()
