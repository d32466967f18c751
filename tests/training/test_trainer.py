import json
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from torch import nn
from toy import After, Pairs, fit, of, settings

from seq2attn.errors import UserError
from seq2attn.runs import directory
from seq2attn.runs.tensors import named_tensors, read_tensors
from seq2attn.training import resume, trainer
from seq2attn.training.events import Finished, Interrupted, Saved, Scores, Update, Validation


def everything(path):
    """What determines the future of a run: all tensors of its last state, and its counters but the clock."""
    state, tensors = resume.load_state(directory.open_run(path, trained=False))
    return replace(state, elapsed=0.0), tensors


def assert_same(one, other):
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name


def exact_share(net):
    """How many of the validation sequences are reproduced whole, greedily, by teacher forcing of the truth
    (an upper mark of search).
    """
    batch = toy.VALIDATION.batch(np.arange(len(toy.VALIDATION.sources)), None)
    net.eval()
    with torch.no_grad():
        logits = net(batch.source, batch.source_mask, batch.inputs_BT).logits
    right = (logits.argmax(-1) == batch.targets_BT) | ~batch.target_mask_BT
    return right.all(1).double().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.slow), True])
def test_training_learns_to_copy_and_to_reverse(tmp_path, monkeypatch, reverse):
    conf = settings(
        "model.dropout=0.0",
        "model.embedding=32",
        "model.encoder.size=32",
        "model.decoder.size=64",
        "train.max_steps=250",
        "train.batch_tokens=400",
        "train.lr=0.01",
        "train.schedule=cosine",
        "train.validate_every=250",
        "train.label_smoothing=0.0",
    )
    monkeypatch.setattr(toy, "VALIDATION", Pairs(40, 2, reverse=reverse))
    net = toy.model(conf)
    events = fit(tmp_path / "run", conf, net, training=Pairs(2000, 1, reverse=reverse))
    assert exact_share(net) > 0.9
    first, last = of(Update, events)[0], of(Update, events)[-1]
    assert first.loss > 2
    assert last.loss < 0.1
    assert events[-1].reason == "max_steps"
    assert of(Validation, events)[-1].loss < 0.1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(
            ("train.ema=0.9", "train.accumulate=3", "train.optimizer=adamw", "train.weight_decay=0.1"),
            marks=pytest.mark.slow,
        ),
        (
            "train.optimizer=sgd",
            "train.momentum=0.9",
            "train.schedule=plateau",
            "train.lr=0.5",
            "train.plateau_patience=1",
            "train.validate_every=2",
        ),
        ("model.attention.normaliser=hard-sample", "train.accumulate=2", "train.ema=0.9"),
        pytest.param(("train.average=3", "train.validate_every=3"), marks=pytest.mark.slow),
        pytest.param(("train.average=9", "train.ema=0.9", "train.validate_every=2"), marks=pytest.mark.slow),
    ],
)
def test_resume_after_ten_and_ten_steps_is_bit_for_bit_twenty(tmp_path, changes):
    conf = settings(*changes)
    fit(tmp_path / "whole", conf)
    stop = After(10)
    cut = trainer.train(
        toy.model(conf),
        toy.new_run(tmp_path / "cut", conf),
        toy.TRAINING,
        toy.VALIDATION,
        world=toy.ALONE,
        stop=stop,
    )
    events = stop.watch(cut)
    assert events[-1] == replace(events[-1], reason="interrupted", step=10)
    torch.manual_seed(999)  # what a new process would have
    again = fit(tmp_path / "cut", conf, toy.model(settings(*changes, "train.seed=7")))
    assert of(Update, again)[0].step == 11
    whole, resumed = everything(tmp_path / "whole"), everything(tmp_path / "cut")
    assert whole[0].step == 20
    assert whole[0].epoch > 0
    assert_same(whole, resumed)
    if "train.schedule=plateau" in changes:
        assert whole[0].plateau.decays > 0
    assert (whole[0].baseline is not None) == ("model.attention.normaliser=hard-sample" in changes)
    best = [read_tensors(directory.open_run(tmp_path / name).weights) for name in ("whole", "cut")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


@pytest.mark.parametrize("average", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_resume_with_more_steps_equals_a_run_that_never_stopped(tmp_path, average):
    """Its last validation, out of turn, leaves no mark."""
    common = (
        "train.validate_every=4",
        "train.schedule=plateau",
        "train.plateau_patience=1",
        f"train.average={average}",
    )
    fit(tmp_path / "whole", settings(*common))
    fit(tmp_path / "parts", settings(*common, "train.max_steps=10"))
    fit(tmp_path / "parts", settings(*common))
    assert_same(everything(tmp_path / "whole"), everything(tmp_path / "parts"))
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)


def test_best_weights_are_of_any_validation_scheduled_or_last(tmp_path):
    """The one at step 10, out of turn, is the best: going on, worse ones leave its weights alone."""
    scores = {4: 1.0, 8: 2.0, 10: 9.0, 12: 3.0}
    common = "train.validate_every=4", "train.metric=bleu"
    orders = []

    def fit_to(steps):
        before = len(orders)
        due = [
            step
            for step in sorted(scores)
            if step <= steps and (step % 4 == 0 or step == steps) and step not in orders
        ]
        values = iter(due)

        def validate(_):
            orders.append(next(values))
            return Scores({"bleu": scores[orders[-1]]})

        events = fit(tmp_path / "run", settings(*common, f"train.max_steps={steps}"), validate=validate)
        assert len(orders) > before
        return events[-1].best_step

    assert fit_to(10) == 10
    kept = read_tensors(directory.open_run(tmp_path / "run").weights)
    assert fit_to(12) == 10
    after = read_tensors(directory.open_run(tmp_path / "run").weights)
    assert all(torch.equal(kept[name], after[name]) for name in kept)


def test_update_of_accumulated_batches_equals_one_large_batch(tmp_path, monkeypatch, float64):
    """Of unequal numbers of tokens: a mean of means would differ."""
    rows = np.arange(24)
    parts = [rows[:3], rows[3:20], rows[20:]]
    results = []
    for name, order, accumulate in (("parts", parts, 3), ("one", [rows], 1)):
        monkeypatch.setattr("seq2attn.data.batches.plan", lambda *_, order=order: order)
        conf = settings("model.dropout=0.0", "train.max_steps=3", f"train.accumulate={accumulate}")
        fit(tmp_path / name, conf, training=Pairs(24, 5))
        results.append(everything(tmp_path / name)[1])
    for name, tensor in results[0].items():
        torch.testing.assert_close(tensor, results[1][name], rtol=1e-9, atol=1e-12)


def test_epoch_has_each_pair_once(tmp_path, monkeypatch):
    orders = Counter()
    training = Pairs(300, 1)
    ids = training.ids
    monkeypatch.setattr(training, "ids", lambda rows: orders.update(rows.tolist()) or ids(rows))
    batches = len(training.plan(200, 1, 0))
    run = toy.new_run(tmp_path / "run", settings(f"train.max_steps={2 * batches}"))
    events = trainer.train(toy.model(run.config), run, training, toy.VALIDATION, world=toy.ALONE)
    while not (isinstance(event := next(events), Update) and event.step == batches):
        pass
    events.close()
    assert orders == dict.fromkeys(range(300), 1)


class Exploding(nn.Module):
    """The real decoder until told otherwise; then a factor that no float holds."""

    def __init__(self, decoder, factor=1.0):
        super().__init__()
        self.decoder, self.factor = decoder, factor

    @property
    def output(self):
        return self.decoder.output

    def hidden_states(self, tokens_BT, memory, weights=False):
        found = self.decoder.hidden_states(tokens_BT, memory, weights)
        return found._replace(features_BTD=found.features_BTD * self.factor)


@pytest.mark.parametrize(("factor", "what"), [(float("inf"), "loss"), (float("nan"), "loss"), (1e30, "norm")])
def test_update_stops_before_a_step_with_non_finite_loss_or_gradient(tmp_path, factor, what):
    conf = settings()
    net = toy.model(conf)
    net.decoder = Exploding(net.decoder)
    run = toy.new_run(tmp_path / "run", conf)
    events = trainer.train(net, run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE)
    while not isinstance(next(events), Saved):
        pass
    before = {name: tensor.clone() for name, tensor in named_tensors(net).items()}
    saved = everything(tmp_path / "run")
    net.decoder.factor = factor
    with pytest.raises(UserError, match=rf"step 6: the .*{what}.*train\.lr") as caught:
        list(events)
    assert "\n" not in str(caught.value)
    for name, tensor in named_tensors(net).items():
        assert torch.equal(tensor, before[name]), name
    assert_same(saved, everything(tmp_path / "run"))


def test_clipping_bounds_the_step_and_reports_the_norm_before_it(tmp_path):
    changes = (
        "train.optimizer=sgd",
        "train.lr=1.0",
        "train.warmup=0",
        "train.max_steps=1",
        "model.dropout=0.0",
    )
    moved, norms = [], []
    for clip in (0.0, 0.01):
        conf = settings(*changes, f"train.clip_norm={clip}")
        net = toy.model(conf)
        before = [p.detach().clone() for p in net.parameters()]
        events = fit(tmp_path / str(clip), conf, net)
        moved.append(
            torch.cat([(p.detach() - b).flatten() for p, b in zip(net.parameters(), before, strict=True)])
            .norm()
            .item()
        )
        norms.append(of(Update, events)[0].norm)
    assert norms[0] == norms[1] > 0.01
    assert moved == pytest.approx([norms[0], 0.01], rel=1e-3)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse-sqrt", "plateau"])
def test_early_stopping_acts_under_every_schedule(tmp_path, schedule):
    conf = settings(
        f"train.schedule={schedule}",
        "train.metric=bleu",
        "train.patience=3",
        "train.validate_every=1",
        "train.max_steps=50",
    )
    bleu = iter([1.0, 5.0, 4.0, 6.0, 6.0, 2.0, 3.0, 9.0])
    losses = iter(range(100, 200))
    tested = toy.new_trainer(tmp_path / "run", conf, validate=lambda _: Scores({"bleu": next(bleu)}))
    tested.validator._loss = lambda: float(next(losses))  # rising: no tie is broken by it
    events = list(tested.run())
    assert events[-1] == Finished("patience", 7, 4, events[-1].elapsed)
    assert [event.best for event in of(Validation, events)] == [True, True, False, True, False, False, False]
    again = fit(tmp_path / "run", conf, validate=lambda _: Scores({"bleu": 9.0}))
    assert [type(event) for event in again] == [Finished]
    assert again[0].reason == "patience"


def test_best_weights_are_saved_not_the_last(tmp_path):
    conf = settings("train.metric=bleu", "train.validate_every=5")
    kept = []

    def validate(net):
        kept.append({name: tensor.clone() for name, tensor in named_tensors(net).items()})
        assert not net.training
        return Scores({"bleu": [3.0, 8.0, 5.0, 1.0][len(kept) - 1]})

    fit(tmp_path / "run", conf, validate=validate)
    best = read_tensors(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(best[name], kept[1][name]) for name in best)
    assert not all(torch.equal(best[name], kept[2][name]) for name in best)


def test_bleu_near_zero_neither_selects_weights_nor_stops_training_and_resumes_alike(tmp_path):
    common = (
        "train.metric=bleu",
        "train.validate_every=5",
        "train.patience=1",
        "train.schedule=plateau",
        "train.plateau_patience=1",
    )
    falling = iter([3.9, 0.5, 0.0, 2.3])

    def of_four(value):  # of so few sentences less than 4 says nothing
        return Scores({"bleu": value}, sentences=4, chrf=50.0)

    events = fit(
        tmp_path / "run", settings(*common, "train.max_steps=20"), validate=lambda _: of_four(next(falling))
    )
    validations = [event for event in events if isinstance(event, Validation)]
    losses = [event.loss for event in validations]
    assert losses == sorted(losses, reverse=True), "the toy is learned"
    assert [event.best for event in validations] == [True] * 4
    assert (events[-1].reason, events[-1].best_step) == ("max_steps", 20)
    # cut in the middle and gone on with
    first, second = iter([3.9, 0.5]), iter([0.0, 2.3])
    fit(tmp_path / "cut", settings(*common, "train.max_steps=10"), validate=lambda _: of_four(next(first)))
    fit(tmp_path / "cut", settings(*common, "train.max_steps=20"), validate=lambda _: of_four(next(second)))
    one, other = (resume.load_state(directory.open_run(tmp_path / name))[0] for name in ("run", "cut"))
    assert (one.plateau, one.best) == (other.plateau, other.best)
    assert one.plateau.decays == 0
    assert one.best == (0.0, -round(losses[-1], 3) + 50e-6, 20)


def test_ema_averaged_weights_are_validated_and_saved_and_training_is_unchanged(tmp_path):
    orders = []

    def validate(net):
        orders.append({name: tensor.clone() for name, tensor in named_tensors(net).items()})
        return Scores({"bleu": 1.0})

    common = ("train.metric=bleu", "train.max_steps=5", "train.validate_every=5")
    nets = []
    for name, ema in (("plain", 0.0), ("averaged", 0.5)):
        conf = settings(*common, f"train.ema={ema}")
        nets.append(toy.model(conf))
        fit(tmp_path / name, conf, nets[-1], validate=validate)
    for name, tensor in named_tensors(nets[0]).items():
        assert torch.equal(tensor, named_tensors(nets[1])[name])
    best = read_tensors(tmp_path / "averaged" / "model.safetensors")
    assert all(torch.equal(best[name], orders[1][name]) for name in best)
    assert not all(torch.equal(best[name], orders[0][name]) for name in best)


def test_ema_average_is_of_all_weights_so_far(tmp_path):
    conf = settings("train.ema=0.5", "train.max_steps=4", "train.validate_every=100")
    net = toy.model(conf)
    expected = {name: tensor.clone() for name, tensor in named_tensors(net).items()}
    run = toy.new_run(tmp_path / "run", conf)
    for event in trainer.train(net, run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE):
        if isinstance(event, Update):
            decay = min(0.5, (1 + event.step) / (10 + event.step))
            for name, tensor in named_tensors(net).items():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
    for name, tensor in read_tensors(tmp_path / "run" / "model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_average_mean_is_over_the_last_validations(tmp_path, ema):
    """Of those there were, at first; a validation out of turn is the last of its own mean alone. Training
    goes on with the weights themselves.
    """
    common = "train.metric=bleu", "train.validate_every=2", "train.max_steps=11", f"train.ema={ema}"
    bleu = iter([1.0, 2.0, 3.0, 9.0, 4.0, 5.0])
    orders, states, trained = [], {}, {}

    def validate(net):
        orders.append({name: tensor.clone() for name, tensor in named_tensors(net).items()})
        return Scores({"bleu": next(bleu)})

    conf = settings(*common, "train.average=3")
    net = toy.model(conf)
    moving = {name: tensor.clone() for name, tensor in named_tensors(net).items()}
    for event in trainer.train(
        net,
        toy.new_run(tmp_path / "run", conf),
        toy.TRAINING,
        toy.VALIDATION,
        world=toy.ALONE,
        validate=validate,
    ):
        if isinstance(event, Update):
            decay = min(ema, (1 + event.step) / (10 + event.step))
            moving = {
                name: decay * moving[name] + (1 - decay) * tensor
                for name, tensor in named_tensors(net).items()
            }
            states[event.step] = moving
    for found, steps in zip(
        orders, [(2,), (2, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10), (8, 10, 11)], strict=True
    ):
        for name, tensor in found.items():
            torch.testing.assert_close(
                tensor, sum(states[step][name] for step in steps) / len(steps), rtol=1e-5, atol=1e-6
            )
    kept = read_tensors(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(kept[name], orders[3][name]) for name in kept)
    assert not torch.equal(orders[3]["encoder.embedding.weight"], orders[2]["encoder.embedding.weight"])
    state, tensors = everything(tmp_path / "run")
    assert state.step == 11
    # bounded: those that the next one needs
    assert {name.split("/")[1] for name in tensors if name.startswith("earlier/")} == {"0", "1"}
    for number, step in enumerate((8, 10)):
        for name, tensor in states[step].items():
            torch.testing.assert_close(tensors[f"earlier/{number}/{name}"], tensor, rtol=1e-5, atol=1e-6)
    alone = toy.model(conf)
    fit(tmp_path / "alone", settings(*common), alone, validate=lambda _: Scores({"bleu": 1.0}))
    for name, tensor in named_tensors(net).items():
        trained[name] = torch.equal(tensor, named_tensors(alone)[name])
    assert all(trained.values())


def test_early_stopping_uses_averaged_weights_and_a_new_run_starts_without_old_ones(tmp_path):
    conf = settings(
        "train.metric=bleu",
        "train.validate_every=2",
        "train.average=3",
        "train.patience=2",
        "train.max_steps=40",
    )
    lasts = []
    for _ in range(2):
        bleu = iter([5.0, 6.0, 4.0, 3.0])
        events = fit(tmp_path / "run", conf, validate=lambda _: Scores({"bleu": next(bleu)}))  # noqa: B023 - used up within the round
        assert (events[-1].reason, events[-1].step, events[-1].best_step) == ("patience", 8, 4)
        lasts.append((everything(tmp_path / "run"), read_tensors(tmp_path / "run" / "model.safetensors")))
        directory.create(
            tmp_path / "run",
            conf,
            source_size=toy.SIZE,
            target_size=toy.SIZE,
            languages=("en", "fr"),
            tokenizers={"tokenizer.model": b"bytes"},
            corpus="toy",
            force=True,
        )
    assert_same(lasts[0][0], lasts[1][0])
    assert all(torch.equal(tensor, lasts[1][1][name]) for name, tensor in lasts[0][1].items())


@pytest.mark.parametrize("average", [1, 2])
def test_resume_refuses_a_state_with_more_validations_than_are_averaged(tmp_path, average):
    fit(tmp_path / "run", settings("train.average=3"))
    with pytest.raises(UserError, match=rf"does not fit train\.average={average}$"):
        fit(tmp_path / "run", settings(f"train.average={average}", "train.max_steps=25"))


@pytest.mark.slow
def test_max_minutes_counts_all_sessions_and_ends_with_a_validation(tmp_path, monkeypatch):
    now = [0.0]

    def tick():
        now[0] += 0.25
        return now[0]

    monkeypatch.setattr(trainer.time, "monotonic", tick)
    conf = settings("train.max_minutes=1", "train.max_steps=10000", "train.validate_every=3000")
    stop = After(10)
    stop.watch(
        trainer.train(
            toy.model(conf),
            toy.new_run(tmp_path / "run", conf),
            toy.TRAINING,
            toy.VALIDATION,
            world=toy.ALONE,
            stop=stop,
        )
    )
    half = everything(tmp_path / "run")[0].step
    now[0] = 1e6  # a long night between
    events = fit(tmp_path / "run", conf)
    assert events[-1].reason == "max_minutes"
    assert half < events[-1].step < 300
    assert 55 < of(Update, events)[-1].elapsed < 62
    assert isinstance(events[-3], Validation)
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("average", [1, 2])
def test_interrupted_validation_is_repeated_on_resume(tmp_path, average):
    conf = settings(
        "train.metric=bleu", "train.validate_every=5", "train.max_steps=10", f"train.average={average}"
    )

    def interrupted(_):
        raise Interrupted

    events = fit(tmp_path / "run", conf, validate=interrupted)
    assert [type(event) for event in events[-2:]] == [Saved, Finished]
    assert (events[-1].reason, events[-1].step) == ("interrupted", 5)
    again = fit(tmp_path / "run", conf, validate=lambda _: Scores({"bleu": 1.0}))
    assert (type(again[0]), again[0].step) == (Validation, 5)
    fit(tmp_path / "whole", conf, validate=lambda _: Scores({"bleu": 1.0}))
    assert_same(everything(tmp_path / "whole"), everything(tmp_path / "run"))


def test_metrics_log_has_each_line_once_after_a_crash(tmp_path):
    conf = settings("train.max_steps=10")
    run = toy.new_run(tmp_path / "run", conf)
    events = trainer.train(toy.model(conf), run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE)
    for event in events:  # killed at step 8: the last saved state is that of step 5
        if isinstance(event, Update) and event.step == 8:
            break
    events.close()
    with run.metrics.open("a") as file:
        file.write('{"step": 9, "lo')
    fit(tmp_path / "run", conf)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6, 8, 10]
    assert [line["step"] for line in lines if "valid_loss" in line] == [5, 10]
    assert {"step", "epoch", "loss", "speed", "lr", "norm", "elapsed"} <= lines[0].keys()


def test_update_event_has_loss_speed_rate_and_time(tmp_path):
    conf = settings(
        "train.label_smoothing=0.0", "model.dropout=0.0", "train.max_steps=4", "train.log_every=3"
    )
    events = of(Update, fit(tmp_path / "run", conf))
    assert [event.logged for event in events] == [False, False, True, False]
    assert [event.lr for event in events] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert events[0].loss == pytest.approx(np.log(toy.SIZE), rel=0.1)
    assert events[-1].remaining == 0.0
    assert all(event.speed > 0 and event.norm > 0 and event.remaining >= 0 for event in events)


def test_resume_refuses_other_data(tmp_path):
    fit(tmp_path / "run", settings("train.max_steps=1"))
    with pytest.raises(UserError, match=r"^resume: the training data"):
        fit(tmp_path / "run", settings(), training=Pairs(299, 1))


def test_training_without_a_pair_is_refused(tmp_path):
    with pytest.raises(UserError, match="no training pair"):
        fit(tmp_path / "run", settings(), training=Pairs(0, 1))


def test_bf16_learns_on_the_cpu(tmp_path):
    conf = settings("train.max_steps=20", "model.dropout=0.0")
    events = of(Update, fit(tmp_path / "run", conf, format="bf16"))
    assert events[-1].loss < events[0].loss
    assert {tensor.dtype for tensor in everything(tmp_path / "run")[1].values()} == {torch.float32}


def test_fp16_overflow_skips_the_step_and_lowers_the_scale(tmp_path):
    conf = settings("train.max_steps=6")
    tested = toy.new_trainer(tmp_path / "run", conf, format="fp16")
    weights = tested.averages.weights
    before = {name: tensor.clone() for name, tensor in weights.items()}
    tested.gradient_step.scaler._lazy_init_scale_growth_tracker(tested.world.device)
    tested.gradient_step.scaler.update(2.0**126)
    tested._update(next(tested.updates))
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights.items())
    assert tested.gradient_step.scaler.get_scale() == 2.0**125
    tested.gradient_step.scaler.update(4.0)
    tested._update(next(tested.updates))
    assert not all(torch.equal(tensor, before[name]) for name, tensor in weights.items())
    tested._save()
    state, _ = resume.load_state(tested.directory)
    assert state.scaler["scale"] == 4.0


def test_full_disk_is_one_line_and_leaves_the_saved_state(tmp_path, monkeypatch):
    conf = settings()
    run = toy.new_run(tmp_path / "run", conf)
    events = trainer.train(toy.model(conf), run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE)
    while not isinstance(next(events), Saved):
        pass
    saved = everything(tmp_path / "run")

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(directory.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        list(events)
    assert_same(saved, everything(tmp_path / "run"))
    assert not list((tmp_path / "run").rglob("*.partial"))
