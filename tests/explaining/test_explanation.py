"""Explanations: each number is that of an independent call, in every family, and no request changes the model
or grows without bounds.
"""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import explained_models
import image_toy
import numpy as np
import pytest
import tiny
import torch
from explained_models import COPYING, FAMILIES, SOURCES

from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.errors import UsageError, UserError
from seq2attn.explaining.comparison import compare
from seq2attn.explaining.experiment import Experiment
from seq2attn.explaining.explained_sources import ExplainedSource
from seq2attn.explaining.explanation import Explanation, explain
from seq2attn.explaining.explanation_page import write_page
from seq2attn.explaining.output_attribution import with_attribution
from seq2attn.inference import Captioner, Translator, forced
from seq2attn.inference.confidence import NAMES
from seq2attn.inference.predictor import BANNED
from seq2attn.runs.calibration import Calibration

ALL = [*FAMILIES, *COPYING]
PARTS = ["self_attention", "candidates", "beam", "attribution", "confidence"]
TEXT = SOURCES[1]


def slow_but(quick: list[str], names: list[str]) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def logits_of(model: Translator, text: str, output: list[int]) -> torch.Tensor:
    """The logits (T, N) of each step, one step at a time."""
    net = model.models[0].eval()
    ids = torch.tensor([[*model.source_tokenizer.encode(text), EOS]])
    with torch.no_grad():
        memory = net.encoder(ids, ids > 0)
        source, state = net.decoder.project_memory(memory), net.decoder.initial_state(memory)
        rows = []
        for token in [BOS, *output]:
            step, state = net.decoder.step(torch.tensor([token]), state, source)
            rows.append(step.logits[0])
    return torch.stack(rows)


@pytest.mark.parametrize("family", slow_but(["rnn", "transformer", "conv"], ALL))
@pytest.mark.parametrize("beam", [1, 3])
def test_output_and_attention_are_those_of_translate(family: str, beam: int) -> None:
    model = explained_models.translator(family)
    for text in SOURCES[:3]:
        [[best]] = model.translate([text], beam=beam, attention="all")
        done = explain(model, text, beam=beam)
        assert done.target.ids == [*best.tokens, EOS]
        assert (done.target.text, done.target.words) == (best.text, best.target_words)
        assert list(done.source.words) == best.source_words
        assert list(done.source.subwords) == [*best.source_subwords, "</s>"]
        assert done.target.log_probability == pytest.approx(best.log_probability, abs=1e-4)
        assert best.subword_attention_heads is not None
        assert done.attention is not None
        np.testing.assert_allclose(done.attention, best.subword_attention_heads, atol=1e-5)
        sources, _ = model.encode_sources([text])
        [again] = forced.score_targets(
            model, sources, [len(sources[0][0]) + 1], [best.tokens], False, 1, 0, None
        )
        assert done.target.log_probability == pytest.approx(again.log_probability, abs=1e-5)


@pytest.mark.parametrize("family", slow_but(["rnn", "transformer"], ALL))
def test_candidates_are_the_best_of_each_step(family: str) -> None:
    model = explained_models.translator(family)
    done = explain(model, TEXT, parts=["candidates"])
    logits = logits_of(model, TEXT, done.target.ids[:-1])
    assert done.candidates is not None
    assert len(done.candidates) == len(done.target.ids)
    for step, (row, candidates) in enumerate(zip(logits.softmax(-1).tolist(), done.candidates, strict=True)):
        order = sorted(set(range(len(row))) - set(BANNED), key=lambda token: -row[token])[:8]
        assert [one.id for one in candidates] == order
        assert [one.probability for one in candidates] == pytest.approx([row[i] for i in order], abs=1e-5)
        assert [one.subword for one in candidates] == model.target_tokenizer.subwords(order)
        own = math.log(row[done.target.ids[step]])
        assert done.target.log_probabilities[step] == pytest.approx(own, abs=1e-4)


