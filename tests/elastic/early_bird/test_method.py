import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from toys import OLDER_FAMILIES, random_model
from transformers import AutoModelForSequenceClassification

from edgebert import records
from edgebert.cli.main import main
from edgebert.elastic.checkpoint import checkpoint_task, load_elastic, read_model_config
from edgebert.elastic.early_bird.method import (
    Costs,
    EarlyBirdResult,
    EarlyBirdSettings,
    efficient_training,
    forward_flops,
    train,
    training_flops,
)
from edgebert.elastic.early_bird.ticket import (
    Pruning,
    Ticket,
    check_fits,
    distance,
    draw,
    draw_like,
    left_to_ties,
    mask_of,
    prune,
    random_coefficients,
)
from edgebert.elastic.early_bird.ticket_search import MaskHistory, ScaledModel, TicketSearch
from edgebert.elastic.elastic_model import ElasticModel
from edgebert.elastic.events import Event, Listener, no_listener
from edgebert.elastic.model_config import config_of
from edgebert.elastic.texts import Texts
from edgebert.elastic.training_data import TaskChoice, TrainingFiles
from edgebert.elastic.training_run import RunOptions
from edgebert.elastic.units import UnitValues
from edgebert.elastic_manifest import ElasticManifest
from edgebert.engines.session import open_session
from edgebert.errors import TrainingError
from edgebert.exporters.build import export
from edgebert.tasks.multi_label import MultiLabelTextClassification
from edgebert.tasks.text_regression import TextRegression
from edgebert.tasks.token_classification import TokenClassification
from profiles import way

Make = Callable[..., Path]
CONFIG = config_of(random_model("bert").config)
PRUNING = Pruning(heads=1 / 3, ffn=0.4, multiple=8)


# Those that tickets are drawn from.
@pytest.fixture(params=(*OLDER_FAMILIES, "mpnet", "modernbert"))
def model(request: pytest.FixtureRequest) -> ElasticModel:
    return ElasticModel(random_model(request.param, num_labels=3)).eval()


@pytest.fixture(scope="module")
def noise() -> UnitValues:
    return random_coefficients(CONFIG, 3)


