"""What CTranslate2 computes with an exported model is what we compute: outputs, scores, attention, for each
setting that can be exported.
"""

from pathlib import Path
from typing import Any

import exported
import numpy as np
import pytest
import tiny
import torch
from exported import FIRST, TODAY

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.tokenizer import BOS, EOS, PAD, Tokenizer
from seq2attn.export.limits import refuse
from seq2attn.inference import Translator
from seq2attn.inference.attention_weights import select_attention

ctranslate2 = pytest.importorskip(
    "ctranslate2", reason="the package ctranslate2 is not installed: it is in the extra `test`"
)

from seq2attn.export.ctranslate2 import ModelConverter, _heads

TEXTS = tiny.ENGLISH[:7]
GIVEN = tiny.FRENCH[:7]
LONGEST = 30
ONE = {"layers": 1}
LEARNED = {"positions": "learned", "max_positions": 7}  # fewer than the texts have
SHARED = {"kv_heads": 2}

ALL = {
    "first": exported.settings(),
    "today": exported.settings(TODAY),
    "first, norms before": exported.settings({"prenorm": True}),
    "today, norms after": exported.settings(TODAY | {"prenorm": False}),
    "one embedding": exported.settings(TODAY, tied="all"),
    "no embedding shared": exported.settings(tied="none"),
    "no biases": exported.settings({"bias": False}),
    "biases": exported.settings(TODAY | {"bias": True}),
    "gelu": exported.settings(ONE | {"activation": "gelu"}),
    "gated, after": exported.settings({"activation": "swiglu"}),
    "learned": exported.settings(LEARNED),
    "no positions": exported.settings(ONE | {"positions": "none"}),
    "root mean square": exported.settings({"norm": "rms"}),
    "layer norms": exported.settings(TODAY | {"norm": "layer"}),
    "shared keys of two": exported.settings(TODAY | SHARED, attention=SHARED),
    "shared keys of two, first": exported.settings(SHARED, attention=SHARED),
    "shared keys of all": exported.settings(TODAY | {"kv_heads": 1}, attention={"kv_heads": 1}),
    "shared keys on one side": exported.settings(TODAY, {"kv_heads": 2}),
    "shared keys of the source alone": exported.settings(attention={"kv_heads": 1}),
    "one head": exported.settings({"heads": 1}, attention={"heads": 1}),
    "sides differ": exported.settings(
        TODAY | {"heads": 2},
        {
            "heads": 4,
            "layers": 1,
            "positions": "sinusoidal",
            "norm": "layer",
            "feedforward": 7,
            "activation": "gelu",
        },
    ),
    "dot": exported.settings(attention={"score": "dot"}),
    "general": exported.settings(attention={"score": "general"}),
    "general, shared": exported.settings(TODAY, attention={"score": "general"} | SHARED),
    "keyed": exported.settings(attention={"score": "keyed"}),
    "keyed, identity": exported.settings(attention={"score": "keyed", "key_map": "identity"}),
    "wide attention": exported.settings(attention={"size": 24}),
    "warm attention": exported.settings(attention={"temperature": 2.0}),
}


class Both:
    """One model in both programs."""

    def __init__(self, of: Config, model: Any, folder: Path, **options: Any) -> None:
        self.source, self.target = (
            tiny.tokenizer("source"),
            tiny.tokenizer("source" if of.data.joint else "target"),
        )
        self.ours = Translator(model, self.source, self.target, of)
        ModelConverter(model, of.model, self.source, self.target).convert(str(folder / "model"), **options)
        self.theirs = ctranslate2.Translator(
            str(folder / "model"), device="cpu", compute_type="float32", intra_threads=1
        )

    def translate(self, least: int = 0, **options: Any) -> list[Any]:
        """By CTranslate2, which would have one token at least, were it not told."""
        some = [pieces(self.source, text) for text in TEXTS]
        results: list[Any] = self.theirs.translate_batch(
            some, return_scores=True, max_decoding_length=LONGEST, min_decoding_length=least, **options
        )
        return results

    def score(self, text: str, tokens: list[int]) -> float:
        """Mean log p of the tokens, and of the end token where they were not cut."""
        source = torch.tensor([[*self.source.encode(text), EOS]])
        aims = torch.tensor([[*tokens, EOS][:LONGEST]])
        inputs = torch.tensor([[BOS, *tokens][:LONGEST]])
        with torch.no_grad():
            log_p = self.ours.members[0].model(source, source != PAD, inputs).logits.log_softmax(-1)
        return float(log_p.gather(2, aims[..., None]).mean())


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.vocabulary[i] for i in tokenizer.encode(text)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_heads_joins_a_linear_map_and_a_map_with_a_vector_of_its_own(bias: bool, shift: float) -> None:
    """2 parts serve 4 heads; each part is followed by A x + b."""
    first, then = torch.nn.Linear(6, 8, bias=bias), torch.nn.Linear(4, 3)
    torch.nn.init.constant_(then.bias, shift)
    weight, vector = _heads(first, then, 2, 4)
    assert (vector is None) == (not bias and not shift)
    x = torch.randn(5, 6)
    by_part = then(first(x).unflatten(1, (2, 4)))
    expected = by_part.repeat_interleave(2, 1).flatten(1)
    torch.testing.assert_close(torch.nn.functional.linear(x, weight, vector), expected)