def plain_tree(model: Translator, text: str, beam: int, begin: list[int], steps: int) -> dict[Any, float]:
    """log p by (path, state) of the 2 * beam best candidates of each of the first steps, by lists."""
    alive: list[tuple[float, list[int]]] = [(0.0, [])]
    nodes = {}
    for length in range(steps):
        candidates = []
        for log_p, path in alive:
            row = logits_of(model, text, path)[-1].log_softmax(-1).tolist()
            allowed = begin[length : length + 1] or set(range(len(row))) - set(BANNED)
            candidates += [(log_p + row[token], [*path, token]) for token in allowed]
        candidates = sorted(candidates, key=lambda pair: -pair[0])[: 2 * beam]
        alive = [pair for pair in candidates if pair[1][-1] != EOS][:beam]
        for place, (log_p, path) in enumerate(candidates):
            ends = path[-1] == EOS
            state = "finished" if ends and place < beam else "pruned" if ends else "open"
            if (log_p, path) in alive:
                state = "alive"
            nodes[tuple(path), "pruned" if state == "open" else state] = log_p
    return nodes


@pytest.mark.parametrize("family", slow_but(["rnn"], ["rnn", "transformer"]))
@pytest.mark.parametrize(("beam", "begin"), [(1, []), (3, []), (3, [30, 31])])
def test_beam_is_the_tree_that_loops_search(family: str, beam: int, begin: list[int]) -> None:
    model = explained_models.translator(family)
    done = explain(model, TEXT, beam=beam, prefix=begin, parts=["beam"])
    assert done.beam is not None
    paths: list[list[int]] = []
    for node in done.beam:
        assert node.step == (1 if node.parent < 0 else done.beam[node.parent].step + 1)
        assert node.parent < 0 or done.beam[node.parent].state == "alive"
        paths.append([*(paths[node.parent] if node.parent >= 0 else []), node.id])
    # the search may end after its last step in any way: what was alive there is pruned
    last = done.beam[-1].step
    steps = range(1, last)
    own = {
        (tuple(path), node.state): node.log_probability
        for node, path in zip(done.beam, paths, strict=True)
        if node.step in steps
    }
    assert own == pytest.approx(plain_tree(model, TEXT, beam, begin, len(steps)), abs=1e-3)
    best = [node.id for node in done.beam if node.best]
    assert best == done.target.ids
    assert [node.subword for node in done.beam if node.best] == done.target.subwords


@pytest.mark.parametrize("family", slow_but(["rnn", "transformer"], list(FAMILIES)))
def test_prefix_is_forced_and_the_search_goes_on(family: str) -> None:
    model = explained_models.translator(family)
    text = "un grand"
    ids = model.target_tokenizer.encode(text)
    done = explain(model, TEXT, prefix=ids, beam=2)
    [[best]] = model.translate([TEXT], prefixes=[text], beam=2)
    assert done.target.ids[:-1] == best.tokens
    assert best.tokens[: len(ids)] == ids
    assert (done.target.forced, done.target.text) == (len(ids), best.text)
    whole = explain(model, TEXT, prefix=[*ids, EOS])
    assert whole.target.ids == [*ids, EOS]
    assert whole.target.text == text


@pytest.mark.parametrize("family", slow_but(["luong", "transformer"], list(FAMILIES)))
@pytest.mark.parametrize(
    "fields",
    [{"mask": [2, 3]}, {"attend": {"1:2": 0.9, "2:2": 0.5}}, {"uniform": "all"}, {"uniform": [[1, 1]]}],
    ids=lambda fields: next(iter(fields)),
)
def test_experiments_are_those_of_compare(family: str, fields: dict[str, Any]) -> None:
    model = explained_models.translator(family)
    attend = {(1, 2): 0.9, (2, 2): 0.5} if "attend" in fields else {}
    uniform = fields.get("uniform", ())
    pairs = uniform if isinstance(uniform, str) else [tuple(pair) for pair in uniform]
    experiment = Experiment(mask=fields.get("mask", ()), attend=attend, uniform=pairs)
    [both] = compare(model, [TEXT], experiment, attention="all")
    done = explain(model, TEXT, **fields)
    assert done.target.ids[:-1] == both.changed.tokens
    assert done.target.log_probability == pytest.approx(both.changed.log_probability, abs=1e-4)
    assert done.attention is not None
    assert both.changed.subword_attention_heads is not None
    np.testing.assert_allclose(done.attention, both.changed.subword_attention_heads, atol=1e-5)


