"""Rewards for self-critical training (Rennie 2017).

They are the advantages, in CIDEr-D, of captions that are sampled from the model over other captions of the
same image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.config import Config
from seq2attn.data.batches import collate_target
from seq2attn.data.tokenizer import EOS, Tokenizer
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.ptb_tokenizer import tokens
from seq2attn.inference import Caption, Captioner
from seq2attn.inference.predictor import BANNED
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.objectives.self_critical import RewardFunction, SampledTargets


def cider_rewards(
    references: Sequence[Sequence[str]], tokenizer: Tokenizer, config: Config
) -> RewardFunction:
    """The reward function that `training.trainer.train` takes.

    `references` are the captions of each training image; their document frequencies weigh the n-grams. The
    function samples `train.self_critical.samples` captions of each image. The advantage of a caption is its
    CIDEr-D minus that of the greedy caption, or minus the mean of the others
    (`train.self_critical.baseline`).
    """
    cider = CiderD([[tokens(reference) for reference in of_image] for of_image in references])
    settings = config.train.self_critical

    def reward(model: Seq2Seq, source: Tensor, mask: Tensor, number_I: Tensor, seed: int) -> SampledTargets:
        captioner = Captioner(model, tokenizer, config)
        images = [[image] for image in _images(source, mask, captioner.clips)]
        numbers = number_I.tolist()
        # Without the rules of a search: the gradient is that of the model's own probabilities.
        samples = captioner.caption(
            images,
            sample=True,
            n_best=settings.samples,
            seed=seed,
            attention=False,
            min_length=0,
            no_repeat_ngram=0,
        )
        reward_IK = _rewards(cider, samples, numbers)
        if settings.baseline == "greedy":
            baseline_IK = _rewards(cider, captioner.caption(images, beam=1, attention=False), numbers)
        else:
            baseline_IK = (reward_IK.sum(1, keepdims=True) - reward_IK) / (settings.samples - 1)
        advantage_R = torch.from_numpy((reward_IK - baseline_IK).flatten()).float()
        captions = [caption for of_image in samples for caption in of_image]
        inputs_RT, targets_RT, mask_RT = collate_target([caption.tokens for caption in captions])
        finished_R1 = torch.tensor([[caption.finished] for caption in captions])
        # the model did not choose to end a caption that was cut at the maximum length
        mask_RT = mask_RT & (finished_R1 | (targets_RT != EOS))
        source_of_R = torch.arange(len(samples)).repeat_interleave(settings.samples)
        device = source.device
        return SampledTargets(
            _to(device, source_of_R),
            _to(device, inputs_RT),
            _to(device, targets_RT),
            _to(device, mask_RT),
            _to(device, advantage_R),
            reward=float(reward_IK.mean()),
            banned=BANNED,
        )

    return reward


def _to(device: torch.device, tensor: Tensor) -> Tensor:
    """The tensor on the device. The host does not wait for the copy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _rewards(
    cider: CiderD, captions: Sequence[Sequence[Caption]], numbers: Sequence[int]
) -> NDArray[np.float64]:
    """CIDEr-D (images, captions of each)."""
    candidates = [tokens(caption.text) for of_image in captions for caption in of_image]
    count = len(captions[0])
    rewards = cider.scores(candidates, [number for number in numbers for _ in range(count)])
    return rewards.reshape(len(captions), count)


def _images(source: Tensor, mask: Tensor, clips: bool) -> list[Tensor]:
    """Images or their features, one by one, as `Captioner.caption` takes them. They stay on the device."""
    if not clips:
        return list(source)
    return [frames[:count] for frames, count in zip(source, mask.sum(1).tolist(), strict=True)]
