"""Model folders whose tokenizer files say what tokenizer files may say, made from a seed.

What is written is random but not absurd: each file is what transformers, or a person, has been seen to write. Files
contradict each other, are missing, or belong to another family.
"""

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "xlnet")
FAMILIES += ("mpnet", "modernbert", "deberta-v2", "albert")
VOCABULARY = 400  # rows of the embedding: more than most of the tokenizers have, and fewer than some

BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
MPNET_SPECIAL = (*ROBERTA_SPECIAL, "[UNK]")
DEBERTA_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
ALBERT_SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
XLNET_SPECIAL = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
LETTERS = "abcdefghijklmnopqrstuvwxyz\u00e9\u00fc\u00df\u0436\u6771\u4eac"
WORDS = ("film", "good", "bad", "the", "The", "FILM", "caf\u00e9", "new", "york", "don", "x")
SIGNS = ".,!?'\"-_[]<>/#"

# Values that transformers reads in tokenizer_config.json.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "do_lower_case": (True, False),
    "strip_accents": (True, False, None),
    "tokenize_chinese_chars": (True, False),
    "do_basic_tokenize": (True, False),
    "never_split": (["film"], None),
    "add_prefix_space": (True, False),
    "trim_offsets": (True, False),
    "clean_up_tokenization_spaces": (True, False),
    "truncation_side": ("left", "right"),
    "padding_side": ("left", "right"),
    "model_max_length": (12, 512, 1e30, 1000000000000000019884624838656),
    "model_input_names": (["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"]),
    "split_special_tokens": (True, False),
    "keep_accents": (True, False),
    "remove_space": (True, False),
    "legacy": (True, False),
    "add_bos_token": (True, False),
    "add_eos_token": (True, False),
    "unk_token": ("[UNK]", "<unk>", "x"),
    "cls_token": ("[CLS]", "<s>", "film", "<cls>"),
    "sep_token": ("[SEP]", "</s>", "<sep>"),
    "pad_token": ("[PAD]", "<pad>", None),
    "mask_token": ("[MASK]", "<mask>", {"__type": "AddedToken", "content": "<mask>", "lstrip": True}),
    "additional_special_tokens": ([], ["[E1]", "film"], ["<s>NOTUSED"]),
    "extra_special_tokens": ([], ["[E2]"], {"image_token": "[E3]"}),
    "tokenizer_class": (
        *("BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast", "RobertaTokenizer"),
        *("RobertaTokenizerFast", "XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "CamembertTokenizer"),
        *("XLNetTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "BertJapaneseTokenizer", "NoSuchOne"),
        *("GPT2Tokenizer", "AlbertTokenizer", "MPNetTokenizer", "LlamaTokenizerFast", "BertTokenizerLegacy"),
    ),
}
OWN_CLASSES = {
    "bert": "BertTokenizer",
    "electra": "ElectraTokenizerFast",
    "distilbert": "DistilBertTokenizer",
    "roberta": "RobertaTokenizerFast",
    "xlm-roberta": "XLMRobertaTokenizerFast",
    "camembert": "CamembertTokenizerFast",
    "xlnet": "XLNetTokenizerFast",
    "mpnet": "MPNetTokenizer",
    "modernbert": "PreTrainedTokenizerFast",
    "deberta-v2": "DebertaV2TokenizerFast",
    "albert": "AlbertTokenizerFast",
}
OWN_KINDS = {
    "roberta": ("merges",),
    "xlm-roberta": ("unigram", "sentencepiece"),
    "camembert": ("unigram", "sentencepiece"),
    "xlnet": ("unigram", "sentencepiece"),
    "modernbert": ("merges",),
    "deberta-v2": ("unigram", "sentencepiece"),
    "albert": ("unigram", "sentencepiece"),
}


@dataclass(frozen=True)
class FolderMaker:
    """Writes one folder; `chance` and `choose` draw from the seed."""

    generator: random.Random
    folder: Path

    @property
    def family(self) -> str:
        """The family that config.json names."""
        return str(json.loads((self.folder / "config.json").read_text())["model_type"])

    def chance(self, share: float) -> bool:
        return self.generator.random() < share

    def choose(self, values: Any) -> Any:
        return self.generator.choice(values)

    def write(self, name: str, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_bytes(text.encode())


def write_folder(seed: int, folder: Path) -> None:
    """Write a folder's config.json and tokenizer files; the same for the same seed."""
    maker = FolderMaker(random.Random(seed), folder)
    family = maker.choose(FAMILIES)
    config = {"model_type": family, "vocab_size": VOCABULARY}
    if maker.chance(0.1):
        config["tokenizer_class"] = maker.choose(SETTINGS["tokenizer_class"])
    maker.write("config.json", config)

    # Mostly the files of the family; some of another, or of two.
    kinds = [maker.choose(OWN_KINDS.get(family, ("vocabulary",))) if maker.chance(0.9) else maker.choose(list(KINDS))]
    kinds += [maker.choose(list(KINDS))] if maker.chance(0.1) else []
    for kind in kinds:
        KINDS[kind](maker)
    if maker.chance(0.75):
        maker.write("tokenizer_config.json", _settings(maker, family))
    if maker.chance(0.3):
        maker.write("special_tokens_map.json", _special_tokens_map(maker, kinds[0]))
    if maker.chance(0.2):
        numbers = range(300, VOCABULARY + (20 if maker.chance(0.1) else 0))
        tokens = maker.generator.sample(["[NEW]", "covid", "<new>", "new york", "film", "\u6771\u4eac"], 2)
        maker.write("added_tokens.json", {token: maker.choose(numbers) for token in tokens})


def _settings(maker: FolderMaker, family: str) -> dict[str, Any]:
    """Return a tokenizer_config.json: a few settings, mostly with the family's own class."""
    names = maker.generator.sample(sorted(set(SETTINGS) - {"tokenizer_class"}), maker.choose([0, 1, 1, 2, 3]))
    settings = {name: maker.choose(SETTINGS[name]) for name in names}
    if maker.chance(0.7):
        classes = (OWN_CLASSES[family], OWN_CLASSES[family], "PreTrainedTokenizerFast")
        settings["tokenizer_class"] = maker.choose(classes if maker.chance(0.85) else SETTINGS["tokenizer_class"])
    if maker.chance(0.2):
        settings["added_tokens_decoder"] = {
            str(maker.choose(range(300))): _added_token(maker, token)
            for token in maker.generator.sample(["[NEW]", "covid", "film", "[MASK]", "<mask>"], 2)
        }
    return settings


def _special_tokens_map(maker: FolderMaker, kind: str) -> dict[str, Any]:
    known = {"vocabulary": BERT_SPECIAL, "merges": ROBERTA_SPECIAL, "unigram": ROBERTA_SPECIAL}
    special = known.get(kind, XLNET_SPECIAL)
    found: dict[str, Any] = {}
    for name in ("cls_token", "sep_token", "unk_token", "pad_token", "mask_token", "bos_token", "eos_token"):
        if maker.chance(0.4):
            token = maker.choose(special)
            found[name] = _added_token(maker, token) if maker.chance(0.5) else token
    return found


def _added_token(maker: FolderMaker, content: str) -> dict[str, Any]:
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"content": content, **{flag: maker.chance(0.4) for flag in flags}}


def _write_vocabulary(maker: FolderMaker) -> None:
    """Write a vocab.txt, a tokenizer.json of a WordPiece, or both."""
    special = list(MPNET_SPECIAL if maker.family == "mpnet" else BERT_SPECIAL)
    if maker.chance(0.1):
        special.remove(maker.choose(special))
    words = [*special, *LETTERS, *SIGNS, *WORDS, *(f"##{letter}" for letter in LETTERS), "##s", "##t"]
    if maker.chance(0.05):
        words.append("film")  # twice
    if maker.chance(0.05):
        words += [f"[unused{number}]" for number in range(VOCABULARY)]
    which = maker.choose(("text", "text", "json", "json", "both", "both"))
    if which != "json":
        ending = maker.choose(("\n", "\n", "\n", "\r\n"))
        start = "\ufeff" if maker.chance(0.05) else ""
        maker.write("vocab.txt", start + "".join(f"{word}{ending}" for word in words))
    if which != "text":
        vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
        unknown = "[UNK]" if "[UNK]" in vocabulary or maker.chance(0.2) else "x"
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100))
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=maker.chance(0.9),
            handle_chinese_chars=maker.chance(0.8),
            strip_accents=maker.choose([None, True, False]),
            lowercase=maker.chance(0.7),
        )
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        first, last = ("<s>", "</s>") if maker.family == "mpnet" else ("[CLS]", "[SEP]")
        _finish(maker, tokenizer, first, last, special)