@pytest.mark.parametrize("family", slow_but(["rnn", "transformer"], list(FAMILIES)))
@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"temperature": 0.25}, {"temperature": 0.25}),
        ({"normaliser": "sparsemax"}, {"normaliser": "sparsemax"}),
        ({"normaliser": "hard-topk", "temperature": 2}, {"normaliser": "hard-topk", "temperature": 2.0}),
    ],
    ids=["temperature", "sparsemax", "hard"],
)
def test_normaliser_is_that_of_a_model_with_the_setting(
    family: str, fields: dict[str, Any], settings: dict[str, Any]
) -> None:
    model = explained_models.translator(family)
    own = FAMILIES[family]
    other = tiny.translator(1, 1.5, **own | {"attention": own.get("attention", {}) | settings})
    [[best]] = other.translate([TEXT], attention="all")
    [[before]] = model.translate([TEXT], attention="all")
    done = explain(model, TEXT, **fields)
    assert done.target.ids[:-1] == best.tokens
    assert done.attention is not None
    assert best.subword_attention_heads is not None
    np.testing.assert_allclose(done.attention, best.subword_attention_heads, atol=1e-5)
    assert done.attention.shape != before.subword_attention_heads.shape or not np.allclose(
        done.attention, before.subword_attention_heads, atol=1e-3
    )


def test_temperature_comes_on_top_of_that_of_the_run() -> None:
    model = tiny.translator(attention={"temperature": 2.0})
    other = tiny.translator(attention={"temperature": 0.5})
    assert explain(model, TEXT, temperature=0.25).target == explain(other, TEXT).target
    both = explain(model, TEXT, temperature=0.25, normaliser="softmax", mask=[1])
    assert both.target == explain(other, TEXT, mask=[1]).target


def test_requests_leave_the_model_as_it_is() -> None:
    model = tiny.translator()
    places = [parameter.data_ptr() for parameter in model.models[0].parameters()]
    before = model.translate([TEXT], attention="all")[0][0]
    fields = {"temperature": 0.1, "normaliser": "hard-topk", "mask": [1], "attend": {"1:2": 1}}
    explain(model, TEXT, **fields, parts=PARTS)
    explain(model, TEXT, uniform="all")
    after = model.translate([TEXT], attention="all")[0][0]
    assert before == after
    np.testing.assert_array_equal(before.subword_attention_heads, after.subword_attention_heads)
    assert all(module.training for module in model.models[0].modules())
    assert places == [parameter.data_ptr() for parameter in model.models[0].parameters()]
    assert all(parameter.requires_grad for parameter in model.models[0].parameters())


def test_self_attention_is_that_of_its_own_call() -> None:
    model = explained_models.translator("transformer")
    done = explain(model, TEXT, parts=["self_attention"])
    own = model.self_attention(TEXT, done.target.text)
    assert model.target_tokenizer.encode(done.target.text) == done.target.ids[:-1]
    np.testing.assert_allclose(done.encoder_self_attention, own.encoder, atol=1e-6)
    np.testing.assert_allclose(done.decoder_self_attention, own.decoder, atol=1e-6)
    recurrent = explain(explained_models.translator("rnn"), TEXT, parts=["self_attention"])
    assert recurrent.encoder_self_attention is recurrent.decoder_self_attention is None
    assert recurrent.to_dict()["self_attention"] is None


def test_attribution_is_integrated_gradients_between_words() -> None:
    model = explained_models.translator("rnn")
    [[best]] = model.translate([TEXT])
    done = explain(model, TEXT, parts=["attribution"])
    np.testing.assert_allclose(
        done.attribution, with_attribution(model, best, "integrated").attention, atol=1e-5
    )
    assert explain(model, TEXT, mask=[1], parts=["attribution"]).attribution is None


def test_confidence_is_that_of_translate(tmp_path: Path) -> None:
    model = tiny.translator()
    assert explain(model, TEXT, parts=["confidence"]).confidence is None  # it has no run
    (tmp_path / "confidence.json").touch()
    count = len(NAMES)
    numbers = tuple(0.1 * place for place in range(count))
    model.run, model._calibration = tmp_path, Calibration(NAMES, numbers, (1.0,) * count, numbers, 0.2, 500)
    [[best]] = model.translate([TEXT], confidence=True)
    done = explain(model, TEXT, parts=["confidence"])
    np.testing.assert_allclose(done.confidence, best.confidence, atol=1e-6)
    assert explain(model, TEXT, temperature=0.5, parts=["confidence"]).confidence is None


