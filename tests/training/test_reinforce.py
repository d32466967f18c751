"""The gradient of an expected loss over all that attention could draw, beside what training takes for it."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy
from torch import nn
from torch.nn import functional as F
from toy import Pairs, fit, of, settings

from seq2attn.attention.normalisers import AttentionWeights, build_normaliser
from seq2attn.runs import directory
from seq2attn.training import resume
from seq2attn.training.events import Validation
from seq2attn.training.microbatches import Microbatch, mix
from seq2attn.training.objectives import cross_entropy
from seq2attn.training.objectives.reinforce import first_baseline, next_baseline, reinforce_loss

DRAWS = "model.attention.normaliser=hard-sample"
SMOOTHING = 0.1
RECIPES = {
    "readout": (),
    "input": ("model.decoder.query_state=previous", 'model.decoder.context_to=["input"]'),
    "input and readout, asked late": ('model.decoder.context_to=["input", "readout"]',),
    "input feeding": ("model.decoder.input_feeding=true", "model.decoder.cell=lstm"),
}
REWARDS = (
    ("train.reinforce.baseline_decay=0.0", "train.reinforce.entropy_weight=0.0"),
    ("train.reinforce.entropy_weight=0.0",),
    ("train.reinforce.entropy_weight=0.7",),
)


class Given(nn.Module):
    """Hard attention whose draws are given: the k positions (in order) that each row reads at each step."""

    draws = True

    def __init__(self, draws_BTK):
        super().__init__()
        self.draws_BTK = draws_BTK

    def forward(self, scores_B1TS, mask, history):
        picks_BTK = self.draws_BTK.gather(1, history.step[..., None].expand(-1, -1, self.draws_BTK.size(-1)))
        scores_B1TS = scores_B1TS.masked_fill(~mask, -math.inf)
        log_p, left, picks_B1TK = 0.0, scores_B1TS, picks_BTK[:, None]
        for pick in picks_B1TK.split(1, -1):
            log_p = log_p + (left.gather(-1, pick) - left.logsumexp(-1, keepdim=True))[..., 0]
            left = left.scatter(-1, pick, -math.inf)
        weights = torch.zeros_like(scores_B1TS).scatter(-1, picks_B1TK, 1.0)
        return AttentionWeights(weights, log_p, torch.distributions.Categorical(logits=scores_B1TS).entropy())


class InTurn(nn.Module):
    """Samples that need no seed: step t reads position t of the source, modulo its length."""

    draws = True

    def forward(self, scores_B1TS, mask, history):
        return Given((torch.arange(99) % mask[:, 0, 0].sum(-1)[:, None])[:, :, None])(
            scores_B1TS, mask, history
        )


class Case:
    """A sentence of T targets and S positions, a tiny model of a recipe, and the trainer of it, about to
    learn from that sentence.
    """

    def __init__(self, path, recipe, k, *changes, steps=3, positions=3, common=0.0):
        expected = (
            ()
            if any("expected" in change for change in changes)
            else ("model.attention.expectation_prob=0.0",)
        )
        small = (
            "model.dropout=0.0",
            "model.embedding=6",
            "model.encoder.size=3",
            "model.decoder.size=6",
            f"train.label_smoothing={SMOOTHING}",
        )
        conf = settings(DRAWS, f"model.attention.k={k}", *small, *expected, *RECIPES[recipe], *changes)
        self.k, self.steps, self.positions, self.settings = k, steps, positions, conf.train
        self.net = toy.model(conf)
        with torch.no_grad():
            for parameter in self.net.parameters():  # what is read must matter
                parameter.copy_(torch.randn(parameter.shape) * (0.8 if parameter.dim() > 1 else 0.3))
            # of the symbols that are not in the sentence: common to all rewards
            self.net.decoder.output.bias[:8] += common
        self.own = self.net.decoder.attention.normalise
        self.trainer = toy.new_trainer(path, conf, self.net)
        self.net.train()
        self.source, self.targets = torch.arange(8, 8 + positions)[None], torch.arange(9, 9 + steps)[None]

    def batch(self, rows):
        source, targets = self.source.repeat(rows, 1), self.targets.repeat(rows, 1)
        inputs = F.pad(targets[:, :-1], (1, 0), value=2)
        return Microbatch(
            source,
            torch.ones_like(source, dtype=torch.bool),
            inputs,
            torch.arange(targets.numel()),
            targets.flatten(),
        )

    def objective(self, rows):
        return self.trainer.objective(1, self.trainer._baseline())(self.batch(rows), 0).objective

    def draws(self):
        """Every ordered draw of every step: (draws, T, k)."""
        once = list(itertools.permutations(range(self.positions), self.k))
        return torch.tensor(list(itertools.product(once, repeat=self.steps)))

    def gradient(self, objective):
        found = torch.autograd.grad(objective, self.trainer.gradient_step.parameters, allow_unused=True)
        return torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).flatten()
                for p, g in zip(self.trainer.gradient_step.parameters, found, strict=True)
            ]
        )

    def all_draws(self):
        """Log-probability, loss and entropy of each draw, all with their gradients."""
        draws = self.draws()
        self.net.decoder.attention.normalise = Given(draws)
        batch = self.batch(len(draws))
        found = self.net.decoder.hidden_states(
            batch.inputs_BT, self.net.encoder(batch.source, batch.source_mask)
        )
        logits = self.net.decoder.output(found.features_BTD)
        losses = F.cross_entropy(
            logits.flatten(0, 1), batch.targets_M, reduction="none", label_smoothing=SMOOTHING
        ).view(len(draws), -1)
        return found.log_p_BT.sum(1), losses.sum(1), found.entropy_BT.sum(1)

    def exact(self):
        """The gradient of the expected loss, by enumeration; of the entropy term its expected gradient."""
        log_p, loss, entropy = self.all_draws()
        p = log_p.exp()
        assert p.sum().item() == pytest.approx(1.0, abs=1e-12)
        return self.gradient(
            (p * loss).sum() - self.settings.reinforce.entropy_weight * (p.detach() * entropy).sum()
        )

    def estimates(self):
        """The probability of each draw, and what training takes for the gradient when it is drawn."""
        p, found = self.all_draws()[0].exp().detach(), []
        for draw in self.draws():
            self.net.decoder.attention.normalise = Given(draw[None])
            found.append(self.gradient(self.objective(1)))
        return p, torch.stack(found)

    def variance(self):
        """Of one draw's estimate, over all draws, summed over the parameters."""
        p, estimates = self.estimates()
        mean = p @ estimates
        return (p @ (estimates - mean).square().sum(1)).item()

    def know(self, baseline):
        self.trainer.state = replace(self.trainer.state, baseline=baseline)

    def sampled(self, rows, count):
        """Mean gradients of `count` batches of `rows` copies of the sentence, sampled by the model itself."""
        self.net.decoder.attention.normalise = self.own
        found = [self.gradient(self.objective(rows) / rows) for _ in range(count)]
        return torch.stack(found)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("k", "steps"), [pytest.param(1, 3, marks=pytest.mark.slow), (2, 2)])
