"""Clipping under a loss scale: the gradient is brought back to its size before it is measured and cut."""

import pytest
import torch
import toy

from seq2attn.training import trainer


@pytest.mark.parametrize("scale", [1.0, 2.0**10])
def test_fp16_clips_the_gradient_not_its_scaled_image(tmp_path, scale: float) -> None:
    """With plain SGD and lr 1 the step is as long as the clipped gradient, whatever the scale; the norm told
    is that before.
    """
    conf = toy.settings(
        "train.optimizer=sgd",
        "train.lr=1.0",
        "train.warmup=0",
        "train.clip_norm=0.01",
        "train.max_steps=1",
        "model.dropout=0.0",
    )
    net = toy.model(conf)
    before = torch.cat([p.detach().flatten() for p in net.parameters()])
    made = trainer._Trainer(
        net,
        toy.new_run(tmp_path / "run", conf),
        toy.TRAINING,
        toy.VALIDATION,
        "fp16",
        toy.ALONE,
        None,
        lambda: False,
    )
    made.scaler._lazy_init_scale_growth_tracker(made.world.device)
    made.scaler.update(scale)
    with trainer._ahead(made._updates()) as updates:
        progress = made._step(next(updates))
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=0.02)
    assert 0.05 < progress.norm < 10
