"""`audit` on random models: what it prints, writes, remembers and refuses, for texts, images and clips."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_captions
from explained_models import FAMILIES
from page_reader import answers

import seq2attn
from seq2attn import config
from seq2attn.cli import app as application
from seq2attn.data.prepared import Prepared
from seq2attn.inference import Translator
from seq2attn.inference.attention_weights import select
from seq2attn.runs import directory
from seq2attn.runs.choice import AttentionChoice, remember, remembered
from seq2attn.runs.tensors import save_weights

Call = Callable[..., tuple[int, str, str]]
GOLD = "0-0 1-1\n0-0\n0-0 1-1 2?2\n0-0\n1-1\n"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def audit(*arguments: object, command: str = "audit") -> tuple[int, str, str]:
        code = application.run([command, *map(str, arguments), "--device", "cpu"])
        out, err = capsys.readouterr()
        return code, out, err

    return audit


def prepare(folder: Path, gold: str | None = GOLD) -> Path:
    from seq2attn.data.prepare import prepare as prepare_folder

    folder.mkdir()
    for split, lines in (("train", slice(0, 21)), ("valid", slice(0, 5)), ("test", slice(2, 7))):
        (folder / f"{split}.en").write_text("\n".join(tiny.ENGLISH[lines]) + "\n", encoding="utf-8")
        (folder / f"{split}.fr").write_text("\n".join(tiny.FRENCH[lines]) + "\n", encoding="utf-8")
        if gold is not None and split != "train":
            (folder / f"{split}.align").write_text(gold, encoding="utf-8")
    prepare_folder(
        str(folder),
        folder / "prepared",
        config.DataConfig(source="en", target="fr", vocab_size=60, joint=False, keep=("all",)),
    )
    for side in ("source", "target"):
        tiny.tokenizer(side).save(folder / "prepared" / f"{side}.model")  # those of the runs below
    return folder / "prepared"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("data") / "corpus")


def save_run(path: Path, corpus: Path, sides: tuple[str, str] = ("source", "target"), **parts: Any) -> Path:
    settings = tiny.settings(**parts)
    files = {}
    for name, side in zip(("source", "target"), sides, strict=True):
        tiny.tokenizer(side).save(path.parent / f"{side}.bin")
        files[f"{name}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {"source_size": tiny.tokenizer("source").size, "target_size": tiny.tokenizer("target").size}
    languages = ("en", "fr") if sides[0] == "source" else ("fr", "en")
    run = directory.create(
        path, settings, **sizes, languages=languages, tokenizers=files, corpus=str(corpus), force=False
    )
    save_weights(run, tiny.model(settings))
    return path


@pytest.fixture
def run(tmp_path: Path, prepared: Path) -> Path:
    return save_run(tmp_path / "run", prepared, **FAMILIES["transformer"])


def test_audit_prints_what_it_found_and_a_row_for_each_method(call: Call, run: Path, tmp_path: Path) -> None:
    code, out, err = call(run, "-o", tmp_path / "page.html")
    assert code == 0, err
    first, *_ = lines = out.splitlines()
    assert re.match(
        r"(layer|the mean).*aligns best: [0-9.]+% \(.*\); the mean that is shown by default", first
    )
    names = [line.split("  ")[0] for line in lines]
    for name in (
        *("attention mean written", "attention 2.1 read", "attention 1.mean read", "random"),
        *("input x gradient", "integrated gradients", "occlusion"),
    ):
        assert name in names
    assert "hide k: nats of log p" in err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 1 + 2 * (1 + 2 * 3) + 4
    assert first in page.replace("&#x27;", "'")
    assert "src=" not in page
    assert "://" not in page
    assert "prefers-color-scheme: dark" in page


def test_audit_prints_json_with_the_figures_of_evaluate(call: Call, run: Path) -> None:
    code, out, err = call(run, "--json", "-q")
    assert (code, err) == (0, "")
    record = json.loads(out)
    methods = {one["method"]: one for one in record["methods"]}
    _, out, _ = call(run, "--json", command="evaluate")
    expected = json.loads(out)["alignment"]["aer"]
    assert methods["attention mean written"]["aer_arg_max"] == pytest.approx(expected, abs=1e-6)
    best = min((one for one in methods.values() if one["choice"]), key=lambda one: one["aer_valid"])
    assert record["best"] == best["choice"]
    assert record["pairs"] == 5
    assert json.loads(call(run, "--json", "-q")[1]) == record


def test_remember_makes_the_run_show_the_best_attention(call: Call, run: Path) -> None:
    record = json.loads(call(run, "--json", "-q", "--remember")[1])
    choice = remembered(run)
    assert choice is not None
    assert choice._asdict() == record["best"]
    code, out, err = call(run, "--json", command="evaluate")
    assert code == 0
    assert f"the attention is that of {choice}" in err
    row = next(one for one in record["methods"] if one["choice"] == record["best"])
    assert json.loads(out)["alignment"]["aer"] == pytest.approx(row["aer_arg_max"], abs=1e-6)
    again = json.loads(call(run, "--json", "-q")[1])
    assert again["default"] == record["best"]
    assert "what the run remembers" in again["sentences"][0]


@pytest.mark.parametrize(
    "choice", [AttentionChoice(2, 1, 0), AttentionChoice(1, None, 1), AttentionChoice(None, None, 1)]
)
def test_remembered_choice_is_what_translations_show(run: Path, choice: AttentionChoice) -> None:
    before = seq2attn.load(run, device="cpu").translate(tiny.ENGLISH[:3], attention="all")
    remember(run, choice)
    model = seq2attn.load(run, device="cpu")
    for attention in (True, "all"):
        after = model.translate(tiny.ENGLISH[:3], attention=attention)
        for [old], [new] in zip(before, after, strict=True):
            assert new.text == old.text
            assert (new.attention_heads is None) == (attention is True)
            own = select(old.subword_attention_heads, choice.layer, choice.head)
            expected = np.concatenate([own[1:], own[-1:]]) if choice.shift else own
            np.testing.assert_allclose(new.subword_attention, expected, atol=1e-6)
    texts = tiny.ENGLISH[:3], [one[0].text for one in before]
    forced, of_heads = model.score_targets(*texts), model.score_targets(*texts, attention="all")
    assert all(one.attention is not None for one in forced)
    for one, whole in zip(forced, of_heads, strict=True):
        own = select(whole.subword_attention_heads, choice.layer, choice.head)
        expected = np.concatenate([own[1:], own[-1:]]) if choice.shift else own
        np.testing.assert_allclose(one.subword_attention, expected, atol=1e-6)


def test_remembered_choice_is_noted_where_attention_is_written(call: Call, run: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("the small dog\n")
    _, plain, _ = call(run, tmp_path / "text", "--alignments", command="translate")
    remember(run, AttentionChoice(2, 2, 1))
    code, other, err = call(run, tmp_path / "text", "--alignments", command="translate")
    assert code == 0
    assert "layer 2, head 2, read one step later" in err
    assert other.split("\t")[0] == plain.split("\t")[0]
    code, _, err = call(run, "the small dog", command="plot-alignment")
    assert "layer 2, head 2, read one step later" in err
    assert "read one step later" not in call(run, "the small dog", "--head", 1, command="plot-alignment")[2]


def test_reverse_run_agrees_and_gives_links_of_both(
    call: Call, run: Path, prepared: Path, tmp_path: Path
) -> None:
    back = save_run(tmp_path / "back", prepared, ("target", "source"))
    record = json.loads(call(run, "--json", "-q", "--reverse", back)[1])
    assert record["reverse_choice"] is not None
    own = [one for one in record["methods"] if one["choice"]]
    assert all(0 <= one["agreement"] <= 1 for one in own)


def test_audit_without_gold_links_says_so(call: Call, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", prepare(tmp_path / "plain", None))
    code, out, _ = call(run)
    assert code == 0
    assert "best by faithfulness: there are no gold links" in out
    assert "AER" not in out


@pytest.mark.slow
def test_audit_of_images_points(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_captions.prepare(tmp_path / "bars", monkeypatch)
    run = tiny_captions.save_run(tmp_path / "run", data)
    code, out, err = call(run, "--json", "-q", "--remember")
    assert code == 0, err
    record = json.loads(out)
    written = record["methods"][0]
    _, out, err = call(run, "--json", "--set", "search.beam=1", command="evaluate")
    row = next(one for one in record["methods"] if one["choice"] == record["best"])
    assert json.loads(out)["pointing"]["accuracy"] == pytest.approx(row["pointing"]["accuracy"], abs=1e-6)
    assert written["end"] == 0
    assert "hiding 10% of the cells" in " ".join(record["sentences"]) or "the cell" in " ".join(
        record["sentences"]
    )


@pytest.mark.slow
def test_audit_of_clips(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_captions.prepare(tmp_path / "clips", monkeypatch, tiny_captions.corpus(clips=True))
    encoder: dict[str, object] = {"temporal": "rnn", "max_frames": 2}
    run = tiny_captions.save_run(tmp_path / "run", data, encoder=encoder)
    code, out, err = call(run, "--json", "-q")
    assert code == 0, err
    assert json.loads(out)["hidden_by"] == "the mean of the features of the image"
    averaged = tiny_captions.save_run(tmp_path / "mean", data, encoder=encoder | {"temporal": "mean"})
    code, _, err = call(averaged)
    assert (code, err.count("\n")) == (1, 1)
    assert "no attention to audit" in err


def test_audit_of_a_run_that_copies(call: Call, prepared: Path, tmp_path: Path) -> None:
    code, out, err = call(save_run(tmp_path / "copies", prepared, pointer=True), "--json", "-q")
    assert code == 0, err
    assert {"occlusion", "integrated gradients"} <= {row["method"] for row in json.loads(out)["methods"]}


def test_audit_refuses_what_it_cannot_do(call: Call, run: Path, prepared: Path, tmp_path: Path) -> None:
    fixed = save_run(tmp_path / "fixed", prepared, context_source="summary", context_to=["input"])
    bad = prepare(tmp_path / "base", "1-1 9-2\n" * 5)
    for arguments, problem in (
        ((fixed,), "has no attention to audit (model.decoder.context_source is summary)"),
        ((f"{run},{run}",), "an audit is of one run"),
        ((run, "--data", bad), "points past the end"),
        ((run, "--data", tmp_path / "none"), "no such folder"),
        ((run, "--split", "tset"), "no split tset"),
        ((run, "--split", "valid"), "the audit chooses on it"),
        ((run, "--reverse", run), "takes a run that translates fr to en"),
        ((run, "--reverse", fixed), "has no attention to audit"),
        ((run, "-o", tmp_path / "page.txt"), "must end in .html"),
        ((tmp_path / "nothing",), "no such run"),
    ):
        code, out, err = call(*arguments)
        assert code in (1, 2), arguments
        assert out == ""
        assert problem in err
        assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"layer": 1}',
        '{"layer": 0, "head": null, "shift": 0}',
        '{"layer": true, "head": null, "shift": 0}',
        '{"layer": 1, "head": null, "shift": 2}',
        '{"layer": 1, "head": NaN, "shift": 1}',
    ],
)
def test_damaged_choice_is_one_line(call: Call, run: Path, text: str) -> None:
    (run / "attention.json").write_text(text)
    code, _, err = call(run, "the dog", command="plot-alignment")
    assert (code, err.count("\n")) == (1, 1)
    assert "attention.json: damaged" in err


def test_damaged_choice_stops_neither_an_audit_nor_a_translation(call: Call, run: Path) -> None:
    for text in ("garbage", '{"layer": 9, "head": 1, "shift": 0}'):
        (run / "attention.json").write_text(text)
        code, _, err = call(run, "--limit", 2, "-q")
        assert code == 0, err
        assert "attention.json" in err
        assert "--remember" in err
        assert Translator.load(run, device="cpu").translate(["the dog"], attention=False)
    code, _, err = call(run, "--limit", 2, "-q", "--remember")
    assert (code, "attention.json: damaged" in err) == (0, False)
    assert remembered(run) is not None


def test_choice_of_a_head_that_is_not_there_is_refused(call: Call, run: Path) -> None:
    remember(run, AttentionChoice(2, 9, 0))
    code, _, err = call(run, "the dog", command="plot-alignment")
    assert (code, err.count("\n")) == (1, 1)
    assert "head 9, and the attention has 2 heads" in err


def test_audit_in_python_gives_a_report(run: Path) -> None:
    report = seq2attn.audit(run, device="cpu", limit=3)
    assert isinstance(report, seq2attn.AuditReport)
    assert report.audit.pairs == 3
    assert report.to_markdown().count("\n") == 1 + 2 * (1 + 2 * 3) + 4
    with pytest.raises(seq2attn.UsageError, match="limit 0"):
        seq2attn.audit(run, limit=0)
    for function in (seq2attn.audit, seq2attn.calibrate):
        with pytest.raises(seq2attn.UsageError, match=r"limit 2\.5: it must be a whole number"):
            function(run, limit=2.5)  # type: ignore[operator]


def test_page_of_a_pair_has_its_gold_links(call: Call, run: Path, prepared: Path, tmp_path: Path) -> None:
    page, number = tmp_path / "pair.html", ("--data", prepared, "--number", 3)
    assert call(run, *number, "--reference", 1, "-o", page, command="plot-alignment")[0] == 0
    [answer] = answers(page)
    source, target = (answer[side]["words"] for side in ("source", "target"))
    [words], [forced] = Prepared(prepared).split("test").texts(2, 3)
    assert (answer["label"], answer["target"]["text"]) == (words, forced)
    linked = {name: [(source[i], target[j]) for i, j in links] for name, links in answer["links"].items()}
    words, forced = words.split(), forced.split()
    assert linked == {"sure": [(words[i], forced[i]) for i in (0, 1)], "possible": [(words[2], forced[2])]}
    assert call(run, *number, "-o", page, command="plot-alignment")[0] == 0
    assert ("links" in answers(page)[0]) == (answers(page)[0]["target"]["text"].split() == forced)
    for wrong, message in (
        (("--data", prepared, "--number", 99), "--number 99: test of"),
        (("--data", prepared, "--reference", 2), "a pair of texts has one target"),
    ):
        code, _, err = call(run, *wrong, command="plot-alignment")
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
