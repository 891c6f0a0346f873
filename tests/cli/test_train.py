"""What the options of `edgebert train` come to: the settings of its methods. Needs the libraries of training."""

import re
from fractions import Fraction
from typing import Any

import pytest

pytest.importorskip("torch")

from edgebert.cli import train_bort, train_dynabert, train_early_bird, train_layer_drop
from edgebert.cli.parser import make_parser
from edgebert.cli.training import files_of, run_options_of

pytestmark = pytest.mark.full

FILES = ["--model", "m", "--train", "t", "--dev", "d", "--out", "o"]
METHODS: dict[str, tuple[Any, list[str]]] = {
    "dynabert": (train_dynabert, []),
    "layer-drop": (train_layer_drop, ["--drop", "1"]),  # else the checkpoint is asked how many layers it has
    "early-bird": (train_early_bird, []),
    "bort": (train_bort, ["--mlm-teacher", "m"]),
}
# Those of exploring and measuring, and a length that the checkpoint may bound.
ELSEWHERE = {"--seeds", "--explore", "--rounds", "--latencies", "--host-command", "--architecture", "--max-length"}
VALUES = {"N,...": "5,7", "W,...": "0.5,1", "D,...": "0.5,1", "NAME,...": "final", "A,B": "a,b", "N": "5", "K": "5"}
VALUES |= dict.fromkeys(("X", "E", "P", "D"), "0.25") | {"NAME": "text-regression"}


def settings(method: str, *words: str) -> list[Any]:
    """Return all that a method is given for some options."""
    module, always = METHODS[method]
    options = make_parser().parse_args(["train", method, *FILES, *always, *words])
    found = module.settings_of(options)
    # What is left to the recipe of dynabert is decided there.
    decided = found.stages_after_rewiring() if method == "dynabert" else found
    rest = (found.fine_tune, found.augment, found.augment_model) if method == "dynabert" else ()
    return [decided, *rest, files_of(options), run_options_of(options, listener)]


def listener(event: object, /) -> None:
    """Hear of nothing."""


def help_lines(method: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a line for each option."""
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["train", method, "--help"])
    # The help of an option with a long name stands on a line of its own.
    found = re.findall(r"^  (--.*(?:\n {10,}.*)?)", capsys.readouterr().out, re.MULTILINE)
    return [" ".join(line.split()) for line in found]


@pytest.mark.parametrize("method", METHODS)
def test_a_default_that_help_names_is_the_one_that_is_taken(
    method: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(help_lines(method, capsys, monkeypatch))
    named = dict(re.findall(r"^(--[\w-]+) .*\((?:default: )?(\d[\d.,e/-]*)[;)]", lines, re.MULTILINE))
    named.pop("--max-length")
    assert len(named) > 4
    for option, text in named.items():
        value = str(float(Fraction(text))) if "/" in text else text
        assert settings(method, option, value) == settings(method), option


@pytest.mark.parametrize("method", METHODS)
def test_every_option_changes_something(
    method: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in help_lines(method, capsys, monkeypatch):
        option, metavar = re.match(r"(--[\w-]+)(?: ([A-Z{]\S*))?", line).groups(default="")  # type: ignore[union-attr]
        value = metavar[1:-1].split(",")[-1] if metavar.startswith("{") else VALUES.get(metavar, "other")
        if option not in {*ELSEWHERE, "--json"}:
            assert settings(method, option, *[value] * bool(metavar)) != settings(method), option
