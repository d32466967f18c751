"""The pointer: which tokens are copied, in what share, and what a search and a training make of it. Its
equations are held to the slow truth by the laws of models.
"""

import math

import pytest
import torch
from torch.nn import functional as F

from seq2attn.copying.pointer import Copies, Pointer, mixture
from seq2attn.copying.vocabulary import tokens_of_the_same_text


def test_read_finds_the_first_position_of_each_token() -> None:
    pointer = Pointer(2, 2, 9)
    tokens, first = pointer.read(torch.tensor([[5, 6, 5, 5], [7, 8, 0, 0]]))
    assert tokens.tolist() == [[5, 6, 5, 5], [7, 8, 0, 0]]
    assert first[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_share_vocabulary_changes_the_tokens_that_are_copied() -> None:
    pointer = Pointer(2, 2, 4)
    pointer.share_vocabulary(torch.tensor([0, 3, 3, 1]))
    tokens, first = pointer.read(torch.tensor([[1, 2, 3]]))
    assert tokens.tolist() == [[3, 3, 1]]
    assert first[0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_map_of_tokens_is_no_part_of_the_weights() -> None:
    assert set(Pointer(2, 2, 9).state_dict()) == {"gate.weight", "gate.bias"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_mixture_sums_to_one_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    mass = torch.tensor([0.25, 0.0, 0.75]).expand(2, 3, 3)
    copies = Copies(torch.randn(2, 3), mass, torch.tensor([[5, 6, 7], [4, 4, 8]]))
    log_p = mixture(torch.randn(6, 9).mul(3).to(dtype), copies)
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(6))


def test_mixture_of_a_token_that_can_only_be_copied() -> None:
    """Its softmax is 0 in float32; and one that can be neither copied nor generated stays a number."""
    copies = Copies(torch.zeros(1, 1), torch.tensor([[[1.0]]]), torch.tensor([[2]]))
    log_p = mixture(torch.tensor([[0.0, -1e5, -1e5]]), copies)
    half = torch.full((2,), math.log(0.5))
    torch.testing.assert_close(log_p[0, [0, 2]], half, rtol=0, atol=0.01)  # 1e5 has few digits left for it
    assert log_p[0, 1] == pytest.approx(-1e5, abs=1)


def test_pointer_under_autocast_sums_weights_in_float32() -> None:
    pointer = Pointer(2, 2, 9)
    source = pointer.read(torch.tensor([[5, 6, 5]]))
    weights = torch.tensor([[[[0.3337, 0.3331, 0.3332]]]])
    with torch.autocast("cpu", torch.bfloat16):
        copies = pointer(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), weights, source)
    torch.testing.assert_close(copies.mass_BTS, torch.tensor([[[0.6669, 0.3331, 0.0]]]), rtol=0, atol=1e-6)
    assert copies.gate_BT.dtype == torch.float32


def test_tokens_of_the_same_text_are_found_and_others_are_unknown() -> None:
    source = ["<pad>", "<unk>", "<s>", "</s>", "▁Anna", "▁the", "s"]
    target = ["<pad>", "<unk>", "<s>", "</s>", "s", "▁Anna", "▁la"]
    assert tokens_of_the_same_text(source, target, 1).tolist() == [0, 1, 2, 3, 5, 1, 4]


def test_a_model_learns_to_copy_what_it_never_saw() -> None:
    """Sources of three random tokens, of which the second is the output; the tokens of the test are in no
    training pair, so that a softmax can know nothing of them.
    """
    from seq2attn.config import ModelConfig
    from seq2attn.models.seq2seq import build
    from seq2attn.training.microbatches import Microbatch
    from seq2attn.training.objectives.cross_entropy import token_losses

    tree = {
        "embedding": 16,
        "dropout": 0.0,
        "pointer": True,
        "encoder": {"cell": "gru", "size": 8},
        "decoder": {"cell": "gru", "size": 16},
        "attention": {"score": "location", "max_positions": 8},
    }
    torch.manual_seed(1)
    model = build(ModelConfig.model_validate(tree), 60, 60)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

    def batch(low: int, high: int) -> Microbatch:
        source = F.pad(torch.randint(low, high, (64, 3)), (0, 1), value=3)
        inputs = torch.stack([torch.full((64,), 2), source[:, 1]], 1)
        targets = torch.stack([source[:, 1], torch.full((64,), 3)], 1)
        real = torch.arange(128)
        return Microbatch(source, torch.ones(64, 4, dtype=torch.bool), inputs, real, targets.flatten())

    for _ in range(60):
        optimizer.zero_grad()
        (token_losses(model, batch(4, 40), 0.0).total / 128).backward()
        optimizer.step()
    losses = token_losses(model.eval(), batch(40, 60), 0.0).each_M.view(64, 2)
    assert losses[:, 0].mean() < 0.3  # a softmax alone costs log(36) and more
