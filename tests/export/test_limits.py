"""What CTranslate2 cannot hold is refused by the name of the setting; the rest is not."""

from typing import Any

import exported
import pytest

from seq2attn import config
from seq2attn.attention.scores import build_score
from seq2attn.config import SCORES, ScoreName
from seq2attn.errors import UserError
from seq2attn.export import page_limits
from seq2attn.export.limits import refuse

TRANSFORMERS = {"transformer", "vaswani17", "vaswani17-paper"}


@pytest.mark.parametrize("preset", sorted(config.presets()))
def test_refuse_accepts_presets_of_transformers_only(preset: str) -> None:
    if preset in TRANSFORMERS:
        refuse(config.load(preset), "run")
    else:
        with pytest.raises(
            UserError,
            match=r'^run: model\.encoder\.kind="(rnn|conv|image)" cannot be exported: .*transformer',
        ):
            refuse(config.load(preset), "run")


def test_refuse_names_markers_which_the_export_would_not_put_in() -> None:
    settings = exported.settings()
    marked = settings.model_copy(update={"data": settings.data.model_copy(update={"protect": True})})
    for refuse_one in (refuse, page_limits.refuse):
        refuse_one(settings, "run")
        with pytest.raises(UserError, match=r'^run: data\.protect="true" cannot be .*translate here'):
            refuse_one(marked, "run")


@pytest.mark.parametrize("name", SCORES)
def test_refuse_accepts_scores_that_are_dot_products(name: ScoreName) -> None:
    """The table of scores, which is all that the exporter reads, says what `build_score` builds."""
    model = exported.settings().model
    attention = model.attention.model_copy(update={"score": name})
    model = model.model_copy(update={"attention": attention})
    settings = exported.settings().model_copy(update={"model": model})
    assert SCORES[name].product == build_score(attention, 4, 4, 4).is_product
    if SCORES[name].product:
        refuse(settings, "run")
    else:
        with pytest.raises(UserError, match=r"has only dot-product scores; train with .*general or keyed"):
            refuse(settings, "run")


@pytest.mark.parametrize(
    ("attention", "named"),
    [
        ({"score": "additive"}, 'model.attention.score="additive"'),
        ({"score": "cosine"}, 'model.attention.score="cosine"'),
        ({"score": "location"}, 'model.attention.score="location"'),
        ({"score": "keyed", "key_map": "nonlinear"}, 'model.attention.key_map="nonlinear"'),
        ({"score": "keyed", "query_map": "nonlinear"}, 'model.attention.query_map="nonlinear"'),
        ({"normaliser": "sparsemax"}, 'model.attention.normaliser="sparsemax"'),
        ({"normaliser": "hard-sample"}, 'model.attention.normaliser="hard-sample"'),
        ({"window": "local-m"}, 'model.attention.window="local-m"'),
        ({"keys": "sum"}, 'model.attention.keys="sum"'),
        ({"values": "embeddings"}, 'model.attention.values="embeddings"'),
        ({"heads": 2}, 'model.attention.heads="2"'),
    ],
)
def test_refuse_names_a_setting_without_a_counterpart(attention: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as refused:
        refuse(exported.settings(attention=attention), "run")
    assert str(refused.value).startswith(f"run: {named} cannot be exported: CTranslate2 ")


def test_refuse_names_a_pointer() -> None:
    with pytest.raises(
        UserError, match=r'run: model\.pointer="true" cannot be exported: CTranslate2 cannot copy'
    ):
        refuse(config.load("transformer", ["model.pointer=true"]), "run")


def test_refuse_names_a_side_of_another_kind() -> None:
    with pytest.raises(UserError, match=r'model\.decoder\.kind="conv"'):
        refuse(config.load("transformer", ["model.decoder.kind=conv"]), "run")
    with pytest.raises(UserError, match=r'model\.encoder\.kind="rnn"'):
        refuse(config.load("transformer", ["model.encoder.kind=rnn"]), "run")
