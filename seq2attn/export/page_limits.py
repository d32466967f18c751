"""Which runs a page can hold, checked before any work starts, by settings, sizes and tokenizers alone."""

from collections.abc import Iterator

from seq2attn.config import Config, ModelConfig
from seq2attn.data.marian_tokenizer import MarianTokenizer
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError

KINDS = ("rnn", "transformer")
# Bytes of half-precision weights. The presets transformer and vaswani17 have 15 MB at the default vocabulary.
MOST = 16_000_000
LARGE_PAGE = 11_000_000  # bytes of a page, with 8 MB of weights: more are refused by many mail servers


def refuse(settings: Config, where: str) -> None:
    """Raise UserError, which names `where` and the first setting that a page does not support."""
    for name, value, why in (*_of_data(settings), *refusals(settings.model)):
        raise UserError(f'{where}: {name}="{value}" cannot be in a page: {why}', setting=name)


def _of_data(settings: Config) -> Iterator[tuple[str, object, str]]:
    if settings.data.protect:
        yield "data.protect", "true", "a page puts no markers in place of items; translate here"


def refuse_size(size: int, where: str) -> None:
    """Raise UserError, which names `where`, for more bytes of weights than MOST."""
    if size > MOST:
        raise UserError(
            f"{where}: its weights are {size / 1e6:.1f} MB in half precision, and a page holds at most "
            f"{MOST / 1e6:.0f} MB; train a smaller one (preset first-try has 4.6 MB), or set data.vocab_size "
            "lower"
        )


def refuse_tokenizer(tokenizer: Tokenizer, where: str) -> None:
    """Raise UserError, which names `where`, for a tokenizer with rules of others."""
    if isinstance(tokenizer, MarianTokenizer):
        raise UserError(
            f"{where}: was imported, and a page does not have the rules by which its tokenizer normalises "
            "text: use `seq2attn serve`"
        )


def refusals(model: ModelConfig) -> Iterator[tuple[str, object, str]]:
    """Name, value and reason of each setting that a page does not support."""
    a = model.attention
    for side, kind in (("encoder", model.encoder.kind), ("decoder", model.decoder.kind)):
        if kind not in KINDS:
            way = f"train one of those, or use `seq2attn {model.modality.command}`"
            yield f"model.{side}.kind", kind, f"a page runs recurrent models and Transformers; {way}"
    if model.pointer:
        yield "model.pointer", "true", "a page cannot copy; train without it, or translate here"
    for name, code in model.own_code.items():
        yield name, code, "a page runs no code of yours; train with a score or normaliser of this package"
    if model.attends and a.normaliser == "hard-sample" and a.at_inference == "sample":
        yield (
            "model.attention.at_inference",
            "sample",
            'a page draws no samples; set it to "argmax" in the run\'s config.json',
        )
