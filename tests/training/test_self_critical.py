"""Self-critical training: the gradient is that of the expected reward, by enumeration and by drawing; what is
drawn is the model's own; rewards rise.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import image_toy as toy
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.data.batches import collate_target
from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.errors import UsageError
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.ptb_tokenizer import tokens
from seq2attn.evaluation.rewards import cider_rewards
from seq2attn.inference.predictor import BANNED
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.events import Update
from seq2attn.training.objectives.self_critical import SampledTargets, expected_loss

LONGEST = 2
REFERENCES = [
    ["red left", "there is red left"],
    ["blue top", "green right"],
    ["red right", "there is green top"],
]


def drawn_of(
    outputs: Sequence[Sequence[int]],
    advantages: Sequence[float],
    source_of: Sequence[int] | None = None,
    longest: int = LONGEST,
) -> SampledTargets:
    """As a critic hands them over: an output of the greatest length was cut, and never chose to end."""
    inputs_RT, targets_RT, mask_RT = collate_target(outputs)
    whole_R1 = torch.tensor([[len(output) < longest] for output in outputs])
    mask_RT = mask_RT & (whole_R1 | (targets_RT != EOS))
    source_of_R = torch.tensor(source_of if source_of is not None else [0] * len(outputs))
    return SampledTargets(source_of_R, inputs_RT, targets_RT, mask_RT, torch.tensor(advantages), 0.0, BANNED)


def test_expected_loss_definition(float64: None) -> None:
    """-(r - b) log p of every token that was chosen, p being that among those that can be."""
    size, features = 9, torch.randn(3, 4, 5, requires_grad=True)
    output = nn.Linear(5, size)
    outputs, advantages = [[4, 5, 6], [7], [8, 4]], [0.5, -2.0, 1.5]
    samples = drawn_of(outputs, advantages, longest=3)
    want = 0.0
    for row, (tokens_, advantage) in enumerate(zip(outputs, advantages, strict=True)):
        for step, token in enumerate(tokens_ + [EOS] * (len(tokens_) < 3)):
            p = np.exp(output(features[row, step]).detach().numpy())
            p[list(BANNED)] = 0
            want -= advantage * math.log(p[token] / p.sum())
    assert expected_loss(features, output, samples).item() == pytest.approx(want, abs=1e-10)


def test_expected_loss_of_no_token_is_zero() -> None:
    samples = drawn_of([[4]], [1.0], longest=1)
    empty = samples._replace(mask_RT=torch.zeros_like(samples.mask_RT))
    assert expected_loss(torch.randn(1, 2, 5), nn.Linear(5, 9), empty).item() == 0


# The gradient


def every(size: int) -> list[list[int]]:
    """All that can be drawn: tokens but for the special ones, at most LONGEST."""
    return [
        list(some) for count in range(LONGEST + 1) for some in itertools.product(range(4, size), repeat=count)
    ]


def image_model(sharpness: float = 1.0, *changes: str) -> tuple[config.Config, Seq2Seq, Tensor, Tensor]:
    conf = toy.settings("model.dropout=0.0", f"search.max_length={LONGEST}", *changes)
    net = toy.model(conf, toy.tokenizer().size, sharpness=sharpness)
    source = torch.from_numpy(
        np.stack(
            [toy.pixels("red", "left", 1), toy.pixels("blue", "top", 2), toy.pixels("green", "right", 3)]
        )
    ).movedim(-1, 1)
    return conf, net, source, torch.ones(3, 1, dtype=torch.bool)


def log_p(
    model: Seq2Seq, source: Tensor, mask: Tensor, outputs: Sequence[Sequence[int]], place: int
) -> Tensor:
    """Of each output of one image, step by step: what is banned is out, and the end after LONGEST tokens is
    no choice.
    """
    memory = model.encoder(source[place : place + 1], mask[place : place + 1]).repeat_for(
        torch.zeros(len(outputs), dtype=torch.long)
    )
    inputs_BT, targets_BT, mask_BT = collate_target(outputs)
    logits = model.decoder(inputs_BT, memory).logits
    logits = logits.index_fill(2, torch.tensor(BANNED), -torch.inf).log_softmax(-1)
    real_BT = mask_BT & ~((torch.arange(inputs_BT.size(1)) == LONGEST) & (targets_BT == EOS))
    return logits.gather(2, targets_BT[..., None])[..., 0].masked_fill(~real_BT, 0.0).sum(1)


def rewards(outputs: Sequence[Sequence[int]], place: int) -> Tensor:
    cider, own = CiderD([[tokens(text) for text in some] for some in REFERENCES]), toy.tokenizer()
    return torch.from_numpy(
        cider.scores([tokens(own.decode(list(output))) for output in outputs], [place] * len(outputs))
    )


@pytest.mark.parametrize("baseline", [0.0, 3.7])
def test_expected_loss_over_all_outputs_has_the_gradient_of_the_expected_reward(
    float64: None, baseline: float
) -> None:
    """Sum over all outputs of p (r - b) grad log p = grad of sum p r, whatever the baseline."""
    _, net, source, mask = image_model()
    net.eval()
    outputs, parameters = every(toy.tokenizer().size), list(net.parameters())
    log_p_R, reward_R = log_p(net, source, mask, outputs, 1), rewards(outputs, 1)
    assert log_p_R.exp().sum().item() == pytest.approx(1)
    assert reward_R.max() > 0
    want = torch.autograd.grad((log_p_R.exp() * reward_R).sum(), parameters, allow_unused=True)
    samples = drawn_of(outputs, (log_p_R.exp() * (reward_R - baseline)).tolist(), [1] * len(outputs))
    memory = net.encoder(source, mask).repeat_for(samples.source_of_R)
    loss = expected_loss(
        net.decoder.hidden_states(samples.inputs_RT, memory).features_BTD, net.decoder.output, samples
    )
    got = torch.autograd.grad(loss, parameters, allow_unused=True)
    for one, other in zip(got, want, strict=True):
        if one is not None:
            torch.testing.assert_close(-one, other, rtol=1e-7, atol=1e-10)


def test_captions_are_drawn_by_the_probabilities_that_are_differentiated() -> None:
    """The run's own rules of search, a least length and no word twice, have no part in it: with them the
    gradient would be of another distribution.
    """
    conf, net, source, mask = image_model(
        1.5, "search.min_length=2", "search.no_repeat_ngram=1", "train.self_critical.samples=3000"
    )
    judge = cider_rewards(REFERENCES, toy.tokenizer(), conf)
    samples = judge(net, source[1:2], mask[1:2], torch.tensor([1]), 5)
    assert samples.banned == BANNED
    outputs = every(toy.tokenizer().size)
    with torch.no_grad():
        p = log_p(net.eval(), source, mask, outputs, 1).exp().tolist()
    found = Counter(tuple(token for token in row.tolist() if token >= 4) for row in samples.targets_RT)
    for output, probability in zip(outputs, p, strict=True):
        spread = 5 * math.sqrt(3000 * probability * (1 - probability)) + 3
        assert abs(found[tuple(output)] - 3000 * probability) < spread, output
    assert any(found[tuple(output)] > 10 for output in outputs if len(output) < 2)
    assert any(found[token, token] > 0 for token in range(4, toy.tokenizer().size))


@pytest.mark.parametrize("compared", ["samples", "greedy"])
def test_mean_over_samples_is_the_gradient_of_the_expected_reward(compared: str) -> None:
    conf, net, source, mask = image_model(
        1.0, "train.self_critical.samples=2000", f"train.self_critical.baseline={compared}"
    )
    outputs, parameters = (
        every(toy.tokenizer().size),
        [net.decoder.output.bias, net.decoder.target_embedding.weight],
    )
    net.eval()
    want = torch.autograd.grad(
        (log_p(net, source, mask, outputs, 1).exp() * rewards(outputs, 1)).sum(), parameters
    )
    samples = cider_rewards(REFERENCES, toy.tokenizer(), conf)(
        net, source[1:2], mask[1:2], torch.tensor([1]), 3
    )
    assert samples.reward == pytest.approx(
        rewards([output_of(samples, row) for row in range(2000)], 1).mean().item(), abs=1e-5
    )
    memory = net.encoder(source[1:2], mask[1:2]).repeat_for(samples.source_of_R)
    loss = (
        expected_loss(
            net.decoder.hidden_states(samples.inputs_RT, memory).features_BTD, net.decoder.output, samples
        )
        / 2000
    )
    got = torch.autograd.grad(loss, parameters)
    for one, other in zip(got, want, strict=True):
        assert F.cosine_similarity(-one.flatten().double(), other.flatten().double(), dim=0) > 0.97
        assert (one.norm() / other.norm()).item() == pytest.approx(1, abs=0.2)


# The critic


def output_of(samples: SampledTargets, row: int) -> list[int]:
    return [token for token in samples.targets_RT[row].tolist() if token >= 4]


@pytest.mark.parametrize("compared", ["samples", "greedy"])
def test_advantages_are_over_the_others_of_the_same_image(compared: str) -> None:
    conf, net, source, mask = image_model(
        2.0,
        "train.self_critical.samples=4",
        f"train.self_critical.baseline={compared}",
        "search.max_length=4",
    )
    numbers = torch.tensor([2, 0, 1])  # the images' places in the data, not in the batch
    samples = cider_rewards(REFERENCES, toy.tokenizer(), conf)(net, source, mask, numbers, 3)
    assert samples.source_of_R.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for place, number in enumerate(numbers.tolist()):
        rows = range(4 * place, 4 * place + 4)
        reward = rewards([output_of(samples, row) for row in rows], number)
        if compared == "samples":
            want = [float(reward[row] - (reward.sum() - reward[row]) / 3) for row in range(4)]
        else:
            from seq2attn.inference import Captioner

            (best,) = Captioner(net, toy.tokenizer(), conf).caption(
                [[source[place].movedim(0, -1)[None].numpy()]], beam=1
            )[0]
            want = (reward - rewards([best.tokens], number)).tolist()
        assert samples.advantage_R[rows.start : rows.stop].tolist() == pytest.approx(want, abs=1e-5)


def test_truncated_caption_never_chose_to_end() -> None:
    conf, net, source, mask = image_model(1.0, "train.self_critical.samples=50")
    samples = cider_rewards(REFERENCES, toy.tokenizer(), conf)(net, source, mask, torch.arange(3), 1)
    lengths = {len(output_of(samples, row)) for row in range(150)}
    assert lengths == {0, 1, 2}
    for row in range(150):
        count = len(output_of(samples, row))
        assert samples.mask_RT[row].sum() == (count if count == LONGEST else count + 1)
        assert samples.inputs_RT[row, 0] == BOS


def test_samples_depend_on_the_seed_and_leave_the_model_unchanged() -> None:
    conf, net, source, mask = image_model()
    judge = cider_rewards(REFERENCES, toy.tokenizer(), conf)
    net.train()
    first, again, other = (
        judge(net, source, mask, torch.arange(3), seed) for seed in (2**64 - 1, 2**64 - 1, 8)
    )
    assert torch.equal(first.targets_RT, again.targets_RT)
    assert not torch.equal(first.targets_RT, other.targets_RT) or not torch.equal(
        first.advantage_R, other.advantage_R
    )
    assert all(module.training for module in net.modules())
    assert not any(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("features", [False, True])
def test_samples_for_features_and_clips_equal_those_for_pixels(frames: int, features: bool) -> None:
    """What the captioner is handed is what the trainer has, one by one: the greedy captions of both are the
    same.
    """
    conf = toy.settings(
        *([f"model.encoder.max_frames={frames}"] if frames > 1 else []),
        "train.self_critical.baseline=greedy",
        "search.max_length=4",
    )
    net = toy.model(conf, toy.tokenizer().size, sharpness=2.0)
    pixels = torch.from_numpy(
        np.stack([np.stack([toy.pixels("red", "left", 9 * n + f) for f in range(frames)]) for n in range(2)])
    ).movedim(-1, -3)
    mask = torch.ones(2, frames, dtype=torch.bool)
    if frames > 1:
        mask[1, 2:] = False
    source = pixels if frames > 1 else pixels[:, 0]
    judge = cider_rewards(REFERENCES, toy.tokenizer(), conf)
    want = judge(net, source, mask, torch.arange(2), 4)
    got = judge(
        net, net.eval().encoder.features(source).detach() if features else source, mask, torch.arange(2), 4
    )
    assert torch.equal(got.targets_RT, want.targets_RT)
    torch.testing.assert_close(got.advantage_R, want.advantage_R)


# Training


@pytest.mark.slow
def test_self_critical_training_raises_rewards(tmp_path: Path) -> None:
    """From the step that is named on, and not before it, the loss is minus the mean reward."""
    of = toy.folder(tmp_path / "data", 24, 4, 1)
    conf = toy.settings(
        "train.self_critical.start_step=30",
        "train.max_steps=80",
        "train.self_critical.samples=4",
        "train.log_every=5",
        "train.validate_every=80",
        "search.max_length=3",
    )
    losses = {
        event.step: event.loss
        for event in toy.fit(tmp_path / "run", conf, of)
        if isinstance(event, Update) and event.logged
    }
    assert all(losses[step] > 0 for step in range(5, 31, 5))
    assert all(losses[step] < 0 for step in range(35, 81, 5))
    assert np.mean([losses[step] for step in (70, 75, 80)]) < 1.2 * np.mean(
        [losses[step] for step in (35, 40)]
    )


class Fixed:
    """A critic whose two draws of an image hang on its number alone."""

    def __call__(
        self, model: Seq2Seq, source: Tensor, mask: Tensor, number_I: Tensor, seed: int
    ) -> SampledTargets:
        outputs = [
            [4 + (number + k) % 5] * (1 + (number + k) % 3) for number in number_I.tolist() for k in range(2)
        ]
        advantages = [float(number % 4 - 1 + k) for number in number_I.tolist() for k in range(2)]
        return drawn_of(
            outputs, advantages, [place for place in range(len(number_I)) for _ in range(2)], longest=9
        )


def test_update_of_two_batches_equals_one_large_batch(tmp_path: Path, float64: None) -> None:
    of = toy.folder(tmp_path / "data", 8, 4, 1)
    found = []
    for name, parts in (("one", 1), ("two", 2)):
        conf = toy.settings(
            "train.self_critical.start_step=1",
            f"train.accumulate={parts}",
            "train.max_steps=3",
            "model.dropout=0.0",
            "train.metric=loss",
        )
        net = toy.model(conf, of.target_tokenizer.size)
        training, _ = toy.views(of, conf)
        split = np.array_split(np.arange(8), 2) if parts == 2 else [np.arange(8)]
        training.plan = lambda *_, split=split: split  # type: ignore[method-assign]
        toy.fit(tmp_path / name, conf, of, net, training=training, reward_function=Fixed())
        found.append({key: tensor.clone() for key, tensor in net.state_dict().items()})
    for key, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][key], rtol=1e-8, atol=1e-10)


# Refusals


def test_self_critical_settings_without_effect_are_refused() -> None:
    with pytest.raises(UsageError, match=r"self_critical\.start_step does not train attention that samples"):
        config.load("xu15-hard", ["train.self_critical.start_step=5"])
    with pytest.raises(
        UsageError, match=r"train\.self_critical\.start_step=5: does nothing, for it is for images"
    ):
        config.load("luong15", ["train.self_critical.start_step=5"])
    with pytest.raises(
        UsageError,
        match=r'baseline="samples" is the mean of the other samples, and train\.self_critical\.samples is 1',
    ):
        config.load("xu15-soft", ["train.self_critical.start_step=5", "train.self_critical.samples=1"])
    config.load(
        "xu15-soft",
        [
            "train.self_critical.start_step=5",
            "train.self_critical.samples=1",
            "train.self_critical.baseline=greedy",
        ],
    )
    with pytest.raises(
        UsageError,
        match=r"self_critical\.samples=7: does nothing, for train\.self_critical\.start_step is not set",
    ):
        config.load("xu15-soft", ["train.self_critical.samples=7"])
