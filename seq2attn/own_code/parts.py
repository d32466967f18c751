"""Scores and normalisers of the user's own, checked on a small random case before they are used.

The check takes some milliseconds, and is done once for each class and its sizes.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from torch import nn

from seq2attn.own_code.laws import check, small_case
from seq2attn.own_code.normaliser_laws import NORMALISER_LAWS, normaliser_case
from seq2attn.own_code.permission import build
from seq2attn.own_code.score_laws import SCORE_LAWS, score_case

SCORE, NORMALISER = "model.attention.score", "model.attention.normaliser"
Part = TypeVar("Part", bound=nn.Module)
_lawful: set[tuple[object, ...]] = set()  # classes and sizes that obey the laws


def own_score(
    code: str, kind: type[Part], query_size: int, key_size: int, size: int, history_size: int
) -> Part:
    """The score of the class `code` for these sizes: a subclass of `kind`.

    Raises UserError if the class may not run, cannot be built, or breaks a law.
    """
    sizes = {"query_size": query_size, "key_size": key_size, "size": size, "history_size": history_size}
    make = partial(build, SCORE, code, kind, "seq2attn.attention.scores.Score", **sizes)
    score = make()

    def obeys() -> None:
        case = score_case(make(), query_size, key_size, history_size)
        check(SCORE_LAWS, case, f'{SCORE}="{code}"', code.partition(":")[0])

    _once((code, type(score), *sizes.values()), obeys)
    return cast(Part, score)


def own_normaliser(code: str, kind: type[Part], temperature: float) -> Part:
    """The normaliser of the class `code`: a subclass of `kind`. Raises UserError as `own_score` does."""

    def make(temperature: float) -> Part:
        name = "seq2attn.attention.normalisers.Normaliser"
        return cast(Part, build(NORMALISER, code, kind, name, temperature=temperature))

    normaliser = make(temperature)
    _once(
        (code, type(normaliser), temperature),
        lambda: check(
            NORMALISER_LAWS, normaliser_case(make), f'{NORMALISER}="{code}"', code.partition(":")[0]
        ),
    )
    return normaliser


def _once(key: tuple[object, ...], obeys: Callable[[], None]) -> None:
    if key not in _lawful:
        with small_case():
            obeys()
        _lawful.add(key)
