"""From what was measured to the tables: medians, and the best of ours by the best peer, round by round."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from statistics import geometric_mean, median

from peer_contenders import CONTENDERS, ORT_OURS, QUANTIZE_DYNAMIC, REFERENCE
from peer_journal import Check, Measurement, Settings

from edgebert.cli.output import print_table
from edgebert.measuring.latency_statistics import median_interval
from edgebert.records import Record

MAX_ACCURACY_LOSS = 0.01
REPEATED, MIXED = "repeated", "mixed"
# Each summary is of the cells of one kind: their requests and, of mixed lengths, the figure.
SUMMARIES = {
    "repeated shapes": (REPEATED, None),
    "mixed lengths, mean": (MIXED, "mean"),
    "mixed lengths, p95": (MIXED, "p95"),
}


class Cell(Record, frozen=True):
    """What is compared: one figure of one table."""

    model: str
    threads: int
    requests: str
    figure: str

    def __str__(self) -> str:
        return f"{self.model}, {self.threads} thread{'s' * (self.threads > 1)}, {self.figure}"


class Ratio(Record, frozen=True):
    """Ours by the peers', so that less is better for us: the median of the rounds with its 95 % interval."""

    median: float
    ci95: tuple[float, float]
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, rounds: Sequence[float]) -> "Ratio":
        return cls(median=median(rounds), ci95=median_interval(rounds), rounds=tuple(rounds))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.ci95[0]:.2f} - {self.ci95[1]:.2f})"


class Compared(Record, frozen=True):
    """A cell's median milliseconds by line of the table, and the best of ours by the best peer."""

    cell: Cell
    milliseconds: dict[str, float]
    ratio: Ratio | None


class Summary(Record, frozen=True):
    """The geometric mean of the ratios of several cells, taken in each round, and the worst cell."""

    compared: str
    requests: str
    model: str
    geometric_mean: Ratio
    worst: Ratio
    worst_cell: Cell


class Report(Record, frozen=True):
    """All that peers.py prints."""

    settings: Settings
    checks: tuple[Check, ...]
    left_out: dict[str, tuple[str, ...]]
    cells: tuple[Compared, ...]
    summaries: tuple[Summary, ...]


# The milliseconds of each round that a cell was measured in, by line of the table.
Rows = dict[str, dict[int, float]]


def row_of(contender: str, job: str) -> str:
    """Return a contender's line in a table: of mixed lengths it may have one more, padded."""
    return f"{contender}, padded" if job == "padded" else contender


def by_cell(measurements: Iterable[Measurement]) -> dict[Cell, Rows]:
    cells: dict[Cell, Rows] = {}
    for one in measurements:
        for figure, milliseconds in one.figures.items():
            requests = REPEATED if one.job == REPEATED else MIXED
            rows = cells.setdefault(Cell(one.model, one.threads, requests, figure), {})
            rows.setdefault(row_of(one.contender, one.job), {})[one.round] = milliseconds
    return cells


def best_by_best(rows: Rows, ours: AbstractSet[str], peers: AbstractSet[str]) -> dict[int, float]:
    """Return the best of our rows by the best of the peers', for each round in which both were measured."""
    best = []
    for side in (ours, peers):
        rounds: dict[int, float] = {}
        for row in side & rows.keys():
            for number, milliseconds in rows[row].items():
                rounds[number] = min(milliseconds, rounds.get(number, milliseconds))
        best.append(rounds)
    return {number: best[0][number] / best[1][number] for number in sorted(best[0].keys() & best[1].keys())}


def left_out(checks: Sequence[Check], model: str) -> set[str]:
    """Return the contenders that lost more than a point of accuracy and are nobody's best for a model.

    Where the accuracy is not known, as of random weights, it excludes those of ours that lost it on another model.
    """
    right = {check.model: check.accuracy for check in checks if check.contender == REFERENCE.name}
    bad = [c for c in checks if c.accuracy is not None and c.accuracy < right[c.model] - MAX_ACCURACY_LOSS]
    return {check.contender for check in bad if check.model == model or CONTENDERS[check.contender].ours}


def rows_of(names: Iterable[str]) -> set[str]:
    return {row_of(name, job) for name in names for job in CONTENDERS[name].jobs}


