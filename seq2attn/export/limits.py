"""What CTranslate2 can hold of our models, said before any work starts. It reads settings alone, and needs no
CTranslate2.
"""

from collections.abc import Iterator

from seq2attn.config import Config
from seq2attn.errors import UserError

# scores that are a product of a linear map of the query with one of the key
PRODUCTS = ("dot", "scaled-dot", "general", "keyed")


def refuse(settings: Config, where: str) -> None:
    """Raise UserError, naming `where` and the first setting that CTranslate2 has nothing for."""
    for name, value, why in _refusals(settings):
        raise UserError(f'{where}: {name}="{value}" cannot be exported: {why}')


def _refusals(settings: Config) -> Iterator[tuple[str, object, str]]:
    model, a = settings.model, settings.model.attention
    for side, kind in (("encoder", model.encoder.kind), ("decoder", model.decoder.kind)):
        if kind != "transformer":
            yield (
                f"model.{side}.kind",
                kind,
                "CTranslate2 runs Transformers; train one, as in `seq2attn train transformer`, or use `seq2attn translate`",
            )
    if a.score not in PRODUCTS:
        yield (
            "model.attention.score",
            a.score,
            f"CTranslate2 compares by products alone; train with {', '.join(PRODUCTS[:-1])} or {PRODUCTS[-1]}",
        )
    for name, way in (("query_map", a.query_map), ("key_map", a.key_map)):
        if a.score == "keyed" and way == "nonlinear":
            yield (
                f"model.attention.{name}",
                way,
                "CTranslate2 compares by products alone; train with linear or identity",
            )
    if a.normaliser != "softmax":
        yield (
            "model.attention.normaliser",
            a.normaliser,
            "CTranslate2 makes weights by softmax alone; train with that",
        )
    if a.window != "none":
        yield (
            "model.attention.window",
            a.window,
            "CTranslate2 looks at the whole source; train without a window",
        )
    for name, part in (("keys", a.keys), ("values", a.values)):
        if part != "states":
            yield (
                f"model.attention.{name}",
                part,
                "CTranslate2 reads the encoder's states alone; train with states",
            )
    if model.decoder.kind == "transformer" and model.decoder.heads != a.heads:
        yield (
            "model.attention.heads",
            a.heads,
            f"CTranslate2 has one number of heads in the decoder, and model.decoder.heads is {model.decoder.heads}; make them equal",
        )
