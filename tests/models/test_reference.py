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
                {
                    name: array(getattr(rnn, name.replace("w_", "weight_").replace("b_", "bias_") + suffix))
                    for name in ("w_ih", "w_hh", "b_ih", "b_hh")
                }
                for suffix in suffixes
            ]
        )
    got = reference.encode(
        reference.Recipe(encoder_cell=cell), {"source_embedding": array(embedding), "encoder": layers}, source
    )

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
    context, weights = reference.soft_attention(
        "dot", {}, np.array([1.0]), keys, values, mask=[True, True, False]
    )
    np.testing.assert_allclose(weights, [0.75, 0.25, 0.0])
    np.testing.assert_allclose(context, [5.0])


def test_smoothed_cross_entropy_by_hand() -> None:
    """Four equal logits: every word costs log 4, smoothed or not."""
    assert reference.cross_entropy([np.zeros(4)], [2], 0.0) == pytest.approx(np.log(4))
    assert reference.cross_entropy([np.zeros(4)], [2], 0.3) == pytest.approx(np.log(4))
    logits = np.log([0.7, 0.1, 0.2])
    assert reference.cross_entropy([logits], [0], 0.3) == pytest.approx(
        -0.7 * np.log(0.7) - 0.1 * np.log(0.7 * 0.1 * 0.2)
    )


def test_sparse_normalisers_by_hand() -> None:
    """Sparsemax of (1, 0.6) is (0.7, 0.3), and a gap of 1 or more leaves one position; entmax-1.5 of (0, 0)
    is a half each, and a gap of 2 leaves one.
    """
    np.testing.assert_allclose(reference.sparsemax([1.0, 0.6, -0.5]), [0.7, 0.3, 0.0], atol=1e-15)
    np.testing.assert_allclose(
        reference.sparsemax([1.0, 2.0, 7.0], [True, True, False]), [0.0, 1.0, 0.0], atol=1e-15
    )
    np.testing.assert_allclose(reference.entmax15([3.0, 3.0, 1.0]), [0.5, 0.5, 0.0], atol=1e-15)
    np.testing.assert_allclose(
        reference.entmax15([2.0, 0.0, 5.0], [True, True, False]), [1.0, 0.0, 0.0], atol=1e-15
    )
    gap = 0.2  # the roots of the weights are as far apart as half the scores
    high, low = np.sqrt(reference.entmax15([gap, 0.0]))
    assert high - low == pytest.approx(gap / 2)
    assert high**2 + low**2 == pytest.approx(1)


def test_hard_normalisers_by_hand() -> None:
    assert reference.top_k([1.0, 3.0, 3.0, 2.0], k=1).tolist() == [0, 1, 0, 0]
    assert reference.top_k([1.0, 3.0, 3.0, 2.0], [True, False, True, True], k=2).tolist() == [0, 0, 1, 1]
    assert reference.top_k([1.0, 3.0], [True, False], k=2).tolist() == [1, 0]
    assert reference.log_p_of_draws(np.log([2.0, 1.0, 1.0]), [1, 0]) == pytest.approx(np.log(1 / 4 * 2 / 3))
    assert reference.entropy(reference.softmax([5.0, 5.0, 0.0], [True, True, False])) == pytest.approx(
        np.log(2)
    )


@pytest.mark.parametrize("name", reference.NORMALISERS)
def test_nothing_to_read_is_zeros(name: str) -> None:
    assert reference.NORMALISERS[name]([1.0, 2.0], [False, False]).tolist() == [0, 0]


def test_past_terms_by_hand() -> None:
    history = [np.array([0.1, 0.9, 0.0]), np.array([0.3, 0.2, 0.5])]
    keys = [np.array([0.0]), np.array([1.0]), np.array([np.log(3)])]
    np.testing.assert_allclose(
        [reference.coverage({}, history, keys, j)[0] for j in range(3)], [0.4, 1.1, 0.5]
    )
    w = {"u": np.array([1.0]), "n": 2}  # Phi = 1, 2 / (1 + 1/e), 1.5
    np.testing.assert_allclose(reference.fertility(w, history, keys, 0), [0.4])
    np.testing.assert_allclose(reference.fertility(w, history, keys, 2), [1 / 3])
    w = {"f": np.array([[1.0, 10.0, 100.0], [0.0, 1.0, 0.0]])}
    np.testing.assert_allclose(reference.location_aware(w, history, keys, 0), [3 + 20, 0.3])
    np.testing.assert_allclose(reference.location_aware(w, history, keys, 2), [0.2 + 5, 0.5])
    np.testing.assert_allclose(reference.location_aware(w, [], keys, 1), [0, 0])


def test_windows_by_hand() -> None:
    assert reference.local_m(None, None, 1, 5, 1)[0] == [True, True, True, False, False]
    assert reference.local_m(None, None, 9, 5, 1)[0] == [False, False, False, True, True]
    w = {"v": np.array([0.0]), "w": np.array([[1.0]])}  # p_t = S / 2
    mask, factor = reference.local_p(w, np.array([1.0]), 0, 5, 2)
    assert mask == [False, True, True, True, True]
    np.testing.assert_allclose(factor[1:], np.exp([-1.125, -0.125, -0.125, -1.125]))
