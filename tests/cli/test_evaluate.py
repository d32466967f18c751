"""`evaluate` on a random model and on files: what it prints, keeps, compares and refuses."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from seq2attn import config
from seq2attn.cli import app as application
from seq2attn.evaluation import text
from seq2attn.inference import Translator
from seq2attn.runs import choice, directory
from seq2attn.runs.tensors import save_weights

ROOT = Path(__file__).parents[2]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def evaluate(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["evaluate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return evaluate


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seq2attn.data.prepare import prepare

    folder = tmp_path_factory.mktemp("corpus")
    for split, lines in (
        ("train", slice(0, 21)),
        ("valid", slice(0, 2)),
        ("test", slice(2, 7)),
        ("test_plain", slice(0, 3)),
    ):
        (folder / f"{split}.en").write_text("\n".join(tiny.ENGLISH[lines]) + "\n", encoding="utf-8")
        (folder / f"{split}.fr").write_text("\n".join(tiny.FRENCH[lines]) + "\n", encoding="utf-8")
    (folder / "test.align").write_text("0-0 1-1\n0-0\n0-0 1-1 2-2\n\n1-1\n", encoding="utf-8")
    prepare(
        str(folder),
        folder / "prepared",
        config.DataConfig(source="en", target="fr", vocab_size=60, joint=False, keep=("all",)),
    )
    for side in ("source", "target"):
        tiny.tokenizer(side).save(folder / "prepared" / f"{side}.model")  # those of the runs below
    return folder / "prepared"


def save_run(path: Path, corpus: Path, seed: int = 1, **decoder: object) -> Path:
    settings = tiny.settings(**decoder)
    files = {}
    for side in ("source", "target"):
        tiny.tokenizer(side).save(path.parent / f"{side}.bin")
        files[f"{side}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {"source_size": tiny.tokenizer("source").size, "target_size": tiny.tokenizer("target").size}
    run = directory.create(
        path, settings, **sizes, languages=("en", "fr"), tokenizers=files, corpus=str(corpus), force=False
    )
    save_weights(run, tiny.model(settings, seed))
    return path


@pytest.fixture
def run(tmp_path: Path, prepared: Path) -> Path:
    return save_run(tmp_path / "run", prepared)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    lines = {
        "good.fr": tiny.FRENCH[:7],
        "bad.fr": ["le chien " + line.split(" ", 2)[-1] for line in tiny.FRENCH[:7]],
        "ref.fr": tiny.FRENCH[:7],
        "ref2.fr": [line.upper() for line in tiny.FRENCH[:7]],
        "src.en": tiny.ENGLISH[:7],
        "short.fr": tiny.FRENCH[:6],
    }
    for name, content in lines.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in content), encoding="utf-8")
    return {name: tmp_path / name for name in lines}


# A run


def test_evaluate_prints_scores_of_a_split_with_bleu_first(call: Call, run: Path) -> None:
    code, out, err = call(run)
    assert code == 0, err
    translations = [best[0].text for best in Translator.load(run, device="cpu").translate(tiny.ENGLISH[2:7])]
    expected = text.scores(translations, [tiny.FRENCH[2:7]], "fr")
    lines = out.splitlines()
    assert lines[:3] == [str(score) for score in expected]
    assert lines[0].startswith("BLEU ")
    assert "tok:13a" in lines[0]
    assert lines[3].startswith("AER ")
    assert lines[4].startswith("perplexity ")
    assert len(lines) == 5


def test_evaluate_saves_outputs_and_scores_in_the_run(call: Call, run: Path) -> None:
    _, out, _ = call(run, "--beam", 2)
    # as with --set: scores of another search stand beside those of the run as it is
    name = "test,search.beam=2"
    scores = json.loads((run / "scores" / f"{name}.json").read_text(encoding="utf-8"))
    assert f"BLEU {scores['bleu']:.2f}  {scores['signatures']['bleu']}" == out.splitlines()[0]
    assert scores["search"] == {"beam": 2, "length_penalty": 1.0, "no_repeat_ngram": 0}
    assert set(scores["alignment"]) == {"aer", "precision", "recall", "links", "sure", "possible"}
    outputs = (run / "scores" / f"{name}.txt").read_text(encoding="utf-8").split("\n")
    assert outputs == [
        best[0].text for best in Translator.load(run, device="cpu").translate(tiny.ENGLISH[2:7], beam=2)
    ] + [""]
    call(run, "--set", "search.beam=2")
    assert {path.name for path in (run / "scores").iterdir()} == {f"{name}.json", f"{name}.txt"}


def test_report_names_the_precision_and_keeps_scores_of_each_apart(call: Call, run: Path) -> None:
    _, out, _ = call(run)
    half = call(run, "--precision", "bf16")[1]
    assert "computed in" not in out
    assert half.endswith("\ncomputed in bf16\n")
    records = {path.stem: json.loads(path.read_text()) for path in (run / "scores").glob("*.json")}
    assert {name: (record["precision"], record.get("set")) for name, record in records.items()} == {
        "test": ("fp32", None),
        "test,precision=bf16": ("bf16", {"precision": "bf16"}),
    }


def test_set_saves_scores_beside_those_of_the_unchanged_run(call: Call, run: Path) -> None:
    call(run)
    folder = run / "scores"
    own = {path.name: path.read_bytes() for path in folder.iterdir()}
    # the last is the run's own
    changes = [
        "--set",
        "model.attention.temperature=9",
        "--set",
        "search.min_length=3",
        "--set",
        "search.beam=5",
    ]
    code, out, err = call(run, *changes)
    assert code == 0, err
    assert {name: (folder / name).read_bytes() for name in own} == own
    name = "test,model.attention.temperature=9.0,search.min_length=3"
    assert {path.name for path in folder.iterdir()} == {*own, f"{name}.txt", f"{name}.json"}
    scores = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert scores["set"] == {"model.attention.temperature": 9.0, "search.min_length": 3}
    assert "set" not in json.loads(own["test.json"])
    assert f"BLEU {scores['bleu']:.2f}  {scores['signatures']['bleu']}" == out.splitlines()[0]
    changed = Translator.load(run, device="cpu", settings=changes[1::2])
    assert (folder / f"{name}.txt").read_text(encoding="utf-8") == "".join(
        best[0].text + "\n" for best in changed.translate(tiny.ENGLISH[2:7])
    )
    assert (folder / f"{name}.txt").read_bytes() != own["test.txt"]
    assert json.loads(call(run, *changes, "--json")[1]) == scores
    assert call(run, "--set", "search.beam=5")[0] == 0
    assert {path.name for path in folder.iterdir()} == {*own, f"{name}.txt", f"{name}.json"}


def test_set_saves_scores_with_any_number_of_changes(call: Call, run: Path) -> None:
    changes = [
        "search.min_length=1",
        "search.max_length=9",
        "search.beam=2",
        "search.length_penalty=0.125",
        "model.attention.score=additive",
    ]
    changes += [
        "model.attention.window=local-m",
        "model.attention.half_width=3",
        "model.attention.normaliser=hard-sample",
        "model.attention.at_inference=sample",
    ]
    changes += ["model.decoder.query_state=current"]
    for last in ("model.attention.temperature=1.25", "model.attention.temperature=1.75"):
        code, _, err = call(
            run, "--quiet", *(part for change in [*changes, last] for part in ("--set", change))
        )
        assert (code, err) == (0, "")
    scores = list((run / "scores").glob("*.json"))
    assert len(scores) == 2
    assert all(
        file.name.startswith("test,model.decoder.query_state=current,model.attention.")
        and len(file.name.encode()) < 250
        for file in scores
    )
    assert {
        json.loads(file.read_text(encoding="utf-8"))["set"]["model.attention.temperature"] for file in scores
    } == {1.25, 1.75}


def test_set_changes_every_run_of_an_ensemble(call: Call, run: Path, tmp_path: Path, prepared: Path) -> None:
    other = save_run(tmp_path / "other", prepared, seed=2)
    code, out, err = call(run, other, f"{run},{other}", "--set", "model.attention.temperature=9", "--json")
    assert code == 0, err
    assert [json.loads(line)["set"] for line in out.splitlines()] == [
        {"model.attention.temperature": 9.0}
    ] * 3
    for path in (run, other):
        assert {file.name for file in (path / "scores").iterdir()} == {
            f"test,model.attention.temperature=9.0.{ending}" for ending in ("txt", "json")
        }
    small = save_run(tmp_path / "small", prepared, gate="scalar")
    code, out, err = call(run, small, "--set", "model.decoder.gate=none")
    assert (code, out) == (2, "")
    assert (
        err == f"seq2attn: {small} with model.decoder.gate=none: the setting changes the shape of the "
        "model's parameters, "
        "so the trained weights do not fit; leave it out, or train a new model\n"
    )


def test_evaluate_computes_alignment_error_on_forced_references(call: Call, run: Path) -> None:
    from seq2attn.evaluation import alignment

    _, out, _ = call(run, "--json")
    forced = Translator.load(run, device="cpu").score_targets(tiny.ENGLISH[2:7], tiny.FRENCH[2:7])
    gold = alignment.parse_lines(["0-0 1-1", "0-0", "0-0 1-1 2-2", "", "1-1"])
    expected = alignment.score([set(translation.alignment()) for translation in forced], gold)
    assert json.loads(out)["alignment"]["aer"] == pytest.approx(expected.error_rate)
    assert expected.links == sum(len(line.split()) for line in tiny.FRENCH[2:7])


def test_evaluate_likelihood_equals_teacher_forcing(
    call: Call, run: Path, tmp_path: Path, prepared: Path, files: dict[str, Path]
) -> None:
    code, out, err = call(run)
    assert code == 0, err
    forced = Translator.load(run, device="cpu").score_targets(tiny.ENGLISH[2:7], tiny.FRENCH[2:7])
    tokens = sum(len(translation.tokens) + 1 for translation in forced)
    expected = -sum(translation.log_probability for translation in forced) / tokens
    scores = json.loads((run / "scores" / "test.json").read_text(encoding="utf-8"))
    assert scores["cross_entropy"] == pytest.approx(expected, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(expected), rel=1e-4)
    assert scores["forced"] == {"tokens": tokens, "references": 5, "left_out": 0}
    expected_line = (
        f"perplexity {scores['perplexity']:.2f}  cross-entropy {scores['cross_entropy']:.3f} nats a token  "
        f"(of the reference, {tokens:,} tokens with their end tokens)"
    )
    assert out.splitlines()[-1] == expected_line
    other = save_run(tmp_path / "other", prepared, seed=2)
    _, out, _ = call(run, f"{run},{other}", "--beam", 1)
    row = next(line.split() for line in out.splitlines() if line.split()[0] == f"{run},{other}")
    ensemble = Translator.load(f"{run},{other}", device="cpu").score_targets(
        tiny.ENGLISH[2:7], tiny.FRENCH[2:7]
    )
    assert row[-2] == f"{-sum(translation.log_probability for translation in ensemble) / tokens:.3f}"
    for name, hole in (("src.en", 2), ("ref.fr", 4)):  # of a pair with a blank side nothing is known
        lines = files[name].read_text(encoding="utf-8").split("\n")
        lines[hole] = " "
        (tmp_path / f"holes.{name}").write_text("\n".join(lines), encoding="utf-8")
    _, out, _ = call(
        run,
        "--source",
        tmp_path / "holes.src.en",
        "--reference",
        tmp_path / "holes.ref.fr",
        files["ref2.fr"],
        "--json",
    )
    assert {key: value for key, value in json.loads(out)["forced"].items() if key != "tokens"} == {
        "references": 11,
        "left_out": 3,
    }


def test_evaluate_likelihood_needs_a_model_and_a_reference(
    call: Call, run: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    record = json.loads(call("--hypotheses", files["good.fr"], "--reference", files["ref.fr"], "--json")[1])
    assert not {"perplexity", "cross_entropy", "forced"} & set(record)
    (tmp_path / "blank").write_text(" \n\n")
    (tmp_path / "two").write_text("rain\nthe dog\n")
    code, out, err = call(run, "--source", tmp_path / "two", "--reference", tmp_path / "blank")
    assert code == 0, err
    assert out.splitlines()[-1].startswith(
        "perplexity -  cross-entropy -  (of the reference, 0 tokens with their end tokens, 2 blank or "
        "too long left out)"
    )
    record = json.loads(
        call(run, "--source", tmp_path / "two", "--reference", tmp_path / "blank", "--json")[1]
    )
    assert (record["perplexity"], record["cross_entropy"]) == (None, None)


def test_evaluate_leaves_out_lines_of_invisible_characters(call: Call, run: Path, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("rain\nthe dog\n")
    (tmp_path / "unseen").write_text("\u200b\u200f\nle chien\n", encoding="utf-8")
    code, out, err = call(run, "--source", tmp_path / "two", "--reference", tmp_path / "unseen", "--json")
    assert code == 0, err
    assert json.loads(out)["forced"]["left_out"] == 1


def test_evaluate_mbr_chooses_among_samples(call: Call, run: Path) -> None:
    code, out, err = call(run, "--mbr", "chrf", "--samples", 6, "--seed", 3, "--no-repeat-ngram", 2, "--json")
    assert code == 0, err
    assert json.loads(out)["search"] == {"no_repeat_ngram": 2, "mbr": "chrf", "samples": 6}
    options = {"utility": text.utility("chrf", "fr"), "samples": 6, "seed": 3, "no_repeat_ngram": 2}
    expected = [
        best[0].text for best in Translator.load(run, device="cpu").translate(tiny.ENGLISH[2:7], **options)
    ]
    name = "test,search.no_repeat_ngram=2,mbr=chrf,samples=6.txt"
    assert (run / "scores" / name).read_text(encoding="utf-8").split("\n")[:-1] == expected


def test_evaluate_prints_several_splits_under_their_names(call: Call, run: Path) -> None:
    code, out, err = call(run, "--split", "test,test_plain")
    assert code == 0, err
    lines = out.splitlines()
    assert (lines[0], lines[1][:5], lines[6], lines[7], lines[8][:5]) == (
        "test",
        "BLEU ",
        "",
        "test_plain",
        "BLEU ",
    )
    assert "AER" not in out[out.index("test_plain") :]
    assert (run / "scores" / "test_plain.txt").is_file()


def test_evaluate_reads_source_and_reference_files(call: Call, run: Path, files: dict[str, Path]) -> None:
    code, out, err = call(
        run, "--source", files["src.en"], "--reference", files["ref.fr"], files["ref2.fr"], "--by-length"
    )
    assert code == 0, err
    assert "nrefs:2" in out.splitlines()[0]
    assert "source length" in out
    assert (run / "scores" / "src.en.txt").read_text(encoding="utf-8").count("\n") == 7


def test_evaluate_names_the_attention_that_a_run_remembers_where_it_is_scored(call: Call, run: Path) -> None:
    choice.remember(run, choice.AttentionChoice(shift=1))
    for split, noted in (("test", True), ("test_plain", False)):  # one has gold links
        code, _, err = call(run, "--split", split)
        assert code == 0, err
        assert ("read one step later, as attention.json says" in err) == noted


def test_evaluate_reads_gold_that_counts_from_one(
    call: Call, run: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "zero").write_text("0-0 1?1\n" * 7)
    (tmp_path / "one").write_text("1-1 2p2\n" * 7)
    results = []
    for gold in ([tmp_path / "zero"], [tmp_path / "one", "--gold-first", 1]):
        code, out, err = call(
            run, "--source", files["src.en"], "--reference", files["ref.fr"], "--json", "--gold", *gold
        )
        assert code == 0, err
        results.append(json.loads(out)["alignment"])
    assert results[0] == results[1]
    assert (results[0]["sure"], results[0]["possible"]) == (7, 14)


def test_evaluate_scores_a_run_without_attention_but_no_alignment(
    call: Call, tmp_path: Path, prepared: Path
) -> None:
    fixed = save_run(tmp_path / "fixed", prepared, context_source="summary", context_to=["input"])
    code, out, err = call(fixed)
    assert (code, "AER" in out) == (0, False), err
    (tmp_path / "gold").write_text("0-0\n" * 5)
    code, out, err = call(fixed, "--gold", tmp_path / "gold")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "has no attention" in err


def test_evaluate_compares_runs_with_the_first(call: Call, run: Path, tmp_path: Path, prepared: Path) -> None:
    other = save_run(tmp_path / "other", prepared, seed=2)
    code, out, err = call(run, other, run)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == [
        "system",
        "BLEU",
        "95%",
        "p",
        "chrF2",
        "95%",
        "p",
        "TER",
        "95%",
        "p",
        "AER",
        "nats/token",
        "perplexity",
    ]
    assert [line.split()[0] for line in lines[1:4]] == [str(run), str(other), str(run)]
    assert lines[1].split()[3] == "-"
    assert lines[1].split()[1] == lines[3].split()[1]
    assert "bs:1000" in lines[4]
    scores = json.loads((other / "scores" / "test.json").read_text(encoding="utf-8"))
    assert 0 <= scores["compared"]["bleu"]["p"] <= 1


def test_evaluate_scores_a_read_only_run(call: Call, run: Path) -> None:
    (run / "scores").write_text("a file")
    code, out, err = call(run)
    assert code == 0
    assert out.startswith("BLEU ")
    assert err.count("warning: ") == 1
    assert "not kept" in err


# Files alone


def test_hypotheses_are_scored_without_a_model(files: dict[str, Path]) -> None:
    arguments = ["evaluate", "--hypotheses", str(files["good.fr"]), "--reference", str(files["ref.fr"])]
    script = (
        f"import sys; sys.argv = ['seq2attn', *{arguments!r}]\nfrom seq2attn.cli.app import run\n"
        f"code = run(sys.argv[1:])\nassert not {{'torch', 'datasets', 'matplotlib'}} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("BLEU 100.00  nrefs:1|")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["BLEU", "chrF2", "TER"]


@pytest.mark.parametrize("spread", [False, True])
def test_hypotheses_and_references_accept_both_list_spellings(
    call: Call, files: dict[str, Path], spread: bool
) -> None:
    hypotheses, references = [files["good.fr"], files["bad.fr"]], [files["ref.fr"], files["ref2.fr"]]
    if spread:
        arguments = ["--hypotheses", *hypotheses, "--reference", *references]
    else:
        arguments = [
            argument
            for option, paths in (("--hypotheses", hypotheses), ("--reference", references))
            for path in paths
            for argument in (option, path)
        ]
    code, out, err = call(*arguments, "--json")
    assert code == 0, err
    good, bad = map(json.loads, out.splitlines())
    assert good["bleu"] == pytest.approx(100)
    assert bad["bleu"] < good["bleu"]
    assert bad["compared"]["bleu"]["p"] < 0.05
    assert "nrefs:2" in good["signatures"]["bleu"]


def test_language_option_overrules_the_file_ending(call: Call, tmp_path: Path) -> None:
    for name in ("hyp.zh", "ref.zh"):
        (tmp_path / name).write_text("a b c d e\n", encoding="utf-8")
    arguments = ("--hypotheses", tmp_path / "hyp.zh", "--reference", tmp_path / "ref.zh")
    assert "tok:zh" in call(*arguments)[1]
    assert "tok:13a" in call(*arguments, "--language", "en")[1]


def test_evaluate_reports_tokenized_text(call: Call, tmp_path: Path) -> None:
    for name in ("hyp", "ref"):
        (tmp_path / name).write_text("a dog sleeps .\n" * 20, encoding="utf-8")
    code, out, err = call("--hypotheses", tmp_path / "hyp", "--reference", tmp_path / "ref")
    assert (code, out.count("\n"), err.count("\n")) == (0, 3, 1)
    assert "full stop" in err


def test_evaluate_scores_an_aligner_without_a_model(call: Call, tmp_path: Path) -> None:
    (tmp_path / "gold").write_text("1-1 2p2\n1-1\n")
    (tmp_path / "giza").write_text("0-0 1-1\n0-1\n")
    assert call("--alignments", tmp_path / "giza", "--gold", tmp_path / "gold", "--gold-first", 1) == (
        0,
        "AER 40.0%  precision 66.7%  recall 50.0%\n",
        "",
    )
    (tmp_path / "nothing").write_text("\n\n")
    arguments = ("--alignments", tmp_path / "nothing", "--gold", tmp_path / "gold", "--gold-first", 1)
    assert call(*arguments) == (0, "AER 100.0%  precision –  recall 0.0%\n", "")
    assert json.loads(call(*arguments, "--json")[1])["alignment"]["precision"] is None


# What makes no sense, or is not there


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to evaluate"),
        (("--hypotheses", "good.fr"), "--hypotheses needs --reference"),
        (("run", "--reference", "ref.fr"), "--reference with RUN needs --source FILE"),
        (("run", "--source", "src.en"), "--source needs --reference"),
        (
            ("run", "--source", "src.en", "--reference", "ref.fr", "--split", "test"),
            "--reference and --split",
        ),
        (
            ("--hypotheses", "good.fr", "--reference", "ref.fr", "--by-length"),
            "--by-length with --reference needs --source FILE",
        ),
        (
            ("--hypotheses", "good.fr", "--reference", "ref.fr", "--gold", "ref.fr"),
            "--gold needs RUN or --alignments FILE",
        ),
        (("--alignments", "good.fr"), "--alignments needs --gold"),
        (("run", "--alignments", "good.fr", "--gold", "ref.fr"), "--alignments and RUN"),
        (("good.fr",), "a file, not a run"),
        (("run", "--split", "test,test_plain", "--gold", "ref.fr"), "--gold belongs to one split"),
        (("run", "--gold-first", "2"), "gold-first"),
        (("run", "--gold-first", "1"), "--gold-first needs --gold FILE"),
        (("--hypotheses", "good.fr", "--reference", "ref.fr", "--beam", "2"), "--beam needs RUN"),
        (
            ("--hypotheses", "good.fr", "--reference", "ref.fr", "--length-penalty", "0"),
            "--length-penalty needs RUN",
        ),
        (("--alignments", "good.fr", "--gold", "ref.fr", "--batch-tokens", "9"), "--batch-tokens needs RUN"),
        (("--hypotheses", "good.fr", "--reference", "ref.fr", "--set", "search.beam=2"), "--set needs RUN"),
        (
            ("run", "--beam", "2", "--set", "search.beam=2"),
            "--beam and --set search.beam: both are the same setting",
        ),
        (
            ("run", "--set", "train.label_smoothing=0"),
            "--set train.label_smoothing=0: acts before or in training alone",
        ),
        (("run", "--set", "search.beam"), "write KEY=VALUE"),
        (("run", "--beam", "0"), "beam"),
        (("run", "--samples", "9"), "--samples needs --mbr"),
        (("run", "--mbr", "ter"), "--mbr ter: choose chrf or bleu"),
        (("run", "--mbr", "chrf", "--beam", "2"), "--mbr and --beam"),
        (("run", "--mbr", "chrf", "--set", "search.beam=2"), "--mbr and --set search.beam"),
        (("run", "--mbr", "chrf", "--length-penalty", "0"), "--mbr and --length-penalty"),
        (("--hypotheses", "good.fr", "--reference", "ref.fr", "--mbr", "chrf"), "--mbr needs RUN"),
        (
            ("--hypotheses", "good.fr", "--reference", "ref.fr", "--no-repeat-ngram", "3"),
            "--no-repeat-ngram needs RUN",
        ),
        (
            ("run", "--no-repeat-ngram", "2", "--set", "search.no_repeat_ngram=3"),
            "--no-repeat-ngram and --set search.no_repeat_ngram",
        ),
        (("run", "--precision", "fp8"), "precision"),
    ],
)
def test_evaluate_refuses_contradictory_options(
    call: Call, files: dict[str, Path], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = call(*(files.get(word, word) for word in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_evaluate_refuses_contradictory_options_before_heavy_imports() -> None:
    script = (
        "import sys\nfrom seq2attn.cli.app import run\ncode = run(['evaluate', '--source', 'x', 'run'])\n"
        "assert not {'torch', 'sacrebleu', 'numpy', 'matplotlib'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--split", "tset"), "no split tset; there are"),
        (("nowhere",), "no such run directory"),
        (("run", "--data", "nowhere"), "nowhere: no such folder"),
        (("--hypotheses", "missing", "--reference", "ref.fr"), "missing: no such file"),
        (("run", "--hypotheses", "short.fr"), "short.fr has 6 lines, "),  # before the run translates
        (("run", "--hypotheses", "single"), "single has 1 line, "),
        (
            ("--hypotheses", "short.fr", "--reference", "ref.fr"),
            r"short.fr has 6 lines, the reference 7: every line needs its own",
        ),
        (("--hypotheses", "good.fr", "--reference", "ref.fr", "short.fr"), "short.fr has 6 lines"),
        (("run", "--source", "short.fr", "--reference", "ref.fr"), "short.fr has 6 lines"),
        (("--hypotheses", "latin", "--reference", "ref.fr"), "latin:1: not UTF-8"),
        (("run", "--gold", "src.en"), "src.en, line 1: 'the' is no link"),
        (("run", "--gold", "links"), "links: 2 lines of alignments for 5 pairs"),
        (("--hypotheses", "empty", "--reference", "empty"), "nothing to score"),
    ],
)
def test_evaluate_reports_missing_or_wrong_inputs_on_one_line(
    call: Call, run: Path, files: dict[str, Path], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9\n" * 7)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "links").write_bytes(b"0-0\n0-0\n")
    (tmp_path / "single").write_bytes(b"un mot\n")
    known = {**files, "run": run} | {
        name: tmp_path / name for name in ("missing", "latin", "empty", "links", "single")
    }
    code, out, err = call(*(known.get(word, word) for word in arguments))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err


def test_evaluate_warns_of_data_that_changed_since_training(
    call: Call, run: Path, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "changed")
    (tmp_path / "changed" / "source.model").write_bytes(b"another")
    tree = json.loads((run / "config.json").read_text(encoding="utf-8"))
    (run / "config.json").write_text(
        json.dumps(tree | {"corpus": str(tmp_path / "changed")}), encoding="utf-8"
    )
    assert "has changed since" in (err := call(run)[2])
    assert "; --data names another folder" in err  # a note of the library names the argument
    assert "has changed since" not in call(run, "--data", tmp_path / "changed")[2]


def test_evaluate_names_data_option_if_the_data_are_gone(call: Call, tmp_path: Path) -> None:
    lost = save_run(tmp_path / "lost", tmp_path / "gone")
    code, out, err = call(lost)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--data" in err


# What is looked at first


def without_torch(*arguments: object, code: int = 1) -> str:
    """What `evaluate` says, which ends before torch is imported."""
    words = [str(argument) for argument in arguments]
    script = (
        f"import sys\nfrom seq2attn.cli.app import run\ncode = run(['evaluate', *{words!r}])\n"
        "assert not {'torch', 'sacrebleu', 'matplotlib'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.slow
def test_evaluate_checks_names_and_kinds_before_torch_is_loaded(
    run: Path, prepared: Path, tmp_path: Path
) -> None:
    assert (
        without_torch(run, "--split", "tset")
        == f"seq2attn: {prepared}: no split tset; there are train, valid, test, test_plain\n"
    )
    assert "no split tset" in without_torch(run, "--data", prepared, "--split", "test,tset")
    assert "no split tset" in without_torch(
        "--hypotheses", run / "config.json", "--data", prepared, "--split", "tset"
    )
    assert "no such folder" in without_torch(run, "--data", tmp_path / "nowhere")
    assert "no such run directory" in without_torch(run, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "it has no config.json" in without_torch(f"{run},{tmp_path / 'empty'}")
    tree = json.loads((prepared / "prepared.json").read_text(encoding="utf-8"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "prepared.json").write_text(json.dumps(tree | {"images": True}), encoding="utf-8")
    assert "holds images, and" in without_torch(run, "--data", tmp_path / "images")
    other = tmp_path / "other"
    shutil.copytree(run, other)
    tree = json.loads((run / "config.json").read_text(encoding="utf-8"))
    tree["config"]["model"]["encoder"]["kind"] = "image"
    (other / "config.json").write_text(json.dumps(tree), encoding="utf-8")
    assert "evaluate them one by one" in without_torch(run, other, code=2)


@pytest.mark.slow
def test_evaluate_checks_the_split_before_it_prepares_a_corpus(run: Path, prepared: Path) -> None:
    tree = json.loads((run / "config.json").read_text(encoding="utf-8"))
    tree["config"]["data"] |= {"source": "en", "target": "fr"}
    for corpus, there in (
        ("phrases", "test, test_compositional, test_long, train, valid"),
        (str(prepared.parent), "test, test_plain, train, valid"),
    ):
        (run / "config.json").write_text(json.dumps(tree | {"corpus": corpus}), encoding="utf-8")
        assert (
            without_torch(run, "--split", "tset") == f"seq2attn: {corpus}: no split tset; there are {there}\n"
        )


@pytest.mark.parametrize(
    "name", ["../test", "test/../../x", "/etc", "..", ".", "te\\st", "test\0", "te\nst", ".hidden", "\ud800"]
)
def test_split_refuses_paths(call: Call, run: Path, prepared: Path, name: str) -> None:
    before = sorted(run.parent.rglob("*"))
    for where in ([], ["--data", prepared]):
        code, out, err = call(run, *where, "--split", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--split" in err
    assert sorted(run.parent.rglob("*")) == before


def test_score_names_are_safe_file_names() -> None:
    from seq2attn.tasks.score_files import _short

    for name in ("../../out", "test,model.x=/etc/passwd", "a\\b", "te\0st", "\ud800", "x" * 300, "é" * 200):
        short = _short(name)
        assert Path(short).name == short
        assert "\\" not in short
        assert short.isprintable()
        assert len(short.encode()) <= 240
    assert _short("a/b") != _short("a_b")
    assert _short("test,search.beam=2") == "test,search.beam=2"


def test_evaluate_names_a_damaged_config(call: Call, run: Path) -> None:
    for content in ("[" * 100_000, "{", "null", '{"config": 3}'):
        (run / "config.json").write_text(content, encoding="utf-8")
        code, out, err = call(run)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "config.json" in err


# Scores that say nothing, and say so


def test_evaluate_explains_scores_of_short_lines(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one two\n" * 13, encoding="utf-8")
    code, out, err = call(
        "--hypotheses",
        tmp_path / "a",
        "--reference",
        tmp_path / "a",
        "--source",
        tmp_path / "a",
        "--by-length",
    )
    assert code == 0
    assert out.splitlines()[0].startswith("BLEU 0.00  ")
    assert err.count("BLEU is not informative") == 1
    assert "no reference has four words, and BLEU counts sequences of four; use chrF2" in err
    table = out.splitlines()[-2:]
    assert table[0].split() == ["source", "length", "sentences", "BLEU", "chrF2"]
    assert table[1].split()[-2:] == ["-", "100.00"]
    (tmp_path / "b").write_text("one two three four\n" * 13, encoding="utf-8")
    code, out, err = call("--hypotheses", tmp_path / "b", tmp_path / "a", "--reference", tmp_path / "b")
    assert f"BLEU is not informative for {tmp_path / 'a'}: no output has four words" in err


@pytest.mark.parametrize("lines", ["", "\n", "one\n", "one two three four five\n", "\n\n\n"])
def test_evaluate_writes_valid_json_for_a_few_lines(call: Call, tmp_path: Path, lines: str) -> None:
    (tmp_path / "a").write_text(lines, encoding="utf-8")
    (tmp_path / "b").write_text("x\n" * lines.count("\n"), encoding="utf-8")
    for reference, systems in (("a", "ab"), ("b", "a"), ("b", "bb")):
        files = [tmp_path / system for system in systems]
        options = ["--reference", tmp_path / reference, "--source", tmp_path / "a", "--by-length"]
        code, out, err = call("--hypotheses", *files, *options, "--json")
        assert code == (0 if lines else 1), err
        for line in out.splitlines():
            json.loads(line, parse_constant=lambda name: pytest.fail(name))
        call("--hypotheses", *files, *options)


def test_evaluate_gives_no_p_value_to_systems_of_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one two three four\n", encoding="utf-8")
    (tmp_path / "b").write_text("x\n", encoding="utf-8")
    code, out, err = call("--hypotheses", tmp_path / "a", tmp_path / "b", "--reference", tmp_path / "a")
    assert code == 0
    assert "1 lines are too few for reliable values" in err
    assert out.splitlines()[2].split()[3] == "-"


def test_json_escapes_control_characters_of_names(call: Call, files: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / "a\x9b\u202eb"
    shutil.copy(files["good.fr"], odd)
    _, out, _ = call("--hypotheses", odd, "--reference", files["ref.fr"], "--json")
    assert json.loads(out)["system"] == str(odd)
    assert "\\u009b\\u202e" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"caf\xe9\n" * 7, "odd:1: not UTF-8"),
        (b"a\n" * 6 + b"\xed\xa0\xbd\n", "odd:7: not UTF-8"),
        (b"a\n" * 8, "odd has 8 lines, the reference 7"),
        (b"a" * 1_100_000 + b"\n" * 7, "odd:1: a line of more than"),
    ],
)
def test_evaluate_names_files_that_it_cannot_score(
    call: Call, files: dict[str, Path], tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "odd").write_bytes(content)
    code, out, err = call("--hypotheses", tmp_path / "odd", "--reference", files["ref.fr"])
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err


def test_evaluate_refuses_files_beyond_its_bound(
    call: Call, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.tasks import evaluation_inputs

    for name, most in (("MOST_CHARACTERS", 100), ("MOST_LINES", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(evaluation_inputs, name, most)
            code, out, err = call("--hypotheses", files["good.fr"], "--reference", files["ref.fr"])
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "too much for a test set" in err


def test_evaluate_refuses_gold_links_past_the_end_of_a_sentence(
    call: Call, run: Path, prepared: Path, tmp_path: Path
) -> None:
    from seq2attn.data.prepare import prepare

    for ending in ("en", "fr"):
        for split in ("train", "valid", "test"):
            shutil.copy(prepared.parent / f"{split}.{ending}", tmp_path / f"{split}.{ending}")
    (tmp_path / "test.align").write_text("0-0\n0-99\n\n\n\n", encoding="utf-8")
    prepare(
        str(tmp_path),
        tmp_path / "p",
        config.DataConfig(source="en", target="fr", vocab_size=60, joint=False, keep=("all",)),
    )
    code, out, err = call(run, "--data", tmp_path / "p")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "split test, line 2: the link 0-99 (counted from 0) points past the end" in err
