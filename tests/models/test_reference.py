"""The reference itself, held to torch's own cells: whoever checks must be checked."""

import numpy as np
import pytest
import reference
import torch
from torch import nn

TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def array(tensor):
    return tensor.detach().double().numpy()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_the_reference_encoder_is_torchs(cell: str, bidirectional: bool) -> None:
    rnn = TORCH[cell](3, 4, num_layers=2, bidirectional=bidirectional, batch_first=True)
    embedding = torch.randn(7, 3)
    source = [5, 2, 6, 1]
    layers = []
    for layer in range(2):
        suffixes = [f"_l{layer}", f"_l{layer}_reverse"][: 1 + bidirectional]
        layers.append(
            [
                {name: array(getattr(rnn, name.replace("w_", "weight_").replace("b_", "bias_") + suffix)) for name in ("w_ih", "w_hh", "b_ih", "b_hh")}
                for suffix in suffixes
            ]
        )
    got = reference.encode(reference.Recipe(encoder_cell=cell), {"source_embedding": array(embedding), "encoder": layers}, source)

    states, final = rnn(embedding[source][None])
    np.testing.assert_allclose(np.stack(got.annotations), array(states[0]), atol=1e-12)
    h, c = final if cell == "lstm" else (final, None)
    for layer, (mine_h, mine_c) in enumerate(got.final):
        here = slice(layer * (1 + bidirectional), (layer + 1) * (1 + bidirectional))
        np.testing.assert_allclose(mine_h, array(h[here, 0].reshape(-1)), atol=1e-12)
        if c is not None:
            np.testing.assert_allclose(mine_c, array(c[here, 0].reshape(-1)), atol=1e-12)


def test_one_worked_example_by_hand() -> None:
    """Two keys, scores log 3 and 0: weights 3/4 and 1/4, the masked third key is never read."""
    keys = [np.array([np.log(3.0)]), np.array([0.0]), np.array([50.0])]
    values = [np.array([4.0]), np.array([8.0]), np.array([1000.0])]
    context, weights = reference.read("dot", {}, np.array([1.0]), keys, values, mask=[True, True, False])
    np.testing.assert_allclose(weights, [0.75, 0.25, 0.0])
    np.testing.assert_allclose(context, [5.0])


def test_smoothed_cross_entropy_by_hand() -> None:
    """Four equal logits: every word costs log 4, smoothed or not."""
    assert reference.cross_entropy([np.zeros(4)], [2], 0.0) == pytest.approx(np.log(4))
    assert reference.cross_entropy([np.zeros(4)], [2], 0.3) == pytest.approx(np.log(4))
    logits = np.log([0.7, 0.1, 0.2])
    assert reference.cross_entropy([logits], [0], 0.3) == pytest.approx(-0.7 * np.log(0.7) - 0.1 * np.log(0.7 * 0.1 * 0.2))