def test_answer_is_json_whose_sizes_agree() -> None:
    model = explained_models.translator("transformer")
    tree = json.loads(json.dumps(explain(model, TEXT, run="mine", beam=2, parts=PARTS).to_dict()))
    source, target, attention = tree["source"], tree["target"], tree["attention"]
    steps, positions = len(target["ids"]), len(source["subwords"])
    assert (tree["format"], tree["run"], tree["kind"], tree["languages"]) == (
        1,
        "mine",
        "transformer",
        ["en", "fr"],
    )
    assert len(target["subwords"]) == len(target["word_of"]) == len(target["log_probabilities"]) == steps
    assert len(source["word_of"]) == positions
    assert source["word_of"][-1] == -1
    assert source["words"] == TEXT.split()
    assert max(source["word_of"]) == len(source["words"]) - 1
    assert np.shape(attention["weights"]) == (attention["layers"], attention["heads"], steps, positions)
    np.testing.assert_allclose(np.sum(attention["weights"], -1), 1, atol=1e-2)
    own = tree["self_attention"]
    assert np.shape(own["encoder"])[-2:] == (positions, positions)
    assert np.shape(own["decoder"])[-2:] == (steps, steps)
    assert np.shape(tree["attribution"]["weights"]) == (len(target["words"]), len(source["words"]))
    assert set(tree["beam"]["nodes"][0]) == {
        *("parent", "step", "id", "subword", "log_probability", "state", "best")
    }
    assert set(tree["candidates"][0][0]) == {"id", "subword", "probability"}


def captioner(clips: bool) -> Captioner:
    changes = ["model.encoder.max_frames=6"] if clips else []
    tree = image_toy.settings("model.decoder.size=32").model_dump(mode="json")
    config.assign_all(tree, changes)
    of = config.validate(tree, "test")
    model = image_toy.model(of, image_toy.tokenizer().size, 4, 2.0)
    return Captioner(model, image_toy.tokenizer(), of, languages=(None, "en"))


@pytest.mark.parametrize("clips", [False, True], ids=["image", "clip"])
def test_captions_are_explained_by_cells_or_frames(clips: bool, tmp_path: Path) -> None:
    model = captioner(clips)
    contents = image_toy.image(3, frames=4 if clips else 1).content()
    if clips:
        path = tmp_path / "clip"
        path.mkdir()
        for number, content in enumerate(contents):
            (path / f"{number}.png").write_bytes(content)
        image: Any = path
    else:
        [image] = contents
    [[best]] = model.caption([image], attention="all", beam=2)
    done = explain(model, image, beam=2, parts=PARTS)
    assert (done.target.ids[:-1], done.target.text) == (best.tokens, best.text)
    np.testing.assert_allclose(done.attention, best.subword_attention_heads, atol=1e-5)
    source = done.to_dict()["source"]
    assert source["grid"] == (None if clips else list(best.grid or ()))
    assert source["frames"] == (4 if clips else None)
    assert done.candidates
    assert done.beam
    colder = explain(model, image, beam=2, temperature=0.05)
    assert colder.attention.max(-1).mean() > done.attention.max(-1).mean()
    places = done.attention.shape[-1]
    hidden = explain(model, image, beam=2, mask=[1, places])
    assert hidden.attention[..., [0, -1]].max() == 0
    np.testing.assert_allclose(hidden.attention.sum(-1), done.attention.sum(-1), atol=1e-5)
    read = explain(model, image, beam=2, attend={"1:2": 1.0}, uniform=[(1, 1)])
    np.testing.assert_allclose(read.attention[:, :, 0, 1], 1, atol=1e-5)
    np.testing.assert_allclose(read.attention[0, 0, 1:], 1 / places, atol=1e-5)
    again = explain(model, image, beam=2)
    np.testing.assert_array_equal(again.attention, done.attention)
    unit = "frames" if clips else "cells"
    unit = "frames" if clips else "cells"
    with pytest.raises(UsageError, match=f"^mask 99: the source has {places} {unit}"):
        explain(model, image, mask=[99])
    pictures = explain(model, image, parts=["picture"]).source.pictures
    assert len(pictures) == (4 if clips else 1)
    assert pictures[0].startswith("data:image/png;base64,")