@pytest.mark.parametrize(
    ("recipe", "train"),
    [
        # quick: each recipe once, with the settings in turn
        pytest.param(recipe, train, marks=() if i % len(REWARDS) == j else pytest.mark.slow)
        for i, recipe in enumerate(RECIPES)
        for j, train in enumerate(REWARDS)
    ],
)
def test_reinforce_estimate_is_unbiased_over_all_samples(tmp_path, recipe, k, steps, train):
    case = Case(tmp_path, recipe, k, *train, steps=steps)
    exact = case.exact()
    p, estimates = case.estimates()
    torch.testing.assert_close(p @ estimates, exact, rtol=1e-9, atol=1e-10)
    assert (estimates.std(0) > 1e-3).any()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("recipe", "k"),
    [("readout", 1), pytest.param("input and readout, asked late", 2, marks=pytest.mark.slow)],
)
def test_reinforce_estimate_is_unbiased_over_the_models_own_samples(tmp_path, recipe, k):
    case = Case(tmp_path, recipe, k, steps=2)
    exact, found = case.exact(), case.sampled(500, 60)
    assert_mean(found, exact)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_expectation_prob_mixes_in_the_gradient_of_soft_attention(tmp_path):
    case = Case(
        tmp_path,
        "input",
        1,
        "model.attention.expectation_prob=0.25",
        "train.reinforce.entropy_weight=0.0",
        steps=2,
    )
    hard, found = case.exact(), case.sampled(500, 60)
    soft = Case(tmp_path / "soft", "input", 1, "train.reinforce.entropy_weight=0.0", steps=2)
    soft.net.decoder.attention.normalise = build_normaliser(settings().model.attention)
    soft.net.load_state_dict(case.net.state_dict())
    assert_mean(found, 0.75 * hard + 0.25 * soft.gradient(soft.objective(1)))


