"""The recurrent encoder beside torch's own stacks on packed sequences, with the same weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2attn.config import ModelConfig, RNNEncoderConfig
from seq2attn.config.sizes import shared_settings
from seq2attn.models.encoders.rnn import RNNEncoder

TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LENGTHS = torch.tensor([3, 5, 1, 4])
B, S, E, H = 4, 5, 3, 4


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def encoder(tree: dict[str, object], dropout: float, keep_final: bool = False) -> RNNEncoder:
    """Of these settings, over 9 words."""
    config = RNNEncoderConfig.model_validate(tree)
    shared = shared_settings(ModelConfig(encoder=config, embedding=E, dropout=dropout))
    return RNNEncoder(config, shared, 9, keep_final)


def pair(
    cell: str, layers: int, bidirectional: bool, reverse: bool = False, keep_final: bool = True
) -> tuple[RNNEncoder, nn.RNNBase]:
    """Ours and torch's, with the same random weights."""
    tree = {"cell": cell, "size": H, "layers": layers, "bidirectional": bidirectional, "reverse": reverse}
    ours = encoder(tree, 0.0, keep_final)
    theirs = TORCH[cell](E, H, num_layers=layers, bidirectional=bidirectional, batch_first=True)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            for one, suffix in zip(layer, ("", "_reverse"), strict=False):  # type: ignore[arg-type]
                for name, value in (
                    ("weight_ih", one.input_to_gates.weight),
                    ("bias_ih", one.input_to_gates.bias),
                    ("weight_hh", one.hidden_to_gates.weight),
                    ("bias_hh", one.hidden_to_gates.bias),
                ):
                    getattr(theirs, f"{name}_l{number}{suffix}").copy_(value)
    return ours, theirs


def inputs() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 9, (B, S)), torch.arange(S) < LENGTHS[:, None]


@pytest.mark.parametrize("keep_final", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", TORCH)
def test_encoder_equals_torch_on_packed_sequences(
    cell: str, layers: int, bidirectional: bool, keep_final: bool
) -> None:
    ours, theirs = pair(cell, layers, bidirectional, keep_final=keep_final)
    source, mask = inputs()
    memory = ours(source, mask)
    packed, final = theirs(
        pack_padded_sequence(ours.embedding(source), LENGTHS, batch_first=True, enforce_sorted=False)
    )
    want = pad_packed_sequence(packed, batch_first=True)[0]
    torch.testing.assert_close(memory.keys_BSK[mask], want[mask])
    torch.testing.assert_close(memory.values_BSV[mask], want[mask])
    directions = 2 if bidirectional else 1
    parts = final if cell == "lstm" else (final,)  # each (layers * directions, B, H)
    torch.testing.assert_close(memory.summary_BV, torch.cat(list(parts[0][-directions:]), -1))
    if not keep_final:
        assert memory.final is None
        return
    assert memory.final is not None
    assert len(memory.final) == layers
    for number, layer in enumerate(memory.final):
        assert len(layer) == len(parts)
        for mine, whole in zip(layer, parts, strict=True):
            torch.testing.assert_close(
                mine, torch.cat(list(whole[number * directions : (number + 1) * directions]), -1)
            )


@pytest.mark.parametrize("cell", TORCH)
def test_encoder_gradients_equal_torch(cell: str) -> None:
    ours, theirs = pair(cell, 2, True, keep_final=False)
    source, mask = inputs()
    weight = torch.randn(B, S, 2 * H) * mask[..., None]
    packed, _ = theirs(
        pack_padded_sequence(ours.embedding(source), LENGTHS, batch_first=True, enforce_sorted=False)
    )
    want = torch.autograd.grad(
        (pad_packed_sequence(packed, batch_first=True)[0] * weight).sum(),
        (ours.embedding.weight, *theirs.parameters()),
    )
    cells = [one for layer in ours.layers for one in layer]  # type: ignore[union-attr, attr-defined]
    mine = [
        ours.embedding.weight,
        *(
            p
            for one in cells
            for p in (
                one.input_to_gates.weight,
                one.hidden_to_gates.weight,
                one.input_to_gates.bias,
                one.hidden_to_gates.bias,
            )
        ),
    ]
    got = torch.autograd.grad((ours(source, mask).keys_BSK * weight).sum(), mine)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("cell", TORCH)
def test_encoder_reads_from_right_to_left(cell: str) -> None:
    """Sutskever 2014: the sentence turned around; the annotations stay at their words, the summary is the one
    after the first word.
    """
    ours, theirs = pair(cell, 2, bidirectional=False, reverse=True)
    source, mask = inputs()
    memory = ours(source, mask)
    for b, length in enumerate(LENGTHS):
        turned = source[b, :length].flip(0)
        want = theirs(ours.embedding(turned)[None])[0][0].flip(0)
        torch.testing.assert_close(memory.keys_BSK[b, :length], want)
        torch.testing.assert_close(memory.summary_BV[b], want[0])