REFUSED = {
    "colour": ({"colour": 1}, "colour: there is no such field; choose prefix, beam"),
    "beam": ({"beam": 9}, "beam 9: at most 8"),
    "no beam": ({"beam": True}, "beam True: a whole number from 1"),
    "huge": ({"beam": 10**400}, "beam 10\\*\\*30 or more: too large a number"),
    "prefix": ({"prefix": [10**6]}, "prefix 1000000: the vocabulary has"),
    "negative": ({"prefix": [-1]}, "prefix -1: a whole number from 0"),
    "start token": ({"prefix": [BOS]}, "prefix 2: no output holds <s> there"),
    "end inside": ({"prefix": [EOS, 9]}, "prefix 3: no output holds </s> there"),
    "long prefix": ({"prefix": [9] * 200}, "prefix: 200 tokens, and an output has at most"),
    "endless prefix": ({"prefix": [9] * 10**6}, "prefix: 1,000,000 values, and at most 266 are taken"),
    "no list": ({"mask": "12"}, "mask 12: a list is needed"),
    "mask": ({"mask": [99]}, "mask 99: the source has"),
    "all masked": ({"mask": list(range(1, 9))}, "mask"),
    "attend": ({"attend": {"1": 0.5}}, "attend 1: a key is"),
    "attend twice": ({"attend": {"1:2:3": 0.5}}, "attend 1:2:3: a key is"),
    "attend text": ({"attend": {"1:2": "much"}}, "attend 1:2: its weight is no number"),
    "attend weight": ({"attend": {"1:2": 1.5}}, "attend 1:2=1.5: a weight is from 0 to 1"),
    "uniform": ({"uniform": [[1]]}, "uniform: give pairs"),
    "uniform head": ({"uniform": [[1, 9]]}, "uniform 1.9: the attention has one head"),
    "cold": ({"temperature": 0}, "temperature 0: a number from 0.01 to 100"),
    "nan": ({"temperature": math.nan}, "temperature nan: a number"),
    "text temperature": ({"temperature": "warm"}, "temperature warm: a number"),
    "normaliser": ({"normaliser": "softest"}, "normaliser softest: choose softmax"),
    "parts": ({"parts": ["everything"]}, "parts everything: choose self_attention"),
    "parts text": ({"parts": "beam"}, "parts beam: a list is needed"),
}


@pytest.fixture(scope="module")
def model() -> Translator:
    return tiny.translator()


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_make_no_sense_are_refused_by_name(name: str, model: Translator) -> None:
    fields, message = REFUSED[name]
    with pytest.raises(UsageError, match=f"^{message}") as error:
        explain(model, TEXT, **fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [(" \n", "text: it is blank"), ("a dog " * 500, "text: it has .* subwords, and"), (7, "text is of type")],
)
def test_texts_that_cannot_be_explained_are_refused(text: Any, message: str, model: Translator) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        explain(model, text)


def test_models_that_cannot_be_explained_are_refused() -> None:
    without = tiny.translator(context_source="summary", query_state="current")
    done = explain(without, TEXT, parts=PARTS)
    assert done.attention is None
    assert done.to_dict()["attention"] is None
    assert done.beam
    with pytest.raises(UsageError, match=r"^temperature: the model has no attention"):
        explain(without, TEXT, temperature=2)
    of = tiny.settings()
    both = Translator(
        tiny.model(of), tiny.tokenizer(), tiny.tokenizer("target"), of, others=tiny.translator(2).members
    )
    with pytest.raises(UsageError, match=r"^run: an explanation is of one run"):
        explain(both, TEXT)
    broken = tiny.translator()
    with torch.no_grad():
        broken.models[0].decoder.output.bias.fill_(math.nan)
    with pytest.raises(UserError, match="probabilities are not numbers"):
        explain(broken, TEXT)


def test_explanation_is_exported() -> None:
    import seq2attn

    assert seq2attn.explain is explain
    assert seq2attn.Explanation is Explanation


def test_page_holds_the_explanations(tmp_path: Path) -> None:
    model, path = tiny.translator(), tmp_path / "page.html"
    done = [explain(model, text, run="one") for text in SOURCES[:2]]
    write_page(done, path)
    page = path.read_text(encoding="utf-8")
    [(data,)] = [match.groups() for match in re.finditer(r'id="answers">(.*)</script>', page)]
    assert json.loads(data) == [one.to_dict() for one in done]
    for wrong, message in [
        ([], "there are 0 explanations"),
        (done * 2, "two explanations are of run 'one'"),
        ([replace(done[0], source=ExplainedSource(fit="crop"))], 'needs its part "picture"'),
    ]:
        with pytest.raises(UsageError, match=message):
            write_page(wrong, path)
    assert path.read_text(encoding="utf-8") == page