def assert_mean(found, exact):
    """The mean of independent estimates is `exact`, within five of its standard errors everywhere, which are
    small beside it.
    """
    error = found.std(0) / len(found) ** 0.5
    assert error.norm() < 0.1 * exact.norm()
    assert ((found.mean(0) - exact).abs() <= 5 * error + 1e-12).all()


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_baseline_reduces_variance_where_rewards_have_much_in_common(tmp_path):
    print(f"\nvariance of one draw's gradient{'no baseline':>22}{'first':>12}{'learnt':>12}")
    for (recipe, k), common in itertools.product(
        [("readout", 1), ("readout", 2), ("input", 1), ("input feeding", 1)], [0.0, 3.0]
    ):
        case = Case(
            tmp_path / f"{recipe}{k}{common}",
            recipe,
            k,
            "train.reinforce.entropy_weight=0.0",
            steps=2,
            common=common,
        )
        log_p, loss, _ = case.all_draws()
        learnt = -(log_p.exp() @ loss).item() / case.steps
        found = []
        for baseline in (0.0, None, learnt):
            case.know(baseline)
            found.append(case.variance())
        print(
            f"{recipe + f', k = {k}':<20}rewards {learnt:>6.2f}"
            f"{found[0]:>19.4f}{found[1]:>12.4f}{found[2]:>12.4f}"
        )
        assert found[2] < found[0]
        if common:
            assert found[2] < 0.5 * found[0]
            assert found[1] < found[0]


def slow(losses, log_p, entropy, lengths, to_go, baseline, settings):
    """The sum of the page, one token at a time."""
    total = 0.0
    for b, length in enumerate(lengths):
        for t in range(length):
            paid = range(t, length) if to_go else [t]
            reward = sum(-losses[b][u] for u in paid) - baseline * len(paid)
            total -= settings.weight * reward * log_p[b][t] + settings.entropy_weight * entropy[b][t]
    return total


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("to_go", [False, True])
def test_reinforce_loss_of_given_draws(to_go):
    lengths, longest, train = (
        [3, 1, 5],
        5,
        settings("train.reinforce.weight=0.7", "train.reinforce.entropy_weight=0.3").train.reinforce,
    )
    losses, log_p, entropy = (
        torch.rand(3, longest),
        -torch.rand(3, longest, requires_grad=True),
        torch.rand(3, longest, requires_grad=True),
    )
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    options = {"to_go": to_go, "baseline": -2.1, "settings": train}
    more, found = reinforce_loss(losses[real], log_p, entropy, real.flatten().nonzero()[:, 0], **options)
    assert more.item() == pytest.approx(
        slow(losses.tolist(), log_p.tolist(), entropy.tolist(), lengths, to_go, -2.1, train), abs=1e-12
    )
    assert found.item() == pytest.approx(entropy[real].sum().item())
    assert not found.requires_grad
    alone = [
        reinforce_loss(
            losses[b, :n], log_p[b : b + 1, :n], entropy[b : b + 1, :n], torch.arange(n), **options
        )[0]
        for b, n in enumerate(lengths)
    ]
    assert more.item() == pytest.approx(sum(alone).item(), abs=1e-12)
    for gradient in torch.autograd.grad(more, (log_p, entropy)):
        assert (gradient[~real] == 0).all()
        assert (gradient[real] != 0).all()


