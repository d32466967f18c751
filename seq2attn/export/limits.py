"""Which models CTranslate2 supports, checked before any work starts.

This module reads only settings, and needs no CTranslate2.
"""

from collections.abc import Iterator

from seq2attn.config import SCORES, Config, traits_of
from seq2attn.errors import UserError


def refuse(settings: Config, where: str) -> None:
    """Raise UserError, which names `where` and the first setting that CTranslate2 does not support."""
    for name, value, why in _refusals(settings):
        raise UserError(f'{where}: {name}="{value}" cannot be exported: {why}', setting=name)


def _refusals(settings: Config) -> Iterator[tuple[str, object, str]]:
    model, a = settings.model, settings.model.attention
    if settings.data.protect:
        yield ("data.protect", "true", "CTranslate2 puts no markers in place of items; translate here")
    for side, kind in (("encoder", model.encoder.kind), ("decoder", model.decoder.kind)):
        if kind != "transformer":
            yield (
                f"model.{side}.kind",
                kind,
                "CTranslate2 runs Transformers; train one (preset transformer), or translate here",
            )
    if not traits_of(a.score).product:
        *others, last = (name for name, traits in SCORES.items() if traits.product)
        yield (
            "model.attention.score",
            a.score,
            f"CTranslate2 has only dot-product scores; train with {', '.join(others)} or {last}",
        )
    for name, way in (("query_map", a.query_map), ("key_map", a.key_map)):
        if a.score == "keyed" and way == "nonlinear":
            yield (
                f"model.attention.{name}",
                way,
                "CTranslate2 has only dot-product scores; train with linear or identity",
            )
    if a.normaliser != "softmax":
        yield ("model.attention.normaliser", a.normaliser, "CTranslate2 has only softmax; train with it")
    if a.window != "none":
        yield ("model.attention.window", a.window, "CTranslate2 has no attention windows; train without one")
    if model.pointer:
        yield ("model.pointer", "true", "CTranslate2 cannot copy; train without it, or translate here")
    for name, part in (("keys", a.keys), ("values", a.values)):
        if part != "states":
            yield (
                f"model.attention.{name}",
                part,
                "CTranslate2 attends to the encoder's states; train with states",
            )
    if model.decoder.kind == "transformer" and model.decoder.heads != a.heads:
        yield (
            "model.attention.heads",
            a.heads,
            f"CTranslate2 has one number of heads; make it {model.decoder.heads}, as model.decoder.heads",
        )