def summarise(compared: str, cells: dict[Cell, dict[int, float]]) -> Iterable[Summary]:
    """Yield a summary for each kind of requests and for each model and all, of the ratios of each round."""
    models = sorted({cell.model for cell in cells}, reverse=True)
    for requests, (kind, figure) in SUMMARIES.items():
        for model in [*models, "all"] if len(models) > 1 else models:
            ratios = {
                cell: rounds
                for cell, rounds in cells.items()
                if rounds and cell.requests == kind and figure in (None, cell.figure) and model in (cell.model, "all")
            }
            numbers = set.intersection(*(set(rounds) for rounds in ratios.values())) if ratios else set()
            if numbers:
                means = [geometric_mean(rounds[number] for rounds in ratios.values()) for number in sorted(numbers)]
                worst = max(ratios, key=lambda cell: median(ratios[cell].values()))
                yield Summary(
                    compared=compared,
                    requests=requests,
                    model=model,
                    geometric_mean=Ratio.of(means),
                    worst=Ratio.of(list(ratios[worst].values())),
                    worst_cell=worst,
                )


def report(settings: Settings, checks: Sequence[Check], measurements: Iterable[Measurement]) -> Report:
    cells = by_cell(measurements)
    excluded = {model: left_out(checks, model) for model in sorted({cell.model for cell in cells})}
    ratios, alone = {}, {}
    for cell, rows in cells.items():
        counted = CONTENDERS.keys() - excluded[cell.model]
        ours = {name for name in counted if CONTENDERS[name].ours}
        ratios[cell] = best_by_best(rows, rows_of(ours), rows_of(counted - ours))
        alone[cell] = best_by_best(rows, {ORT_OURS.name}, {QUANTIZE_DYNAMIC.name})
    return Report(
        settings=settings,
        checks=tuple(checks),
        left_out={model: tuple(sorted(names)) for model, names in excluded.items()},
        cells=tuple(
            Compared(
                cell=cell,
                milliseconds={row: median(rounds.values()) for row, rounds in rows.items()},
                ratio=Ratio.of(list(ratios[cell].values())) if ratios[cell] else None,
            )
            for cell, rows in cells.items()
        ),
        summaries=(
            *summarise("best of ours / best peer", ratios),
            *summarise(f"{ORT_OURS.name} / {QUANTIZE_DYNAMIC.name}", alone),
        ),
    )


def show(result: Report) -> None:
    """Print the report as tables."""
    print(f"{result.settings.device}\n")
    show_checks(result)
    tables: dict[tuple[str, int, str], list[Compared]] = {}
    for one in result.cells:
        tables.setdefault((one.cell.model, one.cell.threads, one.cell.requests), []).append(one)
    for (model, threads, requests), cells in tables.items():
        what = "batch x tokens, each repeated" if requests == REPEATED else "one text after the other, as they come"
        print(f"\n{model}, {threads} thread{'s' * (threads > 1)}: {what}; median ms of the rounds\n")
        show_table(cells, result.left_out[model])
    print("\nRatios, below 1 where ours is faster: the median of the rounds and its 95 % interval")
    for compared in dict.fromkeys(one.compared for one in result.summaries):
        print(f"\n{compared}\n")
        rows = [
            [one.requests, one.model, one.geometric_mean, one.worst, one.worst_cell]
            for one in result.summaries
            if one.compared == compared
        ]
        print_table(rows, ["requests", "model", "geometric mean", "worst cell", "which"])


def show_checks(result: Report) -> None:
    rows = [
        [
            one.contender,
            one.model,
            one.precision,
            one.texts,
            f"{one.max_abs_logit_difference:.0e} of {one.max_abs_logit:.1f}",
            "" if one.label_agreement is None else f"{one.label_agreement:.1%}",
            "" if one.accuracy is None else f"{one.accuracy:.3f}",
            "no" if one.contender in result.left_out.get(one.model, ()) else "yes",
        ]
        for one in result.checks
    ]
    headers = ["contender", "model", "runs in", "texts", "logits differ by", "same label", "accuracy", "counts"]
    print_table(rows, headers)


def show_table(cells: Sequence[Compared], excluded: Sequence[str]) -> None:
    """Print the milliseconds of all contenders, those that do not count in brackets, and the ratios."""
    names = list(dict.fromkeys(row for one in cells for row in one.milliseconds))
    out = rows_of(excluded)
    rows = [
        [f"({name})" if name in out else name, *(f"{one.milliseconds.get(name, float('nan')):.2f}" for one in cells)]
        for name in names
    ]
    ratios = [one.ratio for one in cells]
    rows.append(["best of ours / best peer", *(f"{ratio.median:.2f}" if ratio else "" for ratio in ratios)])
    intervals = (f"{ratio.ci95[0]:.2f}-{ratio.ci95[1]:.2f}" if ratio else "" for ratio in ratios)
    rows.append(["95 % interval", *intervals])
    print_table(rows, ["contender", *(one.cell.figure for one in cells)])
