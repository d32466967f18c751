"""Forced decoding: the score and the attention of given targets, by teacher forcing."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.device_memory import too_little_memory
from seq2attn.errors import UserError
from seq2attn.inference.encoding import pad
from seq2attn.inference.options import AttentionOption, check_attention
from seq2attn.inference.predictor import NO_NUMBERS, Predictor
from seq2attn.inference.scheduling.batches import batches
from seq2attn.search.sampling import seed_of
from seq2attn.search.step import Hypothesis, normalised

Source = TypeVar("Source")


def score_targets(
    predictor: Predictor[Source, Any],
    sources: Sequence[Sequence[Source]],
    positions: Sequence[int],
    targets: Sequence[Sequence[int]],
    attention: AttentionOption,
    seed: int,
    first: int,
    batch_tokens: int | None,
) -> list[Hypothesis]:
    """A hypothesis of the target ids of each input.

    `sources` are those of each member, `positions` the source positions of each input. Raises UserError if
    the model returns NaN.
    """
    check_attention(attention)
    option = predictor.needed_attention(attention)
    batch_tokens = predictor.batch_tokens if batch_tokens is None else batch_tokens
    results: dict[int, Hypothesis] = {}
    lengths = [max(count, len(target) + 1) for count, target in zip(positions, targets, strict=True)]
    text = f"batch_tokens is {batch_tokens:,}, too much for the memory of the device: make it smaller"
    with predictor.inference_mode(), too_little_memory("batch_tokens", text):
        for rows in batches(range(len(targets)), lengths, batch_tokens):
            of_batch = [targets[i] for i in rows]
            inputs_BT = pad([[BOS, *target] for target in of_batch], PAD).to(predictor.device)
            targets_BT = pad([[*target, EOS] for target in of_batch], PAD).to(predictor.device)
            seeds = [seed_of(seed, first + i) for i in rows]
            memories = predictor.encode([[side[i] for i in rows] for side in sources], seeds)
            log_p_BT, weights = predictor.ensemble.score_targets(memories, inputs_BT, targets_BT, option)
            for b, i in enumerate(rows):
                length = len(targets[i]) + 1
                log_p = float(log_p_BT[b, :length].double().sum())
                if math.isnan(log_p):
                    raise UserError(NO_NUMBERS)
                score = normalised(log_p, length, predictor.config.search.length_penalty)
                of_target = None if weights is None else weights[b, :length]
                results[i] = Hypothesis(list(targets[i]), score, log_p, of_target, finished=True)
    return [results[i] for i in range(len(targets))]
