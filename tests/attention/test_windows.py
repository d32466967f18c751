"""Windows: masks and factors equal the reference's, and the gradient reaches the predicted centre."""

import pytest
import reference
import torch
from torch import Tensor

from seq2attn.attention import AttentionHistory
from seq2attn.attention.windows import Window, build_window
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import unrolled

Q, A = 4, 3


def make(window: str, half_width: int = 2) -> Window:
    layer = build_window(AttentionConfig.model_validate({"window": window, "half_width": half_width}), Q, A)
    assert layer is not None
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 1.5)
    return layer


def run(
    window: Window, query_BTQ: Tensor, mask_BS: Tensor, history: AttentionHistory | None
) -> tuple[Tensor, Tensor | None]:
    """Mask, and the factor on weights, (B, T, S) of one head."""
    mask, finish = window(query_BTQ[:, None], mask_BS, history)
    return mask[:, 0], None if finish is None else finish(torch.ones(()))[:, 0]


def at(*times: int, rows: int = 1) -> AttentionHistory:
    return AttentionHistory(torch.tensor(times).expand(rows, -1))


def lengths(*each: int, positions: int) -> Tensor:
    return torch.arange(positions) < torch.tensor(each)[:, None]


def test_build_window_gives_none_by_default() -> None:
    assert build_window(AttentionConfig(), Q, A) is None


@pytest.mark.parametrize("half_width", [1, 2, 5])
@pytest.mark.parametrize("name", ["local-m", "local-p"])
def test_masks_and_factors_equal_the_references(name: str, half_width: int, float64: None) -> None:
    window, mask = make(name, half_width), lengths(9, 1, 4, 7, positions=9)
    query, time = torch.randn(4, 12, Q), torch.arange(12).expand(4, 12)
    weights = (
        {"w": window.query.weight.detach().numpy(), "v": window.v.detach().numpy()}
        if name == "local-p"
        else None
    )
    got, factor = run(window, query, mask, AttentionHistory(time))
    assert got.shape == (4, 12, 9)
    assert (factor is None) == (name == "local-m")
    narrow = False
    for b in range(4):
        length = int(mask[b].sum())
        for t in range(12):
            read, expected = reference.WINDOWS[name](weights, query[b, t].numpy(), t, length, half_width)
            assert got[b, t, :length].tolist() == read
            assert not got[b, t, length:].any()
            assert any(read)
            narrow = narrow or not all(read)
            if factor is not None:
                assert factor[b, t, :length].tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    assert narrow


def test_local_m_moves_with_the_step_up_to_the_last_real_position() -> None:
    mask = lengths(6, 3, positions=6)
    got, _ = run(make("local-m", 1), torch.zeros(2, 4, Q), mask, at(0, 3, 5, 40, rows=2))
    assert [row.nonzero().flatten().tolist() for row in got[0]] == [[0, 1], [2, 3, 4], [4, 5], [4, 5]]
    assert [row.nonzero().flatten().tolist() for row in got[1]] == [[0, 1], [1, 2], [1, 2], [1, 2]]


@pytest.mark.parametrize("name", ["local-m", "local-p"])
def test_windows_do_not_depend_on_padding_or_other_steps(name: str, float64: None) -> None:
    window, query, time = make(name), torch.randn(2, 5, Q), torch.arange(5).expand(2, 5)
    mask, factor = run(window, query, lengths(4, 4, positions=4), AttentionHistory(time))
    padded, padded_factor = run(window, query, lengths(4, 4, positions=9), AttentionHistory(time))
    assert padded[..., :4].equal(mask)
    assert not padded[..., 4:].any()
    for step in range(5):
        alone, alone_factor = run(
            window,
            query[:, step : step + 1],
            lengths(4, 4, positions=4),
            AttentionHistory(time[:, step : step + 1]),
        )
        assert alone.equal(mask[:, step : step + 1])
        if factor is not None:
            torch.testing.assert_close(alone_factor, factor[:, step : step + 1])
    if factor is not None:
        torch.testing.assert_close(padded_factor[..., :4], factor)


@pytest.mark.parametrize("name", ["local-m", "local-p"])
def test_window_of_an_all_masked_source_is_empty_with_finite_gradients(name: str) -> None:
    query = torch.randn(1, 2, Q, requires_grad=True)
    mask, factor = run(make(name), query, lengths(0, positions=3), at(0, 1))
    assert not mask.any()
    if factor is not None:
        factor.sum().backward()
        assert query.grad is not None
        assert torch.isfinite(query.grad).all()


def test_local_p_always_leaves_a_position_to_read() -> None:
    window, mask = make("local-p", 1), lengths(5, 1, positions=6)
    for bias in (-1e4, -1.0, 0.0, 1.0, 1e4):
        torch.nn.init.constant_(window.v, bias)
        torch.nn.init.constant_(window.query.weight, 1.0)
        got, factor = run(window, torch.ones(2, 1, Q), mask, None)
        assert got.any(-1).all()
        assert ((factor > 0) & got).any(-1).all()


def test_local_p_gradient_reaches_the_centre_through_the_factor(float64: None) -> None:
    window, mask = make("local-p"), lengths(7, 4, positions=7)
    query = torch.randn(2, 3, Q, requires_grad=True)
    parameters = tuple(window.parameters())
    assert len(parameters) == 2

    def factor(query: Tensor, *_: Tensor) -> Tensor:
        return run(window, query, mask, None)[1]

    assert torch.autograd.gradcheck(factor, (query, *parameters))
    with unrolled():
        in_a_loop = torch.cat([run(window, query[:, step : step + 1], mask, None)[1] for step in range(3)], 1)
    gradient = torch.randn(2, 3, 7)
    for got, expected in zip(
        torch.autograd.grad(in_a_loop, (query, *parameters), gradient),
        torch.autograd.grad(factor(query), (query, *parameters), gradient),
        strict=True,
    ):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_local_p_is_accurate_under_autocast() -> None:
    window, query, mask = make("local-p", 20), torch.randn(8, 3, Q), lengths(*[900] * 8, positions=900)
    torch.nn.init.constant_(window.v, 0.001)
    _, exact = run(window, query, mask, None)
    with torch.autocast("cpu", torch.bfloat16):
        _, factor = run(window, query, mask, None)
    assert factor.dtype == torch.float32
    torch.testing.assert_close(factor, exact, rtol=0, atol=0.02)


def test_local_p_predicts_a_centre_for_each_head(float64: None) -> None:
    window, mask, query = make("local-p"), lengths(7, 4, positions=7), torch.randn(2, 3, 5, Q)
    got, finish = window(query, mask, None)
    factor = finish(torch.ones(()))
    assert got.shape == factor.shape == (2, 3, 5, 7)
    for head in range(3):
        alone, alone_factor = run(window, query[:, head], mask, None)
        assert got[:, head].equal(alone)
        torch.testing.assert_close(factor[:, head], alone_factor)


@pytest.mark.parametrize(("name", "needs"), [("local-m", True), ("local-p", False)])
def test_windows_declare_whether_they_need_the_step(name: str, needs: bool) -> None:
    assert make(name).needs_step == needs