def _write_merges(maker: FolderMaker) -> None:
    """Write a vocab.json with a merges.txt, a tokenizer.json of a byte-level BPE, or all."""
    special = list(BERT_SPECIAL if maker.family == "modernbert" else ROBERTA_SPECIAL)
    if maker.chance(0.1):
        special.remove(maker.choose(special))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("f", "i"), ("l", "m"), ("fi", "lm"), ("o", "o"), *(("\u0120", word) for word in ("film", "g", "\u0120"))]
    words = [*special, *alphabet, *("".join(merge) for merge in merges)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    which = maker.choose(("text", "text", "json", "json", "both", "both"))
    if which != "json":
        maker.write("vocab.json", vocabulary)
        if maker.chance(0.95):
            header = "#version: 0.2\n" if maker.chance(0.9) else ""
            maker.write("merges.txt", header + "".join(f"{first} {second}\n" for first, second in merges))
    if which != "text":
        unknown = "<unk>" if maker.chance(0.2) and "<unk>" in vocabulary else None
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=maker.chance(0.3))
        tokenizer.decoder = decoders.ByteLevel()
        first, last = ("[CLS]", "[SEP]") if maker.family == "modernbert" else ("<s>", "</s>")
        _finish(maker, tokenizer, first, last, special)


def _write_unigram(maker: FolderMaker) -> None:
    """Write a tokenizer.json of a sentencepiece model."""
    own = {"deberta-v2": DEBERTA_SPECIAL, "albert": ALBERT_SPECIAL}.get(maker.family)
    special = list(own or maker.choose((ROBERTA_SPECIAL, XLNET_SPECIAL)))
    pieces = ["\u2581", *LETTERS, *SIGNS, *WORDS, *(f"\u2581{word}" for word in WORDS), *LETTERS.upper()[:26]]
    vocabulary = [(token, 0.0) for token in special]
    vocabulary += [(piece, -1.0 - number / 10) for number, piece in enumerate(dict.fromkeys(pieces))]
    unknown = special.index("[UNK]" if own is DEBERTA_SPECIAL else "<unk>") if maker.chance(0.95) else None
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    scheme = maker.choose(("always", "always", "first", "never"))
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=maker.chance(0.95))
    parts = [
        normalizers.Replace("``", '"'),
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.NFKC(),
        normalizers.Lowercase(),
        normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
        normalizers.Strip(left=False, right=True),
    ]
    chosen = [part for part in parts if maker.chance(0.4)]
    if chosen:
        tokenizer.normalizer = normalizers.Sequence(chosen)
    whole = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.pre_tokenizer = whole if maker.chance(0.6) else metaspace
    tokenizer.decoder = decoders.Metaspace()
    first, last = ("<s>", "</s>") if special[0] == "<s>" else ("[CLS]", "[SEP]") if own else ("<cls>", "<sep>")
    _finish(maker, tokenizer, first, last, special)


