"""Model folders whose tokenizer files say what tokenizer files may say, made from a seed."""

import json
import random
from pathlib import Path

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "good", "##s", "!", "\u6771", "e", "\u00e9", "Film"]


def write_folder(seed: int, folder: Path) -> None:
    """Write a folder's config.json and tokenizer files; the same for the same seed."""
    generator = random.Random(seed)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    config = {"do_lower_case": generator.choice([True, False])}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
