from collections.abc import Callable
from typing import Any

import pytest

from edgebert.cli.parser import make_parser

Edgebert = Callable[..., Any]

VERBS = ("profile", "select", "predict", "evaluate", "inspect", "devices", "export", "train")
BUDGET = ("--latency-ms", "--memory-mb", "--percentile", "--length", "--batch-size", "--tolerance", "--provider")
OF_PROFILES = ("--threads", "--profile")


def test_help_names_every_verb(edgebert: Edgebert) -> None:
    text = make_parser().format_help()
    for verb in VERBS:
        assert f"\n    {verb} " in text


@pytest.mark.parametrize("verb", [*VERBS, "train dynabert", "train bort"])
def test_help_of_every_verb_says_how_it_prints(edgebert: Edgebert, verb: str) -> None:
    done = edgebert(*verb.split(), "--help")
    assert done.status == 0
    assert "--json" in done.out
    assert "-v, --verbose" in done.out


@pytest.mark.parametrize("verb", ["select", "predict"])
def test_a_budget_is_given_to_every_verb_by_the_same_options(edgebert: Edgebert, verb: str) -> None:
    text = edgebert(verb, "--help").out
    for option in BUDGET + OF_PROFILES:
        assert f"\n  {option} " in text


@pytest.mark.parametrize("verb", ["profile", "select", "inspect"])
def test_a_bundle_has_two_spellings_but_not_at_once(verb: str) -> None:
    by_itself, as_option, neither = ([verb, "here"], [verb, "--bundle", "here"], [verb])
    parse = make_parser().parse_args
    assert [parse(line).bundle for line in (by_itself, as_option, neither)] == ["here", "here", None]


@pytest.mark.parametrize("verb", ["profile", "select", "inspect"])
def test_two_bundles_are_one_too_many(edgebert: Edgebert, verb: str) -> None:
    assert "--bundle: not allowed with argument" in edgebert(verb, "here", "--bundle", "there").usage_error(verb)


@pytest.mark.parametrize("line", ["train --json dynabert", "train dynabert --json"])
def test_options_of_a_method_may_stand_before_it(line: str) -> None:
    files = ["--model", "m", "--train", "t", "--dev", "d", "--out", "o"]
    options = make_parser().parse_args([*line.split(), *files])
    assert (options.json, options.verbose) == (True, False)


@pytest.mark.parametrize(
    ("verb", "rest", "message"),
    [
        ("", [], "the following arguments are required: VERB"),
        ("", ["fly"], "argument VERB: invalid choice: 'fly'"),
        ("predict", ["good", "--fast"], "unrecognized arguments: --fast"),
        ("select", ["here", "there"], "unrecognized arguments: there"),
        ("train dynabert", ["--fast"], "the following arguments are required: --model, --out"),
        ("train dynabert", ["--model", "m", "--out", "o"], "expected --train and --dev, or --texts, found neither"),
        ("predict", ["good", "--latency-ms", "0"], "--latency-ms: expected a number above 0, found '0'"),
        ("predict", ["good", "--latency-ms", "nan"], "--latency-ms: expected a number above 0, found 'nan'"),
        ("predict", ["good", "--memory-mb", "-1"], "--memory-mb: expected a number above 0, found '-1'"),
        ("predict", ["good", "--top-k", "0"], "--top-k: expected a whole number above 0, found '0'"),
        ("select", ["--percentile", "100"], "expected a percentile above 0 and at most 99, found '100'"),
        ("select", ["--tolerance", "2"], "--tolerance: expected a number from 0 to 1, found '2'"),
        ("profile", ["--lengths", "16,x"], "--lengths: expected a whole number above 0, found 'x'"),
        ("profile", ["--subnets", ","], "--subnets: expected at least one, separated by commas, found none"),
        ("profile", ["--emulate", "cpus=0"], "--emulate: expected a number above 0, found '0'"),
        ("profile", ["--emulate", "disks=1"], "--emulate: expected cpus=N and memory-mb=N, found disks=1"),
        ("profile", ["--requests-per-s", "-1"], "--requests-per-s: expected a number above 0, found '-1'"),
        ("export", ["checkpoint"], "the following arguments are required: --out"),
        ("export", ["c", "--out", "b", "--widths", "1.5"], "expected numbers above 0 and at most 1, found '1.5'"),
    ],
)
def test_wrong_usage_is_status_2_with_the_verbs_own_usage(
    edgebert: Edgebert, verb: str, rest: list[str], message: str
) -> None:
    assert message in edgebert(*verb.split(), *rest).usage_error(verb)
