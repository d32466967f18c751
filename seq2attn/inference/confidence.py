"""Features that show whether a word of an output is right, of its tokens' probabilities and its attention.

The output is forced on the model that wrote it, in one pass. Shapes: B outputs, T steps with that of the
end token, U tokens and W words of one output, N entries of the target vocabulary, S source positions, Q
quantities of a step, F features of a word.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.inference.encoding import pad
from seq2attn.inference.options import ConfidenceOption
from seq2attn.inference.scheduling.batches import GROUP, STEP
from seq2attn.models.interfaces import Decoder
from seq2attn.models.memory import Memory, mean_attention
from seq2attn.runs.calibration import Calibration
from seq2attn.search.step import NonFiniteProbabilities

LOGITS = 2**20  # numbers in one block of logits: 4 MiB stay in the caches
LEAST_LOG_P = -50.0  # natural log; a token that the model calls impossible must not be infinitely far away
SURE = 1e-4  # no probability is nearer to 0 or 1

Confidence = NDArray[np.float64]

QUANTITIES = (
    "log_p",  # of the token
    "entropy",  # of the distribution of the step, nats
    "margin",  # log p of the token, less that of the best other token
    "entropy_before",  # of the distribution of the step before it
    "entropy_after",  # of the step after it
    "attention_entropy",  # nats
    "coverage_gap",  # how far from 1 the weights of all steps are on the position that it reads most
)


class Feature(NamedTuple):
    """A number of a word: the least or the greatest quantity of its tokens, their mean or their sum."""

    quantity: str
    over: Literal["min", "max", "mean", "sum"]

    def __str__(self) -> str:
        return f"{self.over} {self.quantity}"


# Each lowers the cross-validated loss of an undertrained translator. Others changed it by about 0.1% or less:
# the largest weight, that on the end token, how far attention jumps.
FEATURES = (
    Feature("log_p", "sum"),
    Feature("margin", "min"),
    Feature("entropy", "max"),
    Feature("entropy_before", "mean"),
    Feature("entropy_after", "max"),
    Feature("attention_entropy", "mean"),
    Feature("coverage_gap", "max"),
)
NAMES = tuple(map(str, FEATURES))


def step_quantities(decoder: Decoder, memory: Memory, outputs: Sequence[Sequence[int]]) -> list[Confidence]:
    """The quantities (U + 1, Q) of each of B outputs, given as token ids; that of the end token comes last.

    Attention is the mean over layers and heads; without attention its quantities are 0. Raises
    NonFiniteProbabilities if the model returns NaN.
    """
    inputs_BT, targets_BT = (
        _padded(rows).to(memory.mask_BS.device)
        for rows in ([[BOS, *tokens] for tokens in outputs], [[*tokens, EOS] for tokens in outputs])
    )
    steps = inputs_BT.size(1)
    hidden = decoder.hidden_states(inputs_BT, memory, True)
    block = max(GROUP, LOGITS // (len(outputs) * decoder.output.weight.shape[0]) // GROUP * GROUP)
    parts = []
    for start in range(0, steps, block):
        some = slice(start, start + block)
        copies = None if hidden.copies is None else hidden.copies.steps(some)
        # contiguous, as the product of other tensors is rounded otherwise
        features_BTD = hidden.features_BTD[:, some].contiguous()
        log_p_BTN = decoder.logits(features_BTD, copies).float().log_softmax(-1)
        parts.append(_of_distributions(log_p_BTN, targets_BT[:, some]))
    of_outputs = torch.cat(parts, 1).double()
    is_step = torch.tensor([[step <= len(tokens) for step in range(steps)] for tokens in outputs])
    is_step_BT = is_step.to(of_outputs.device)
    if (of_outputs.isnan().any(-1) & is_step_BT).any():
        raise NonFiniteProbabilities
    entropy_BT = of_outputs[..., 1]
    of_neighbours = torch.stack([_shifted(entropy_BT, 1), _shifted(entropy_BT, -1)], -1)
    if hidden.weights_BTLHS is None:
        of_attention = of_outputs.new_zeros(*entropy_BT.shape, 2)
    else:
        weights_BTS = mean_attention(hidden.weights_BTLHS).double() * is_step_BT[..., None]
        of_attention = _of_attention(weights_BTS)
    table = torch.cat([of_outputs, of_neighbours, of_attention], -1).cpu().numpy()
    return [table[b, : len(tokens) + 1] for b, tokens in enumerate(outputs)]


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """int64 (B, T): to a multiple of STEP, so that a longer output in the batch changes no bit."""
    ids_BT = pad(rows, PAD)
    return torch.nn.functional.pad(ids_BT, (0, -ids_BT.size(1) % STEP), value=PAD)


def _of_distributions(log_p_BTN: Tensor, targets_BT: Tensor) -> Tensor:
    """Log p of the target, entropy and margin of each step: (B, T, 3)."""
    targets_BT1 = targets_BT[..., None]
    log_p_BT1 = log_p_BTN.gather(2, targets_BT1)
    best_other = log_p_BTN.scatter(2, targets_BT1, -torch.inf).amax(-1, keepdim=True)
    bounded = log_p_BTN.clamp_min(LEAST_LOG_P)  # 0 times infinity is no number
    entropy = -(log_p_BTN.exp() * bounded).sum(-1, keepdim=True)
    own, other = (part.clamp_min(LEAST_LOG_P) for part in (log_p_BT1, best_other))
    return torch.cat([own, entropy, own - other], -1)


def _of_attention(weights_BTS: Tensor) -> Tensor:
    """Entropy and coverage gap of each step: (B, T, 2). Weights of padded steps are 0."""
    entropy_BT = -torch.special.xlogy(weights_BTS, weights_BTS).sum(-1)
    coverage_BT = weights_BTS.sum(1).gather(1, weights_BTS.argmax(-1))
    return torch.stack([entropy_BT, (coverage_BT - 1).abs()], -1)


def _shifted(x_BT: Tensor, by: int) -> Tensor:
    """The number of the step before (1) or after (-1) each step; 0 where there is none."""
    moved = x_BT.roll(by, 1)
    moved[:, 0 if by > 0 else -1] = 0.0
    return moved


def word_features(steps: NDArray[Any], word_of: Sequence[int], words: int) -> Confidence:
    """The features (W, F) of the words of an output, from the quantities (U + 1, Q) of its steps.

    `word_of` has the word of each token, -1 for none. A word without a token of its own, which a token before
    it reaches into, has the features of that token.
    """
    own: list[list[int]] = [[] for _ in range(words)]
    for token, word in enumerate(word_of):
        if 0 <= word < words:
            own[word].append(token)
    table = np.zeros((words, len(FEATURES)))
    for word, tokens in enumerate(own):
        if not tokens:
            before = [token for token, number in enumerate(word_of) if 0 <= number < word]
            tokens = before[-1:] or [0]
        part = steps[tokens]
        for place, (quantity, over) in enumerate(FEATURES):
            table[word, place] = getattr(part[:, QUANTITIES.index(quantity)], over)()
    return table


def probabilities(features: NDArray[Any], calibration: Calibration) -> Confidence:
    """The probability (W,) that each word is right, by its features (W, F).

    It is never nearer to 0 or 1 than the words of the calibration can tell: 1 / (words + 2), and SURE.
    """
    standard = (features - calibration.mean) / np.array(calibration.scale)
    logit = standard @ np.array(calibration.weights) + calibration.bias
    least = max(SURE, 1 / (calibration.words + 2))
    result: Confidence = np.exp(-np.logaddexp(0.0, -logit)).clip(least, 1 - least)
    return result


Output = TypeVar("Output")


def with_features(output: Output, features: Confidence) -> Output:
    """A translation or caption with the features (W, F) of its words."""
    return replace(cast(Any, output), confidence_features=features)  # type: ignore[no-any-return]


def with_confidence(outputs: Sequence[Output], calibration: Calibration) -> list[Output]:
    """Translations or captions that have features, with the probability of each word."""
    return [
        replace(output, confidence=probabilities(output.confidence_features, calibration))
        for output in cast(Sequence[Any], outputs)
    ]


def without_words(option: ConfidenceOption) -> dict[str, Any]:
    """The confidence of an output without words, by the fields of a translation."""
    fields: dict[str, Any] = {"confidence_features": np.zeros((0, len(FEATURES)))} if option else {}
    return fields | ({"confidence": np.zeros(0)} if option is True else {})
