"""Clipping under a loss scale: the gradient is unscaled before its norm is computed and clipped."""

import pytest
import torch
import toy


@pytest.mark.parametrize("scale", [1.0, 2.0**10])
def test_clipping_in_fp16_is_of_the_gradient_without_the_loss_scale(tmp_path, scale: float) -> None:
    """With plain SGD and lr 1 the step is as long as the clipped gradient, whatever the scale; the norm
    that is reported is that before clipping.
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
    trainer = toy.new_trainer(tmp_path / "run", conf, net, format="fp16")
    trainer.gradient_step.scaler._lazy_init_scale_growth_tracker(trainer.world.device)
    trainer.gradient_step.scaler.update(scale)
    progress = trainer._update(next(trainer.updates))
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=0.02)
    assert 0.05 < progress.norm < 10