@pytest.mark.parametrize(
    "name",  # the scores of targets, below, are quick for all
    [pytest.param(name, marks=pytest.mark.slow if number % 2 else ()) for number, name in enumerate(ALL)],
)
def test_export_gives_our_outputs_and_scores(name: str, tmp_path: Path) -> None:
    of = ALL[name]
    refuse(of, "tests")
    both = Both(of, exported.random(of), tmp_path)
    ours = both.ours.translate(TEXTS, beam=1, max_length=LONGEST)
    for text, mine, his in zip(TEXTS, ours, both.translate(beam_size=1), strict=True):
        assert his.hypotheses[0] == [both.target.vocabulary[i] for i in mine[0].tokens]
        assert his.scores[0] == pytest.approx(both.score(text, mine[0].tokens), abs=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_export_scores_targets_as_we_do(name: str, tmp_path: Path) -> None:
    of = ALL[name]
    both = Both(of, exported.random(of), tmp_path)
    scored = both.theirs.score_batch(
        [pieces(both.source, text) for text in TEXTS], [pieces(both.target, text) for text in GIVEN]
    )
    for mine, his in zip(both.ours.score_targets(TEXTS, GIVEN), scored, strict=True):
        assert len(his.log_probs) == len(mine.tokens) + 1
        assert sum(his.log_probs) / len(his.log_probs) == pytest.approx(
            mine.log_probability / len(his.log_probs), abs=1e-4
        )


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["vaswani17", "transformer"])
def test_export_of_a_trained_model_gives_our_beams(preset: str, tmp_path: Path) -> None:
    of = exported.settings(FIRST if preset == "vaswani17" else TODAY, size=32)
    both = Both(of, exported.trained(of), tmp_path)
    ours = both.ours.translate(TEXTS, beam=5, max_length=LONGEST)
    assert [h[0].text for h in ours] == GIVEN
    for mine, his in zip(ours, both.translate(beam_size=5), strict=True):
        assert his.hypotheses[0] == both.target.subwords(mine[0].tokens)
        assert his.scores[0] == pytest.approx(mine[0].score, abs=1e-4)


@pytest.mark.parametrize("preset", ["vaswani17", "transformer", "vaswani17-paper"])
def test_export_of_transformer_presets_gives_our_outputs(preset: str, tmp_path: Path) -> None:
    """The presets with smaller sizes."""
    sizes = [
        f"model.{side}.{name}"
        for side in ("encoder", "decoder")
        for name in ("size=16", "layers=1", "feedforward=12")
    ]
    of = config.load(preset, ["model.embedding=16", *sizes])
    refuse(of, "tests")
    both = Both(of, exported.random(of), tmp_path)
    for mine, his in zip(
        both.ours.translate(TEXTS, beam=1, max_length=LONGEST), both.translate(beam_size=1), strict=True
    ):
        assert his.hypotheses[0] == both.target.subwords(mine[0].tokens)


def test_export_attention_is_that_of_the_last_layer(tmp_path: Path) -> None:
    """Without the end tokens, which CTranslate2 leaves out."""
    of = exported.settings(TODAY)
    both = Both(of, exported.random(of), tmp_path)
    for mine, his in zip(
        both.ours.translate(TEXTS, beam=1, max_length=LONGEST, min_length=3, attention="all"),
        both.translate(3, beam_size=1, return_attention=True),
        strict=True,
    ):
        last = select_attention(mine[0], layer=of.model.decoder.layers).subword_attention
        assert last is not None
        np.testing.assert_allclose(np.array(his.attention[0]), last[:-1, :-1], atol=1e-5)


@pytest.mark.slow
def test_quantization_shrinks_the_copy_and_keeps_our_weights(tmp_path: Path) -> None:
    of = exported.settings(TODAY, size=32)
    model = exported.trained(of)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for kind in ("full", "small"):
        (tmp_path / kind).mkdir()
    full, small = Both(of, model, tmp_path / "full"), Both(of, model, tmp_path / "small", quantization="int8")
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    sizes = [(tmp_path / kind / "model" / "model.bin").stat().st_size for kind in ("full", "small")]
    assert sizes[1] < 0.6 * sizes[0]
    for exact, rough in zip(full.translate(beam_size=1), small.translate(beam_size=1), strict=True):
        assert rough.hypotheses[0] == exact.hypotheses[0]
        assert rough.scores[0] == pytest.approx(exact.scores[0], abs=0.05)
        assert rough.scores[0] != exact.scores[0]


def test_export_has_positions_for_longer_sources(tmp_path: Path) -> None:
    of = exported.settings(LEARNED)
    both = Both(of, exported.random(of), tmp_path)
    (results,) = both.theirs.translate_batch(
        [pieces(both.source, "dog " * 1500)[:2200]], beam_size=1, max_decoding_length=2100, max_input_length=0
    )
    assert results.hypotheses
