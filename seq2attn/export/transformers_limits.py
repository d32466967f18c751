"""Which models are `MarianMTModel`s of transformers, checked before any work starts.

This module reads only settings, and needs no transformers.
"""

from collections.abc import Iterator

from seq2attn.config import Config
from seq2attn.errors import UserError


def refuse(settings: Config, where: str) -> None:
    """Raise UserError, which names `where` and the first setting that a `MarianMTModel` does not have."""
    for name, value, way in _refusals(settings):
        problem = f'{where}: {name}="{value}" cannot be exported to transformers'
        raise UserError(f"{problem}: a MarianMTModel has {way}", setting=name)


def _refusals(settings: Config) -> Iterator[tuple[str, object, str]]:
    model, a = settings.model, settings.model.attention
    for side in ("encoder", "decoder"):
        stack = getattr(model, side)
        if stack.kind != "transformer":
            yield f"model.{side}.kind", stack.kind, "transformer on both sides (preset vaswani17)"
            return
        required = {"prenorm": False, "norm": "layer", "positions": "sinusoidal", "bias": True}
        for name, value in required.items():
            if getattr(stack, name) != value:
                yield f"model.{side}.{name}", _written(getattr(stack, name)), f"{_written(value)} alone"
        if stack.activation == "swiglu":
            yield f"model.{side}.activation", stack.activation, "relu, gelu or silu"
        if stack.kv_heads not in (None, stack.heads):
            yield f"model.{side}.kv_heads", stack.kv_heads, "keys and values for each head"
    encoder, decoder = model.encoder, model.decoder
    assert encoder.kind == decoder.kind == "transformer"
    if encoder.size != decoder.size or encoder.size % 2:
        yield "model.encoder.size", encoder.size, "one even size for both sides"
    if encoder.activation != decoder.activation:
        yield "model.decoder.activation", decoder.activation, "that of the encoder"
    fixed = {
        "score": "scaled-dot",
        "normaliser": "softmax",
        "window": "none",
        "keys": "states",
        "values": "states",
        "query_input": "state",
        "temperature": 1.0,
        "heads": decoder.heads,
    }
    for name, value in fixed.items():
        if getattr(a, name) != value:
            yield f"model.attention.{name}", _written(getattr(a, name)), f"{_written(value)} alone"
    if a.kv_heads not in (None, a.heads):
        yield "model.attention.kv_heads", a.kv_heads, "keys and values for each head"
    if a.size not in (None, decoder.size):
        yield "model.attention.size", a.size, "the decoder's size"
    if model.pointer:
        yield "model.pointer", "true", "no pointer"
    if settings.data.lowercase:
        yield "data.lowercase", "true", "a tokenizer that leaves capitals"
    if settings.data.tokenizer == "word":
        yield "data.tokenizer", "word", "subwords"


def _written(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
