"""Whether a bundle's answers are those of a plain search over transformers' own logits: on all questions of a file.

The network is a checkpoint's, exported in fp32; one without a head for answers gets a random one, by which answers mean
nothing and are compared all the same. The plain search is that of the tests.

    python benchmarks/answers_reference.py --model CHECKPOINT --data xquad-en/test.json
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import edgebert
from edgebert.exporters.build import export
from edgebert.inputs.dataset import read_examples

sys.path.append(str(Path(__file__).parents[1] / "tests" / "exporters"))

import plain_answers


def with_head(model: Path, folder: Path) -> Path:
    """Return a checkpoint of a model for answers, written to a folder where the model has no such head."""
    architectures = json.loads((model / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    if "ForQuestionAnswering" in architectures[0]:
        return model
    torch.manual_seed(1)
    network = AutoModelForQuestionAnswering.from_pretrained(model)
    with torch.no_grad():
        network.qa_outputs.weight.mul_(20)  # so that logits differ by more than rounding
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="where the checkpoint is written that gets a head")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = with_head(options.model, options.keep or Path(folder) / "checkpoint")
        bundle = export(checkpoint, Path(folder) / "bundle", precisions=["fp32"])
        questions = [row.input for row in read_examples(options.data)]
        with edgebert.load(bundle) as predictor:
            found = [predictor(question) for question in questions]
        length = bundle.manifest.max_length

    model, tokenizer = (
        AutoModelForQuestionAnswering.from_pretrained(checkpoint),
        AutoTokenizer.from_pretrained(checkpoint),
    )
    same, worst = 0, 0.0
    for (question, context), answer in zip(questions, found, strict=True):
        (expected,) = plain_answers.answers(model.eval(), tokenizer, question, context, length=length)
        same += (answer["start"], answer["end"]) == (expected["start"], expected["end"])
        worst = max(worst, abs(answer["score"] - expected["score"]))
    result = {"questions": len(questions), "same_spans": same, "largest_difference_of_scores": worst}
    print(
        json.dumps(result)
        if options.json
        else f"{same} of {len(questions)} spans are the same; scores differ by at most {worst:.1e}"
    )


if __name__ == "__main__":
    main()