def test_baseline_is_a_moving_average_from_a_uniform_model():
    train = settings("train.reinforce.baseline_decay=0.8").train.reinforce
    assert first_baseline(train, 50) == pytest.approx(-math.log(50))
    assert next_baseline(train, -4.0, -2.0) == pytest.approx(-3.6)
    none = settings("train.reinforce.baseline_decay=0.0").train.reinforce
    assert first_baseline(none, 50) == next_baseline(none, -4.0, -2.0) == 0.0


@pytest.mark.parametrize(
    ("changes", "later"),
    [
        ((), False),
        (("model.decoder.query_state=previous",), False),
        (('model.decoder.context_to=["input"]',), True),
        (("model.decoder.input_feeding=true",), True),
        (("model.attention.history=coverage",), True),
    ],
)
def test_reinforce_reward_is_what_a_sample_could_change(tmp_path, monkeypatch, changes, later):
    """By all later rewards where later steps hang on what it read, else by its own step's alone."""
    seen = []
    monkeypatch.setattr(
        cross_entropy,
        "reinforce_loss",
        lambda *tensors, **options: seen.append(options["to_go"]) or reinforce_loss(*tensors, **options),
    )
    fit(tmp_path / "run", settings(DRAWS, "train.max_steps=1", *changes))
    assert seen == [later]


@pytest.mark.usefixtures("float64")
def test_update_goes_down_the_objective_and_reports_cross_entropy(tmp_path):
    conf = settings(
        DRAWS,
        "train.reinforce.entropy_weight=2.0",
        "train.optimizer=sgd",
        "train.lr=0.5",
        "train.warmup=0",
        "train.clip_norm=0.0",
    )
    net = toy.model(conf)
    trainer = toy.new_trainer(tmp_path, conf, net)
    trainer.state = replace(trainer.state, baseline=-5.0)
    update = next(trainer.updates)
    ((number, batch),) = update.batches
    net.train()
    torch.manual_seed(mix(1, 1, number))
    sums = trainer.objective(1, trainer._baseline())(batch, 0)
    assert sums.objective.item() != pytest.approx(sums.loss.item(), rel=0.1)
    gradients = torch.autograd.grad(sums.objective / update.tokens, trainer.gradient_step.parameters)
    after = [
        p.detach() - 0.5 * gradient
        for p, gradient in zip(trainer.gradient_step.parameters, gradients, strict=True)
    ]
    assert trainer._update(update).loss == pytest.approx(sums.loss.item() / update.tokens, abs=1e-12)
    for parameter, want in zip(trainer.gradient_step.parameters, after, strict=True):
        torch.testing.assert_close(parameter.detach(), want, rtol=1e-9, atol=1e-12)


def lines(path):
    return [
        line for line in map(json.loads, (path / "metrics.jsonl").read_text().splitlines()) if "loss" in line
    ]


def test_log_tells_baseline_and_entropy_and_cross_entropy(tmp_path):
    conf = settings(DRAWS, "train.max_steps=3", "train.log_every=1", "train.label_smoothing=0.0")
    events = fit(tmp_path / "run", conf)
    told, baseline = lines(tmp_path / "run"), -math.log(toy.SIZE)
    assert told[0]["loss"] == pytest.approx(-baseline, rel=0.1)
    for line in told:
        baseline = 0.9 * baseline - 0.1 * line["loss"]
        assert line["baseline"] == pytest.approx(baseline, abs=1e-9)
        assert 0 < line["entropy"] < math.log(7)
    state, _ = resume.load_state(directory.open_run(tmp_path / "run"))
    assert state.baseline == told[-1]["baseline"]
    assert of(Validation, events)[-1].loss == pytest.approx(np.log(toy.SIZE), rel=0.2)
    fit(tmp_path / "soft", settings("train.max_steps=3", "train.log_every=1"))
    assert not {"baseline", "entropy"} & set(lines(tmp_path / "soft")[0])
    assert resume.load_state(directory.open_run(tmp_path / "soft"))[0].baseline is None


