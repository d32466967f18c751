"""Captions that a model in training draws itself, each with how much better it is than others of the same
image, by CIDEr-D (Rennie 2017).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seq2attn.config import Config
from seq2attn.data.batches import collate_target
from seq2attn.data.tokenizer import EOS, Tokenizer
from seq2attn.evaluation.caption_tokens import tokens
from seq2attn.evaluation.cider import CiderD
from seq2attn.inference import Caption, Captioner
from seq2attn.inference.predictor import BANNED
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.objectives.self_critical import RewardFunction, SampledTargets


def critic(references: Sequence[Sequence[str]], tokenizer: Tokenizer, config: Config) -> RewardFunction:
    """What `training.trainer.train` is handed: `references` are the captions of each training image, which
    also say how telling an n-gram is.

    `train.self_critical.samples` captions are drawn of an image. What one is worth is its CIDEr-D less that of the greedy
    caption, or less the mean of the others (`train.self_critical.baseline`).
    """
    cider = CiderD([[tokens(reference) for reference in some] for some in references])
    settings = config.train.self_critical

    def judge(model: Seq2Seq, source: Tensor, mask: Tensor, number_I: Tensor, seed: int) -> SampledTargets:
        captioner = Captioner(model, tokenizer, config)
        images = [[seen] for seen in _seen(source, mask)]
        numbers = number_I.tolist()
        # By the model's probabilities alone: what other rules leave out would be drawn with others than those
        # whose gradient is taken.
        drawn = captioner.caption(
            images,
            sample=True,
            n_best=settings.samples,
            seed=seed,
            attention=False,
            min_length=0,
            no_repeat_ngram=0,
        )
        reward_IK = _rewards(cider, drawn, numbers)
        if settings.baseline == "greedy":
            compared = _rewards(cider, captioner.caption(images, beam=1, attention=False), numbers)
        else:
            compared = (reward_IK.sum(1, keepdims=True) - reward_IK) / (settings.samples - 1)
        advantage_R = torch.from_numpy((reward_IK - compared).flatten()).float()
        every = [caption for some in drawn for caption in some]
        inputs_RT, targets_RT, mask_RT = collate_target([caption.tokens for caption in every])
        finished_R1 = torch.tensor([[caption.finished] for caption in every])
        mask_RT = mask_RT & (finished_R1 | (targets_RT != EOS))  # one that was cut never chose to end
        source_of_R = torch.arange(len(drawn)).repeat_interleave(settings.samples)
        device = source.device
        parts = (
            source_of_R.to(device),
            inputs_RT.to(device),
            targets_RT.to(device),
            mask_RT.to(device),
            advantage_R.to(device),
        )
        return SampledTargets(*parts, reward=float(reward_IK.mean()), banned=BANNED)

    return judge


def _rewards(cider: CiderD, captions: Sequence[Sequence[Caption]], numbers: Sequence[int]) -> "np.ndarray":
    """CIDEr-D (images, captions of each)."""
    flat = [tokens(caption.text) for some in captions for caption in some]
    each = len(captions[0])
    return cider.scores(flat, [number for number in numbers for _ in range(each)]).reshape(
        len(captions), each
    )


def _seen(source: Tensor, mask: Tensor) -> list["np.ndarray"]:
    """Images or their features, one by one, as `Captioner.caption` takes them."""
    rows = [
        row if mask.size(1) == 1 and source.dim() == 4 else row[real]
        for row, real in zip(source.cpu(), mask.cpu(), strict=True)
    ]
    if source.dtype != torch.uint8:
        return [row.numpy() for row in rows]
    return [(row[None] if source.dim() == 4 else row).movedim(-3, -1).contiguous().numpy() for row in rows]
