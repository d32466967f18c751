"""The rewards of self-critical training on the device: the images stay there."""

import image_toy as toy
import numpy as np
import pytest
import torch
from simulated import counts

from seq2attn.evaluation.rewards import cider_rewards

REFERENCES = [["red left"], ["blue top", "green right"], ["red right"]]
# Copies between host and device, and waits. They may only fall.
MOST = {"samples": (24, 15), "greedy": (44, 31)}


@pytest.mark.parametrize("baseline", MOST)
def test_rewards_copy_outputs_and_no_image(baseline: str) -> None:
    settings = toy.settings(
        "model.dropout=0.0", "search.max_length=4", f"train.self_critical.baseline={baseline}"
    )
    device = torch.device("cuda", 0)
    model = toy.model(settings, toy.tokenizer().size, sharpness=1.0).to(device)
    pixels = np.stack(
        [toy.pixels("red", "left", 1), toy.pixels("blue", "top", 2), toy.pixels("green", "top", 3)]
    )
    source = torch.from_numpy(pixels).movedim(-1, 1)
    judge = cider_rewards(REFERENCES, toy.tokenizer(), settings)
    mask, numbers = torch.ones(3, 1, dtype=torch.bool), torch.arange(3)
    on_cpu = judge(toy.model(settings, toy.tokenizer().size, sharpness=1.0), source, mask, numbers, 3)
    source, mask = source.to(device), mask.to(device)
    counts.reset()
    samples = judge(model, source, mask, numbers, 3)
    done = counts.summary(counts.read())
    copies, waits = MOST[baseline]
    assert done.copies <= copies
    assert done.waits <= waits
    assert torch.equal(samples.targets_RT.cpu(), on_cpu.targets_RT)
    assert torch.equal(samples.advantage_R.cpu(), on_cpu.advantage_R)