def test_validation_samples_nothing(tmp_path):
    net = toy.model(settings(DRAWS))
    trainer = toy.new_trainer(tmp_path / "run", settings(DRAWS), net)
    net.eval()
    first = trainer.validator._loss()
    torch.manual_seed(99)
    assert trainer.validator._loss() == first


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("recipe", ["readout", "input"])
def test_update_of_accumulated_batches_equals_one_large_batch(tmp_path, monkeypatch, recipe):
    rows = np.arange(24)
    results = []
    for name, order, accumulate in (("parts", [rows[:3], rows[3:20], rows[20:]], 3), ("one", [rows], 1)):
        monkeypatch.setattr("seq2attn.data.batches.plan", lambda *_, order=order: order)
        conf = settings(
            DRAWS,
            "model.attention.expectation_prob=0.0",
            "model.dropout=0.0",
            "train.max_steps=3",
            f"train.accumulate={accumulate}",
            *RECIPES[recipe],
        )
        net = toy.model(conf)
        net.decoder.attention.normalise = InTurn()
        fit(tmp_path / name, conf, net, training=Pairs(24, 5))
        results.append(resume.load_state(directory.open_run(tmp_path / name)))
    (state_1, parts), (state_2, one) = results
    assert state_1.baseline == pytest.approx(state_2.baseline, rel=1e-12)
    for name, tensor in parts.items():
        torch.testing.assert_close(tensor, one[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("format", ["bf16", "fp16"])
def test_low_precision_has_nearly_the_same_gradient(tmp_path, format):
    conf = settings(
        DRAWS,
        "model.dropout=0.0",
        "model.attention.expectation_prob=0.0",
        "train.optimizer=sgd",
        "train.lr=1.0",
        "train.warmup=0",
    )
    found = []
    for kind in ("fp32", format):
        net = toy.model(conf)
        net.decoder.attention.normalise = InTurn()
        trainer = toy.new_trainer(tmp_path / kind, conf, net, format=kind)
        # small enough for the first step
        trainer.gradient_step.scaler = torch.amp.GradScaler("cpu", init_scale=256.0, enabled=kind == "fp16")
        before = torch.cat([p.detach().flatten() for p in net.parameters()])
        trainer._update(next(trainer.updates))
        found.append(
            (trainer.state.baseline, torch.cat([p.detach().flatten() for p in net.parameters()]) - before)
        )
    (baseline, moved), (low_baseline, low_moved) = found
    assert low_baseline == pytest.approx(baseline, rel=1e-3)
    assert F.cosine_similarity(moved, low_moved, 0) > 0.99


# nothing but what is read tells the decoder of the source, and that of one word
BLIND = ("model.decoder.bridge=zero", "model.attention.values=embeddings")


def copying(path, monkeypatch, *changes):
    """The validation loss, with the arg max read, of a model that was to learn to copy."""
    monkeypatch.setattr(toy, "VALIDATION", Pairs(40, 2, reverse=False))
    conf = settings(
        "model.dropout=0.0",
        "model.embedding=32",
        "model.encoder.size=32",
        "model.decoder.size=64",
        "train.batch_tokens=400",
        "train.schedule=cosine",
        "train.validate_every=1000",
        "train.label_smoothing=0.0",
        *BLIND,
        *changes,
    )
    return of(Validation, fit(path, conf, training=Pairs(2000, 1, reverse=False)))[-1].loss


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            (DRAWS, "model.attention.expectation_prob=0.0", "train.max_steps=400"),
            id="hard-sample",
            marks=pytest.mark.slow,
        ),
        pytest.param(("model.attention.normaliser=hard-topk", "train.max_steps=250"), id="hard-topk"),
    ],
)
def test_hard_attention_learns_to_copy_from_what_it_reads_alone(tmp_path, monkeypatch, changes):
    assert copying(tmp_path / "run", monkeypatch, *changes) < 0.15


@pytest.mark.slow
def test_hard_attention_without_reinforce_does_not_learn_to_copy(tmp_path, monkeypatch):
    assert (
        copying(
            tmp_path / "run",
            monkeypatch,
            DRAWS,
            "model.attention.expectation_prob=0.0",
            "train.max_steps=400",
            "train.reinforce.weight=0.0",
        )
        > 1.5
    )
