"""Encoders and decoders have the sizes that the settings say, and give self-attention on request."""

from typing import Any, cast

import pytest
import recipes
import torch
import transformer_recipes
from torch import Tensor

from seq2attn import config
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.config.sizes import encoder_width, memory_size
from seq2attn.models.seq2seq import Seq2Seq, build

SIZE, WORDS, B, S, T = 8, 9, 3, 4, 5
LENGTHS = torch.tensor([4, 1, 3])
SIDES: dict[str, dict[str, Any]] = {
    "rnn": {"kind": "rnn", "size": 4},
    "conv": {"kind": "conv", "size": 6, "layers": 2},
    "transformer": {"kind": "transformer", "size": SIZE, "layers": 2, "heads": 4, "kv_heads": 2},
}


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def model_of(encoder: dict[str, Any], decoder: dict[str, Any]) -> Seq2Seq:
    settings = {"embedding": SIZE, "dropout": 0.0, "encoder": encoder, "decoder": decoder}
    return build(config.ModelConfig.model_validate(settings), WORDS, WORDS).eval()


def text() -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randint(4, WORDS, (B, S)),
        torch.arange(S) < LENGTHS[:, None],
        torch.randint(4, WORDS, (B, T)),
    )


@pytest.mark.parametrize("model", [*recipes.FEW, *transformer_recipes.FEW], ids=lambda _: "")
def test_memory_has_the_sizes_of_the_settings(model: config.ModelConfig) -> None:
    sizes = (recipes.SOURCE, recipes.TARGET) if model.tied != "all" else (recipes.TARGET, recipes.TARGET)
    source = torch.randint(4, recipes.TARGET, (B, S))
    memory = build(model, *sizes).encoder(source, torch.ones(B, S, dtype=torch.bool))
    assert memory.keys_BSK.size(-1) == memory_size(model, "keys")
    assert memory.values_BSV.size(-1) == memory_size(model, "values")
    assert memory.summary_BV.size(-1) == encoder_width(model)


@pytest.mark.parametrize("prenorm", [False, True])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_self_attention_of_a_transformer_gives_the_weights_of_its_forward(
    prenorm: bool, positions: str
) -> None:
    settings = SIDES["transformer"] | {"prenorm": prenorm, "positions": positions}
    model = model_of(settings, settings)
    source, mask, tokens = text()
    contexts: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
    inputs: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
    layers = {"encoder": model.encoder.layers, "decoder": model.decoder.layers}

    def record(side: str) -> Any:
        def hook(_: Any, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            inputs[side].append(arguments[0])
            contexts[side].append(output)

        return hook

    hooks = [
        layer.self_attn.register_forward_hook(record(name))
        for name, stack in layers.items()
        for layer in cast(Any, stack)
    ]
    with torch.no_grad():
        memory = model.encoder(source, mask)
        model.decoder(tokens, memory)
        for hook in hooks:
            hook.remove()
        encoder_weights = model.encoder.self_attention(source, mask)
        decoder_weights = model.decoder.self_attention(tokens, memory)
    assert encoder_weights is not None
    assert decoder_weights is not None
    assert [weights.shape for weights in encoder_weights] == [(B, 4, S, S)] * 2
    assert decoder_weights.shape == (B, 2, 4, T, T)
    assert all((weights.masked_select(~mask[:, None, None]) == 0).all() for weights in encoder_weights)
    assert (decoder_weights.triu(1) == 0).all()
    weights_of = {"encoder": encoder_weights, "decoder": list(decoder_weights.unbind(1))}
    for name, stack in layers.items():
        for layer, x, want, weights in zip(
            cast(Any, stack), inputs[name], contexts[name], weights_of[name], strict=True
        ):
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
            attention: SelfAttention = layer.self_attn
            _, _, value = attention.project(x, None)
            context = weights @ value.repeat_interleave(2, 1)
            torch.testing.assert_close(attention.out(context.transpose(1, 2).flatten(2)), want)


@pytest.mark.parametrize("kind", ["rnn", "conv"])
def test_self_attention_is_none_where_there_is_none(kind: str) -> None:
    model = model_of(SIDES[kind], SIDES[kind])
    source, mask, tokens = text()
    with torch.no_grad():
        assert model.encoder.self_attention(source, mask) is None
        assert model.decoder.self_attention(tokens, model.encoder(source, mask)) is None


def image_encoder(**changed: Any) -> Any:
    encoder = {"kind": "image", "image_size": 32, "blocks": (1, 1), "channels": 8, "size": SIZE} | changed
    return model_of(encoder, SIDES["rnn"]).encoder


def test_self_attention_of_images_is_that_of_the_backbone_or_of_time() -> None:
    stills = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    still_mask = torch.ones(2, 1, dtype=torch.bool)
    (weights,) = image_encoder(self_attention=1).self_attention(stills, still_mask)
    assert weights.shape == (2, 1, 64, 64)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, 64))
    assert image_encoder().self_attention(stills, still_mask) is None
    assert image_encoder(self_attention=1).self_attention(torch.rand(2, 16, 4, 4), still_mask) is None

    clips = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    temporal = {"max_frames": 3, "temporal": "transformer", "temporal_layers": 2, "temporal_heads": 2}
    by_layer = image_encoder(**temporal).self_attention(clips, mask)
    assert [weights.shape for weights in by_layer] == [(2, 2, 3, 3)] * 2
    assert (by_layer[0][1, :, :, 2] == 0).all()
    torch.testing.assert_close(by_layer[1].sum(-1), torch.ones(2, 2, 3))
    assert image_encoder(max_frames=3, temporal="rnn").self_attention(clips, mask) is None
