"""What transformers computes with an exported run is what we compute; other kinds of models are refused."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marian_folders
import pytest
import tiny
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))
import exported

from seq2attn.data.tokenizer import BOS, EOS, PAD, SPECIALS, UNK
from seq2attn.errors import UserError
from seq2attn.export import export_transformers
from seq2attn.export.transformers_limits import refuse
from seq2attn.inference import Translator
from seq2attn.marian.folder import import_folder

LONGEST = 12
OWN = {
    "two vocabularies": exported.settings(),
    "one vocabulary, silu": exported.settings({"activation": "silu"}, tied="all"),
    "nothing tied, gelu": exported.settings({"activation": "gelu"}, {"layers": 1}, tied="none"),
}


def texts(count: int) -> list[str]:
    return marian_folders.texts(count, seed=5)


def check(run: Path, folder: Path, count: int, *, diverse: bool = True) -> None:
    """Tokens, logits and greedy outputs."""
    translator, peer = Translator.load(run, device="cpu"), marian_folders.Peer(folder)
    encoder = peer.tokenizer.encoder
    target = getattr(peer.tokenizer, "target_encoder", None) or encoder
    places = {UNK: 1, BOS: 2, EOS: 0}
    sides = [
        places | {i: tree[name] for i, name in enumerate(one.vocabulary) if i >= len(SPECIALS)}
        for one, tree in ((translator.source_tokenizer, encoder), (translator.target_tokenizer, target))
    ]
    lines = texts(count)
    ids = [[*translator.source_tokenizer.encode(line), EOS] for line in lines]
    assert [[sides[0][i] for i in row] for row in ids] == [peer.ids(line) for line in lines]
    outputs = [output.tokens for [output] in translator.translate(lines, beam=1, max_length=LONGEST)]
    theirs = peer.greedy(lines, LONGEST)
    assert [[sides[1][token] for token in output] for output in outputs] == theirs
    assert len(set(map(tuple, outputs))) >= count // 5 or not diverse
    model = translator.members[0].model.double()
    with torch.no_grad():
        for line, row, output in list(zip(lines, ids, outputs, strict=True))[:5]:
            source = torch.tensor([row])
            ours = model(source, source != PAD, torch.tensor([[BOS, *output]])).logits[0]
            expected = peer.logits(peer.ids(line), [sides[1][token] for token in output])
            columns = sorted(sides[1], key=lambda token: sides[1][token])
            torch.testing.assert_close(ours[:, columns], expected, atol=1e-5, rtol=0)
    for output, [translation] in zip(
        theirs, translator.translate(lines, beam=1, max_length=LONGEST), strict=True
    ):
        text = peer.tokenizer.decode(output, skip_special_tokens=True, use_source_tokenizer=False)
        assert text == translation.text.strip()


@pytest.mark.parametrize("name", OWN)
def test_own_run_computes_the_same_in_transformers(name: str, tmp_path: Path) -> None:
    run = exported.save(tmp_path / "run", OWN[name], exported.random(OWN[name]))
    export_transformers(run, tmp_path / "out")
    check(run, tmp_path / "out", 15)


@pytest.mark.slow
def test_trained_run_computes_the_same_in_transformers(tmp_path: Path) -> None:
    run = exported.save(tmp_path / "run", OWN["two vocabularies"], exported.trained(OWN["two vocabularies"]))
    export_transformers(run, tmp_path / "out")
    check(run, tmp_path / "out", 50)
    translator = Translator.load(run, device="cpu")
    peer = marian_folders.Peer(tmp_path / "out")
    [[own]] = translator.translate([tiny.ENGLISH[0]], beam=1)
    assert own.text == tiny.FRENCH[0]
    [output] = peer.greedy([tiny.ENGLISH[0]], 40)
    assert peer.tokenizer.decode(output, use_source_tokenizer=False) == tiny.FRENCH[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_thousand_of_thousand_greedy_outputs_are_the_same(name: str, tmp_path: Path) -> None:
    run = exported.save(tmp_path / "run", OWN[name], exported.random(OWN[name]))
    export_transformers(run, tmp_path / "out")
    check(run, tmp_path / "out", 1000, diverse=False)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"shared": False},
        {"tied": False, "codes": True},
        {"bias": False, "scaled": False},
        {"kind": "bpe"},
    ],
)
def test_imported_run_goes_back_to_transformers(kind: dict[str, Any], tmp_path: Path) -> None:
    first = marian_folders.make(tmp_path / "a", **kind)
    run = import_folder(first, tmp_path / "run", "tests")
    export_transformers(run, tmp_path / "b")
    check(run.path, tmp_path / "b", 10, diverse=False)
    again = import_folder(tmp_path / "b", tmp_path / "again", "tests")
    lines = texts(5)
    one, two = (Translator.load(path, device="cpu").translate(lines, beam=2) for path in (run, again))
    assert [output.text for [output] in one] == [output.text for [output] in two]


def test_beam_search_of_the_folder_is_that_of_the_run(tmp_path: Path) -> None:
    settings = exported.settings(tied="all")
    run = exported.save(tmp_path / "run", settings, exported.random(settings))
    export_transformers(run, tmp_path / "out")
    tree = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (tree["num_beams"], tree["length_penalty"]) == (
        settings.search.beam,
        settings.search.length_penalty,
    )
    assert tree["bad_words_ids"] == [[2], [1]]


def refused() -> Iterator[tuple[dict[str, Any], str]]:
    yield {"prenorm": True}, 'model.encoder.prenorm="true"'
    yield {"norm": "rms"}, 'model.encoder.norm="rms"'
    yield {"positions": "rotary"}, 'model.encoder.positions="rotary"'
    yield {"positions": "learned"}, 'model.encoder.positions="learned"'
    yield {"bias": False}, 'model.encoder.bias="false"'
    yield {"activation": "swiglu"}, 'model.encoder.activation="swiglu"'
    yield {"kv_heads": 2}, 'model.encoder.kv_heads="2"'


@pytest.mark.parametrize(("stack", "name"), list(refused()))
def test_other_stacks_are_refused_by_name(stack: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError) as error:
        refuse(exported.settings(stack), "RUN")
    assert str(error.value).startswith(
        f"RUN: {name} cannot be exported to transformers: a MarianMTModel has "
    )


@pytest.mark.parametrize(
    ("attention", "name"),
    [
        ({"score": "dot"}, "model.attention.score"),
        ({"normaliser": "sparsemax"}, "model.attention.normaliser"),
        ({"heads": 2}, "model.attention.heads"),
        ({"kv_heads": 2}, "model.attention.kv_heads"),
        ({"temperature": 2.0}, "model.attention.temperature"),
        ({"window": "local-m"}, "model.attention.window"),
        ({"values": "sum"}, "model.attention.values"),
    ],
)
def test_other_attention_is_refused_by_name(attention: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError) as error:
        refuse(exported.settings(attention=attention), "RUN")
    assert error.value.setting == name


def test_other_data_and_families_are_refused_by_name() -> None:
    for settings, name in (
        (tiny.settings(), "model.encoder.kind"),
        (with_data(lowercase=True), "data.lowercase"),
        (with_data(tokenizer="word"), "data.tokenizer"),
    ):
        with pytest.raises(UserError) as error:
            refuse(settings, "RUN")
        assert error.value.setting == name


def with_data(**data: object) -> Any:
    settings = exported.settings()
    return settings.model_copy(update={"data": settings.data.model_copy(update=data)})


def test_existing_folders_are_replaced_by_force_alone(tmp_path: Path) -> None:
    settings = exported.settings()
    run = exported.save(tmp_path / "run", settings, exported.random(settings))
    out = tmp_path / "out"
    export_transformers(run, out)
    with pytest.raises(UserError, match="exists: choose another name"):
        export_transformers(run, out)
    export_transformers(run, out, force=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt too"):
        export_transformers(run, out, force=True)