def _write_sentencepiece(maker: FolderMaker) -> None:
    """Write a model of sentencepiece itself, trained on random texts."""
    # Mostly under the name that the family looks for, with the tokens that it needs.
    is_xlnet = maker.family == "xlnet" or maker.chance(0.1)
    own = {"deberta-v2": ("spm.model", DEBERTA_SPECIAL), "albert": ("spiece.model", ALBERT_SPECIAL[2:])}
    name, special = own.get(maker.family, ("sentencepiece.bpe.model", ("<mask>",)))
    if is_xlnet:
        name, special = "spiece.model", XLNET_SPECIAL[3:]
    texts = (" ".join(maker.generator.choices((*WORDS, *LETTERS, *SIGNS), k=9)) for _ in range(200))
    model, bytes_too = io.BytesIO(), maker.chance(0.05)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts,
        model_writer=model,
        model_type=maker.choose(("unigram", "unigram", "unigram", "bpe")),
        vocab_size=380 if bytes_too else 120,
        hard_vocab_limit=False,
        control_symbols=list(special),
        user_defined_symbols=["covid"] if maker.chance(0.1) else [],
        pad_id=maker.choose((-1, -1, 3)),
        normalization_rule_name=maker.choose(("nmt_nfkc", "nmt_nfkc_cf", "identity")),
        add_dummy_prefix=maker.chance(0.9),
        remove_extra_whitespaces=maker.chance(0.9),
        byte_fallback=bytes_too,
        minloglevel=2,
        num_threads=1,
    )
    (maker.folder / name).write_bytes(model.getvalue())