@pytest.mark.parametrize("heads", [0.0, 0.25, 1 / 3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("ffn", [0.0, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("multiple", [1, 8, 32, 64])
def test_a_ticket_has_the_size_asked_for(noise: UnitValues, heads: float, ffn: float, multiple: int) -> None:
    mask = draw(noise, Pruning(heads, ffn, multiple))
    widths = mask.neurons.sum(dim=1)
    assert mask.heads.sum(dim=1).tolist() == [max(1, round(4 * (1 - heads)))] * 4
    assert (widths % multiple == 0).all()
    assert widths.min() >= multiple
    assert abs(int(widths.sum()) - max(4 * multiple, 4 * 64 * (1 - ffn))) <= multiple / 2 + 1


def test_twelve_heads_without_a_third_are_eight() -> None:
    coefficients = UnitValues(torch.rand(6, 12), torch.rand(6, 1536))
    mask = draw(coefficients, Pruning())
    assert mask.heads.sum(dim=1).tolist() == [8] * 6
    assert abs(int(mask.neurons.sum()) - 0.6 * 6 * 1536) <= 32


def test_the_largest_coefficients_are_kept_neurons_by_those_of_all_layers(noise: UnitValues) -> None:
    coefficients = UnitValues(noise.heads, noise.neurons + torch.tensor([[2.0], [0.0], [0.0], [0.0]]))
    mask = draw(coefficients, Pruning(0.5, 0.5, 8))
    widths = mask.neurons.sum(dim=1).tolist()
    assert widths[0] == 64
    assert sum(widths) == 128
    for values, kept in ((coefficients.heads, mask.heads), (coefficients.neurons, mask.neurons)):
        for row, chosen in zip(values.abs(), kept, strict=True):
            assert chosen.all() or row[chosen].min() > row[~chosen].max()


def test_a_coefficient_counts_by_its_magnitude(noise: UnitValues) -> None:
    turned = UnitValues(-noise.heads, -noise.neurons)
    assert max(distance(draw(noise, PRUNING), draw(turned, PRUNING))) < 1e-9


def test_where_all_coefficients_are_equal_the_lowest_numbers_are_kept_and_ties_decide() -> None:
    ones = UnitValues(torch.ones(2, 4), torch.ones(2, 16))
    mask = draw(ones, Pruning(0.5, 0.5, 4))
    assert mask.heads.tolist() == [[True, True, False, False]] * 2
    assert mask.neurons.sum(dim=1).tolist() == [12, 4]
    assert left_to_ties(ones, mask) == (1, 0.5)


def test_distances_are_shares_of_units(noise: UnitValues) -> None:
    mask = draw(noise, PRUNING)
    assert distance(mask, mask) == (0, 0)
    assert distance(mask, UnitValues(~mask.heads, ~mask.neurons))[1] == 1
    other = mask.heads.clone()
    other[0, 0] = ~other[0, 0]
    assert distance(mask, UnitValues(other, mask.neurons))[0] == 1 / 16
    assert max(left_to_ties(noise, mask)) < 1e-9


def test_a_random_ticket_is_of_the_same_size_and_depends_on_the_seed_alone(noise: UnitValues) -> None:
    mask = draw(noise, PRUNING)
    one, again, other = (draw_like(mask, random_coefficients(CONFIG, seed)) for seed in (1, 1, 2))
    for units in ("heads", "neurons"):
        assert torch.equal(getattr(one, units).sum(dim=1), getattr(mask, units).sum(dim=1))
        assert torch.equal(getattr(one, units), getattr(again, units))
    assert max(distance(one, other)) >= 0.2


def test_a_ticket_survives_its_file_and_fits_its_network_only(noise: UnitValues) -> None:
    ticket, config = Ticket.of(draw(noise, PRUNING), "settled", 7), CONFIG
    read = records.decode(records.encode(ticket), Ticket, "ticket", TrainingError)
    assert read == ticket
    assert max(distance(mask_of(read, config), draw(noise, PRUNING))) < 1e-9
    wrong = [
        msgspec.structs.replace(ticket, heads=ticket.heads[:3]),
        msgspec.structs.replace(ticket, heads=((0, 0), *ticket.heads[1:])),
        msgspec.structs.replace(ticket, neurons=((), *ticket.neurons[1:])),
        msgspec.structs.replace(ticket, neurons=((64,), *ticket.neurons[1:])),
    ]
    for other in wrong:
        with pytest.raises(TrainingError, match="which has 4 layers of 4 heads and 64 neurons; draw another"):
            mask_of(other, config)


def test_blocks_must_fit_the_layers() -> None:
    with pytest.raises(TrainingError, match=r"a divisor of 64, the checkpoint's FFN size, .* found 24"):
        check_fits(Pruning(multiple=24), CONFIG)


def test_a_pruned_network_computes_what_the_zeroed_one_does(
    model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor, tmp_path: Path
) -> None:
    """And so does the checkpoint that transformers loads."""
    drawn = draw(random_coefficients(model.config, 5), PRUNING)
    full, scales = model.subnet(), UnitValues(drawn.heads.float(), drawn.neurons.float())
    ids = ids * mask + model.network.config.pad_token_id * (1 - mask)
    with torch.no_grad():
        expected = model(ids, mask, full, scales=scales).logits
        assert not torch.allclose(expected, model(ids, mask, full).logits)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        ticket = Ticket.of(drawn, "settled", 1)
        prune(model, ticket)
        part = ticket.slice(model.config)
        found = model(ids, mask, part.subnet("early-bird", "fp32")).logits
        model.plain().save_pretrained(tmp_path)
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
        reloaded = plain(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(reloaded, expected, atol=1e-5, rtol=0)
    # ModernBERT's maps have no biases, and its neurons have a gate.
    modern, has_table = model.family.described.pre_norm, model.family.has_one_head_order
    cut = sum(4 - heads for heads in part.heads) * (4 * 32 * 8 + (0 if modern else 3 * 8))
    cut += sum(64 - ffn for ffn in part.ffn) * (3 * 32 if modern else 2 * 32 + 1)
    cut += 32 * (4 - part.heads[0]) if has_table else 0
    assert parameters - sum(parameter.numel() for parameter in model.parameters()) == cut
    assert config_of(plain.config).ffn == max(part.ffn)


def test_coefficients_of_one_change_nothing_and_are_learnt(
    model: ElasticModel, ids: torch.Tensor, mask: torch.Tensor
) -> None:
    scaled = ScaledModel(model.plain())
    full = model.subnet()
    torch.testing.assert_close(scaled(ids, mask, full).logits, model(ids, mask, full).logits, atol=1e-6, rtol=0)
    (scaled(ids, mask, full).logits.square().sum() + scaled.penalty(TicketSearch())).backward()
    assert scaled.heads.grad is not None
    assert scaled.neurons.grad is not None
    assert (scaled.heads.grad != 0).all()
    assert (scaled.neurons.grad != 0).all()


def test_operations_are_those_that_torch_counts(model: ElasticModel, noise: UnitValues) -> None:
    ids = torch.randint(5, 30, (3, 9))
    ticket = Ticket.of(draw(noise, PRUNING), "settled", 1)
    part = ticket.slice(model.config).subnet("early-bird", "fp32")
    for subnet in (model.subnet(), part):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
            loss = model(ids, torch.ones_like(ids), subnet).logits.sum()
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as backward:
            loss.backward()
        expected = forward_flops(subnet, model.config, 3, 3, 9)
        assert forward.get_total_flops() == expected
        assert backward.get_total_flops() == 2 * expected
    texts = Texts(ids=[[1] * 4, [1] * 9, [1] * 5], types=None, targets=None, pad_id=0)
    expected = forward_flops(part, model.config, 3, 2, 9) + forward_flops(part, model.config, 3, 1, 5)
    assert training_flops(part, model.config, 3, texts, [[0, 1], [2]]) == 3 * expected


def coefficients_at(step: int, moving: float) -> UnitValues:
    """Return coefficients that have gone in a straight line for some steps, and a part of them to and fro."""
    straight, odd = (random_coefficients(CONFIG, seed) for seed in (1, 100 + step))
    return UnitValues(
        1 + 1e-3 * (step * straight.heads + moving * odd.heads),
        1 + 1e-3 * (step * straight.neurons + moving * odd.neurons),
    )


@pytest.mark.parametrize(("moving", "expected"), [(0.0, 5), (30.0, None)])
def test_the_ticket_is_drawn_when_the_last_five_masks_are_alike(moving: float, expected: int | None) -> None:
    search = TicketSearch(pruning=PRUNING)
    history = MaskHistory(search)
    for step in range(1, 12):
        coefficients = coefficients_at(step, moving)
        event = history.compare(coefficients, draw(coefficients, PRUNING), step, 100, 0.0)
        assert len(event.heads) == min(step - 1, 4)
        if event.drawn:
            break
    assert (step if event.drawn else None) == expected


def test_masks_that_ties_decide_are_not_compared() -> None:
    """While all coefficients are 1 the mask never changes, which says nothing."""
    history = MaskHistory(TicketSearch(pruning=PRUNING))
    for step in range(1, 12):
        ones = UnitValues(torch.ones(4, 4), torch.ones(4, 64))
        event = history.compare(ones, draw(ones, PRUNING), step, 100, 0.0)
        assert (event.heads, event.drawn) == ((), None)
    assert history.compare(ones, draw(ones, PRUNING), 100, 100, 0.0).drawn == "latest"


@dataclasses.dataclass
class Toy:
    """A training of toy size: its files, and how to run it."""

    model: Path
    train: Path
    dev: Path
    out: Path
    command = ("--compute", "fp32", "--ffn-multiple", "8", "--fine-tune-learning-rate", "2.5e-3", "--epochs", "4")

    def run(
        self, save_minutes: float = 5.0, listener: Listener = no_listener, task: str | None = None, **settings: Any
    ) -> EarlyBirdResult:
        """Train in fp32 with a learning rate that suits random models."""
        options = RunOptions(TaskChoice(task), compute="fp32", save_minutes=save_minutes, listener=listener)
        search = TicketSearch(learning_rate=2.5e-3, pruning=PRUNING)
        settings = {"search": search, "stage": efficient_training(4, 5e-3), **settings}
        return train(TrainingFiles(self.model, self.train, self.dev, self.out), EarlyBirdSettings(**settings), options)

    def arguments(self, out: Path, *more: str) -> list[str]:
        files = ["--model", str(self.model), "--train", str(self.train), "--dev", str(self.dev), "--out", str(out)]
        return ["train", "early-bird", *files, *self.command, *more]


@pytest.fixture
def make_toy(tmp_path: Path, make_checkpoint: Make, make_data: Make) -> Callable[..., Toy]:
    def make(kind: str = "headless", **rows: Any) -> Toy:
        data = make_data("train.tsv", 320, **rows), make_data("dev.tsv", 40, **rows)
        return Toy(make_checkpoint(kind), *data, tmp_path / "out")

    return make


@pytest.fixture
def toy(make_toy: Callable[..., Toy]) -> Toy:
    return make_toy()


@pytest.mark.parametrize("kind", ["headless", "roberta", "distilbert", "electra"])
def test_a_ticket_is_found_trained_exported_and_answers_as_in_torch(
    make_toy: Callable[..., Toy], kind: str, tmp_path: Path
) -> None:
    toy = make_toy(kind)
    if kind != "headless":
        for path in (toy.train, toy.dev):
            path.write_text(path.read_text().replace("negative", "LABEL_0").replace("positive", "LABEL_1"))
    result = toy.run()
    (scored,) = result.trained.scores
    assert scored.score > 0.8  # chance is 0.5; the task is learnt
    manifest = ElasticManifest.load(toy.out)
    assert manifest == result.trained.manifest
    (part,) = manifest.subnetworks
    assert (part.id, set(part.heads)) == ("early-bird-h0.75-f0.59", {3})
    assert len(set(part.ffn)) > 1
    task = checkpoint_task(toy.out)
    assert task is not None
    model = load_elastic(toy.out, task).eval()
    plain = AutoModelForSequenceClassification.from_pretrained(toy.out).eval()
    bundle = export(toy.out, tmp_path / "bundle", precisions=("fp32", "int8"))
    assert [subnet.id for subnet in bundle.manifest.subnetworks] == [f"{part.id}-fp32", f"{part.id}-int8"]
    session = open_session(bundle, bundle.manifest.subnetworks[0], way())
    ids = torch.randint(5, 30, (3, 9), generator=torch.Generator().manual_seed(5))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    inputs = {name: inputs[name] for name in bundle.manifest.inputs}
    with torch.no_grad():
        expected = plain(**inputs).logits
        ours = model(ids, torch.ones_like(ids), part.subnet("early-bird", "fp32")).logits
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    found = session.run({name: tensor.numpy() for name, tensor in inputs.items()})["logits"]
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)
    (toy.out / "elastic.json").unlink()
    whole = export(toy.out, tmp_path / "whole", precisions=("fp32", "int8"))
    for ours, theirs in zip(bundle.manifest.weight_files, whole.manifest.weight_files, strict=True):
        assert ours.size_bytes < theirs.size_bytes  # the zeros stay behind


def test_the_kept_units_start_from_the_checkpoints_weights(toy: Toy) -> None:
    """Trained with a rate of almost 0, the result is the checkpoint with the other units zeroed."""
    toy = dataclasses.replace(toy, model=toy.model.with_name("classifier"))
    random_model("bert").save_pretrained(toy.model)
    for path in toy.model.with_name("checkpoint").glob("tokenizer*"):
        (toy.model / path.name).write_bytes(path.read_bytes())
    for path in (toy.train, toy.dev):
        path.write_text(path.read_text().replace("negative", "LABEL_0").replace("positive", "LABEL_1"))
    ticket = toy.run(stage=efficient_training(1, 1e-12)).ticket
    task = checkpoint_task(toy.out)
    assert task is not None
    origin, result = load_elastic(toy.model, task).eval(), load_elastic(toy.out, task).eval()
    mask, ids = mask_of(ticket, origin.config), torch.randint(5, 30, (3, 9))
    with torch.no_grad():
        scales = UnitValues(mask.heads.float(), mask.neurons.float())
        expected = origin(ids, torch.ones_like(ids), origin.subnet(), scales=scales).logits
        found = result(ids, torch.ones_like(ids), result.subnet()).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_costs_are_reported_against_the_full_network(toy: Toy, tmp_path: Path) -> None:
    search = TicketSearch(learning_rate=2.5e-3, pruning=PRUNING, draw_at=0.2)
    result = toy.run(search=search, stage=efficient_training(2, 5e-3))
    costs = result.costs
    assert (costs.search.steps, costs.training.steps, costs.full.steps) == (2, 20, 30)
    assert result.ticket.drawn == "at"
    assert costs.full.seconds is costs.seconds_saved is None
    per_step = costs.full.flops / 30
    assert costs.search.flops == pytest.approx(2 * per_step, rel=0.3)
    assert costs.training.flops < 0.75 * 20 * per_step
    assert costs.flops_saved == pytest.approx(
        1 - (costs.search.flops + costs.training.flops) / costs.full.flops, abs=1e-4
    )
    work = tmp_path / "out.training"
    assert records.read(work / "costs.json", Costs, TrainingError) == costs
    again = toy.run(search=search, stage=efficient_training(2, 5e-3), full_journal=str(work / "efficient.jsonl")).costs
    assert again.training == costs.training  # nothing was done twice
    assert again.full.seconds == pytest.approx(1.5 * costs.training.seconds, abs=0.02)


def test_a_ticket_is_used_again_and_shuffled(toy: Toy, tmp_path: Path) -> None:
    first = toy.run()
    path = tmp_path / "out.training" / "ticket.json"
    same = dataclasses.replace(toy, out=tmp_path / "same").run(ticket=str(path))
    assert (same.ticket, same.costs.search.flops) == (first.ticket, 0)
    mixed = dataclasses.replace(toy, out=tmp_path / "mixed").run(ticket=str(path), random=True)
    assert mixed.ticket.drawn == "random"
    (before,), (after,) = first.trained.manifest.subnetworks, mixed.trained.manifest.subnetworks
    assert (before.heads, before.ffn) == (after.heads, after.ffn)
    assert after.id == before.id.replace("early-bird", "random-ticket")
    assert first.ticket.neurons != mixed.ticket.neurons
    alone = dataclasses.replace(toy, out=tmp_path / "alone").run(random=True)
    assert sum(map(len, alone.ticket.neurons)) == sum(map(len, first.ticket.neurons))


@pytest.mark.parametrize(
    ("task", "metric", "pairs"),
    [
        (TextRegression.NAME, "spearman", True),
        (MultiLabelTextClassification.NAME, "micro_f1", False),
        (TokenClassification.NAME, "span_f1", False),
    ],
)
def test_every_task_is_learnt(make_toy: Callable[..., Toy], task: str, metric: str, pairs: bool) -> None:
    result = make_toy(task=task, pairs=pairs).run(task=task)
    assert result.trained.metric == metric
    assert result.trained.scores[0].score > 0.7


def test_frozen_embeddings_stay_as_they_are(toy: Toy) -> None:
    toy.run(stage=efficient_training(1, 5e-3, embeddings=False))
    before, after = (load_file(folder / "model.safetensors") for folder in (toy.model, toy.out))
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(before[name], after[f"bert.{name}"])


# What a user can get wrong: options and the message.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"search": TicketSearch(pruning=Pruning(multiple=48))}, "a divisor of 64, the checkpoint's FFN size"),
    ({"ticket": "none.json"}, "cannot read none.json"),
    ({"full_journal": "none.jsonl"}, "none.jsonl: expected events, found none"),
    ({"search": TicketSearch(learning_rate=1e30, pruning=PRUNING)}, "stage search is no longer finite"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=range(len(WRONG)))
def test_what_a_user_gets_wrong_is_said_in_one_line(toy: Toy, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as found:
        toy.run(**options)
    assert "\n" not in str(found.value)
    assert not (toy.out / "config.json").exists()


@pytest.mark.parametrize(("stage", "step"), [("search", 3), ("efficient", 17)])
def test_after_an_interruption_the_same_call_comes_to_the_same_result(
    toy: Toy, tmp_path: Path, stage: str, step: int
) -> None:
    whole = dataclasses.replace(toy, out=tmp_path / "whole").run()
    killed = dataclasses.replace(toy, out=tmp_path / "killed")

    def interrupting(event: Event) -> None:
        if (event.stage, event.step) == (stage, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(save_minutes=1e-9, listener=interrupting)
    again: list[Event] = []
    resumed = killed.run(save_minutes=1e-9, listener=again.append)
    assert (resumed.ticket, resumed.trained.scores) == (whole.ticket, whole.trained.scores)
    assert resumed.costs.flops_saved == whole.costs.flops_saved
    for name in ("whole/model.safetensors", "whole.training/ticket.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("whole", "killed")).read_bytes()
    # A search begins anew; a finished one stays done, and the training after it goes on where it was.
    assert (again[0].stage, again[0].step) == (("search", 1) if stage == "search" else ("efficient", step))


def test_the_command_line_says_what_was_saved(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.arguments(toy.out, "--draw-at", "0.2")) == 0
    told = capsys.readouterr()
    assert "of the operations that the full network takes" in told.out
    assert "early-bird-h0.75-f0.59-fp32" in told.out
    assert "search: ticket after step 2, no earlier tickets to compare with: drawn as asked for" in told.err


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("albert", "whose layers share their heads"), ("deberta-v2", "whose attention computes what is not counted")],
)
def test_a_family_without_tickets_is_named(make_toy: Callable[..., Toy], kind: str, reason: str) -> None:
    toy = make_toy(f"{kind}-headless")
    with pytest.raises(TrainingError, match=f"early-bird is not for {kind}, {reason} .*; use dynabert or layer-drop"):
        toy.run()
    assert not (toy.out.with_name("out.training")).exists()


def test_a_ticket_has_the_same_heads_in_all_layers_that_share_a_table_of_them(make_toy: Callable[..., Toy]) -> None:
    toy = make_toy("mpnet-headless")
    ticket = toy.run(stage=efficient_training(1, 1e-3)).ticket
    assert len(set(ticket.heads)) == 1
    unlike = msgspec.structs.replace(ticket, heads=((0, 1, 2), (0, 1, 3), *ticket.heads[2:]))
    with pytest.raises(TrainingError, match="expected a ticket with the same heads in all layers of mpnet, found oth"):
        mask_of(unlike, read_model_config(toy.model))


def test_an_unknown_family_is_named(toy: Toy) -> None:
    config = json.loads((toy.model / "config.json").read_text())
    (toy.model / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(TrainingError, match="model_type 'gpt2' is not supported; expected one of bert, roberta"):
        toy.run()
    assert not (toy.out.with_name("out.training")).exists()