def _finish(maker: FolderMaker, tokenizer: Tokenizer, first: str, last: str, special: list[str]) -> None:
    """Add tokens and a post-processor to a tokenizer, and write it as tokenizer.json."""
    known = [token for token in special if tokenizer.token_to_id(token) is not None]
    tokenizer.add_special_tokens([token for token in known if maker.chance(0.95)])
    for content in ("covid", "[NEW]", "new york", "\u6771\u4eac", "Film"):
        if maker.chance(0.1):
            flags = _added_token(maker, content)
            is_special = flags.pop("special")
            add = tokenizer.add_special_tokens if is_special else tokenizer.add_tokens
            add([tokenizers.AddedToken(**flags, special=is_special)])
    if maker.chance(0.1):
        tokenizer.enable_truncation(7, direction=maker.choose(("left", "right")))
    if maker.chance(0.1):
        tokenizer.enable_padding(length=20, pad_id=maker.choose((0, 1)), pad_token=known[0])
    ends = [(token, tokenizer.token_to_id(token)) for token in (last, first)]
    if maker.chance(0.95) and all(number is not None for _, number in ends):
        tokenizer.post_processor = _post_processor(maker, *ends)
    maker.write("tokenizer.json", tokenizer.to_str())


def _post_processor(maker: FolderMaker, last: tuple[str, int], first: tuple[str, int]) -> Any:
    template = processors.TemplateProcessing(
        single=f"{first[0]} $A {last[0]}",
        pair=maker.choose(
            (
                f"{first[0]}:0 $A:0 {last[0]}:0 $B:1 {last[0]}:1",
                f"{first[0]} $A {last[0]} {last[0]} $B {last[0]}",
                f"$A:0 {last[0]}:0 $B:1 {last[0]}:1 {first[0]}:2",
            )
        ),
        special_tokens=[first, last],
    )
    others = (
        processors.BertProcessing(last, first),
        processors.RobertaProcessing(last, first, maker.chance(0.5), maker.chance(0.5)),
        processors.ByteLevel(),
        processors.Sequence([processors.ByteLevel(), template]),
    )
    return template if maker.chance(0.6) else maker.choose(others)


KINDS: dict[str, Callable[[FolderMaker], None]] = {
    "vocabulary": _write_vocabulary,
    "merges": _write_merges,
    "unigram": _write_unigram,
    "sentencepiece": _write_sentencepiece,
}
