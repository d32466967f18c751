"""`translate` as a user meets it: lines in and out, formats, absurd text, pipes, interruptions, wrong
usage.
"""

import io
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny

from seq2attn.cli import app
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats
from seq2attn.errors import UserError
from seq2attn.evaluation import text as text_scores
from seq2attn.inference import MAX_SOURCE, Translation, Translator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
Call = Callable[..., tuple[int, bytes, str]]


@pytest.fixture(scope="module")
def run(text_run: str) -> str:
    return text_run


@pytest.fixture
def call(pipe: Call) -> Call:
    """`seq2attn translate ARGUMENTS < text` in this process: exit code, stdout, stderr."""
    return lambda *arguments, text=b"": pipe("translate", *arguments, text=text)


def expected(texts: Sequence[str], **options: object) -> list[list[str]]:
    return [[t.text for t in translations] for translations in tiny.translator().translate(texts, **options)]  # type: ignore[arg-type]


TEXTS = ["the small dog", "", "rain falls", "   ", "she sings, and they listen"]
STDIN = "\n".join([*TEXTS, ""]).encode()


def test_translate_writes_one_line_per_line(run: str, call: Call) -> None:
    code, out, err = call(run, text=STDIN)
    assert (code, err) == (0, "")
    assert out.decode() == "".join(f"{best}\n" for (best,) in expected(TEXTS))
    assert out.decode().split("\n")[1] == out.decode().split("\n")[3] == ""


def test_translate_of_empty_input_writes_nothing(run: str, call: Call) -> None:
    assert call(run) == (0, b"", "")


def test_translate_reads_several_files_and_writes_a_file(run: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes("\ufeffthe small dog\r\n\r\nrain falls".encode())
    (tmp_path / "b.en").write_bytes(b"a big cat\n")
    assert call(run, tmp_path / "a.en", "-", tmp_path / "b.en", "-o", tmp_path / "out", text=b"where?") == (
        0,
        b"",
        "",
    )
    texts = ["the small dog", "", "rain falls", "where?", "a big cat"]
    assert (tmp_path / "out").read_text() == "".join(f"{best}\n" for (best,) in expected(texts))
    assert not list(tmp_path.glob(".*"))
    code, _, _ = call(run, tmp_path / "out", "-o", tmp_path / "out")  # its own input
    assert code == 0
    assert (tmp_path / "out").read_text().count("\n") == 5


def test_translate_passes_options_to_the_search(run: str, call: Call) -> None:
    for arguments, options in [
        (["--beam", 1], {"beam": 1}),
        (
            ["--beam", 3, "--n-best", 3, "--length-penalty", 0.2],
            {"beam": 3, "n_best": 3, "length_penalty": 0.2},
        ),
        (["--max-length", 4, "--min-length", 3], {"max_length": 4, "min_length": 3}),
        (
            ["--sample", "--seed", 5, "--temperature", 2, "--top-k", 9, "--top-p", 0.9],
            {"sample": True, "seed": 5, "temperature": 2.0, "top_k": 9, "top_p": 0.9},
        ),
        (["--no-repeat-ngram", 1], {"no_repeat_ngram": 1}),
        (["--set", "search.no_repeat_ngram=1"], {"no_repeat_ngram": 1}),
        (["--mbr", "chrf"], {"utility": text_scores.utility("chrf", "fr"), "samples": 32}),
        (
            ["--mbr", "bleu", "--samples", 7, "--n-best", 2, "--top-k", 9, "--seed", 3],
            {"utility": text_scores.utility("bleu", "fr"), "samples": 7, "n_best": 2, "top_k": 9, "seed": 3},
        ),
    ]:
        texts = ["the small dog", "rain falls"]
        code, out, _ = call(run, *arguments, text="\n".join(texts).encode())
        assert code == 0
        assert out.decode().split("\n")[:-1] == [text for best in expected(texts, **options) for text in best]


def test_set_changes_settings_of_the_run(run: str, call: Call) -> None:
    texts = ["the small dog", "rain falls"]
    text = "\n".join(texts).encode()
    code, out, err = call(
        run, "--set", "search.beam=3", "--set", " search.length_penalty = 0.2 ", "--n-best", 3, text=text
    )
    assert (code, err) == (0, "")
    assert out.decode().split("\n")[:-1] == [
        t for best in expected(texts, beam=3, n_best=3, length_penalty=0.2) for t in best
    ]
    changed = Translator.load(run, "cpu", settings=["model.attention.temperature=9"]).translate(texts)
    code, out, _ = call(run, "--set=model.attention.temperature=9", "--scores", text=text)
    assert [line.split("\t") for line in out.decode().split("\n")[:-1]] == [
        [f"{best.score:.4f}", best.text] for (best,) in changed
    ]
    assert out != call(run, "--scores", text=text)[1]


def test_set_refuses_a_setting_that_needs_other_weights(run: str, call: Call) -> None:
    code, out, err = call(run, "--set", "model.attention.heads=2", text=b"rain")
    assert (code, out) == (2, b"")
    assert (
        err == f"seq2attn: {run} with model.attention.heads=2: the setting changes the shape of the model's "
        "parameters, "
        "so the trained weights do not fit; leave it out, or train a new model\n"
    )


def test_translate_is_independent_of_batches_order_and_blocks(
    run: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(random.Random(n).choices(" ".join(tiny.ENGLISH).split(), k=n % 9)) for n in range(50)]
    options = (run, "--beam", 2, "--max-length", 12)
    _, whole, _ = call(*options, text="\n".join(texts).encode())
    _, single, _ = call(*options, "--batch-tokens", 1, text="\n".join(texts).encode())
    assert single == whole
    order = random.Random(7).sample(range(50), 50)
    _, shuffled, _ = call(*options, text="\n".join(texts[i] for i in order).encode())
    assert shuffled.split(b"\n")[:-1] == [whole.split(b"\n")[i] for i in order]
    monkeypatch.setattr(line_reader, "BLOCK", 5)
    monkeypatch.setattr(line_reader, "CHARACTERS", 40)
    _, trickled, _ = call(*options, text="\n".join(texts).encode())
    assert trickled == whole


def test_translate_writes_scores_and_alignments_in_columns(run: str, call: Call) -> None:
    translations = tiny.translator().translate(TEXTS)
    _, out, _ = call(run, "--scores", "--alignments", text=STDIN)
    for line, (best,) in zip(out.decode().split("\n")[:-1], translations, strict=True):
        score, text, alignment = line.split("\t")
        assert float(score) == pytest.approx(best.score, abs=1e-4)
        assert text == best.text
        assert alignment == " ".join(f"{i}-{j}" for i, j in best.alignment())
    assert call(run, "--scores", text=b"\n")[1] == b"0.0000\t\n"


def test_mbr_scores_are_mean_utilities(run: str, call: Call) -> None:
    (best, *_), _, _ = tiny.translator().translate(
        ["the small dog", "", "rain"], utility=text_scores.utility("chrf", "fr"), samples=9
    )
    options = ["--mbr", "chrf", "--samples", 9]
    _, out, _ = call(run, *options, "--scores", text=b"the small dog\n\nrain\n")
    assert out.decode().split("\n")[0] == f"{best.score:.4f}\t{best.text}"
    _, out, _ = call(run, *options, "--format", "jsonl", text=b"the small dog\n")
    record = json.loads(out)
    assert (record["score"], record["log_probability"]) == (
        round(best.score, 6),
        round(best.log_probability, 6),
    )
    assert best.score > 0 > best.log_probability


def test_n_best_writes_equally_many_lines_per_line(run: str, call: Call) -> None:
    _, out, _ = call(run, "--n-best", 3, text=b"rain\n\nthe dog\n")
    assert out.count(b"\n") == 9
    assert out.split(b"\n")[3:6] == [b"", b"", b""]


def test_moses_format_writes_n_best_lists(run: str, call: Call) -> None:
    translations = tiny.translator().translate(["rain", "", "the dog"], n_best=2)
    _, out, _ = call(run, "--n-best", 2, "--format", "moses", text=b"rain\n\nthe dog\n")
    rows = [line.split(" ||| ") for line in out.decode().split("\n")[:-1]]
    assert [(int(number), text) for number, text, _, _ in rows] == [
        (i, t.text) for i, ts in enumerate(translations) for t in ts
    ]
    for (_, _, features, score), translation in zip(
        rows, (t for ts in translations for t in ts), strict=True
    ):
        assert features.startswith("F0= ")
        assert float(features[4:]) == pytest.approx(translation.log_probability, abs=1e-3)
        assert float(score) == pytest.approx(translation.score, abs=1e-3)
    assert call(run, "--format", "moses", "--alignments", text=b"rain\n")[1].decode().count(" ||| ") == 4


def test_jsonl_format_keeps_other_keys(run: str, call: Call) -> None:
    lines = [
        '{"id": 7, "text": "rain falls", "meta": {"a": [1, "é"]}}',
        '{"text": ""}',
        "plain text",
        '{"text": 3, "id": 1}',
        '{"broken',
        '{"text": "a\\nb \\ud800"}',
        "",
    ]
    code, out, err = call(run, "--format", "jsonl", "--alignments", text="\n".join(lines).encode())
    assert code == 0
    rows = [json.loads(line) for line in out.decode().split("\n")[:-1]]
    assert rows[0]["id"] == 7
    assert rows[0]["meta"] == {"a": [1, "é"]}
    assert [row["translation"] for row in rows] == [
        best for (best,) in expected(["rain falls", "", "plain text", "", '{"broken', "a\nb \ud800"])
    ]
    assert rows[2]["text"] == "plain text"
    assert rows[3] == {
        "text": 3,
        "id": 1,
        "translation": "",
        "score": 0.0,
        "log_probability": 0.0,
        "alignment": "",
    }
    assert 'line 4: no "text"' in err
    assert "line 5: not a JSON object" in err
    _, out, _ = call(run, "--format", "jsonl", "--n-best", 2, text=lines[0].encode())
    row = json.loads(out)
    assert [best["translation"] for best in row["n_best"]] == expected(["rain falls"], n_best=2)[0]
    assert row["score"] == row["n_best"][0]["score"]


def test_prefix_option_begins_the_outputs(run: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "prefix").write_text("le chat\n\nla pluie\n")
    _, out, err = call(run, "--prefix", tmp_path / "prefix", text=b"the cat\nrain\n")
    assert out.decode().split("\n")[:-1] == [
        best for (best,) in expected(["the cat", "rain"], prefixes=["le chat", ""])
    ]
    assert out.startswith(b"le chat")
    assert "has more lines than the input" in err
    code, _, err = call(run, "--prefix", tmp_path / "prefix", text=b"a\nb\nc\nd\n")
    assert code == 1
    assert "ends before the input does (line 4)" in err


@pytest.mark.parametrize("ending", ["npz", "jsonl"])
def test_attention_option_writes_files_of_weights(run: str, call: Call, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"weights.{ending}"
    assert call(run, "--n-best", 2, "--attention", path, text=b"the small dog\n\nrain\n")[0] == 0
    translations = tiny.translator().translate(["the small dog", "", "rain"], n_best=2)
    if ending == "npz":
        with np.load(path, allow_pickle=False) as arrays:
            rows = {tuple(map(int, f"{name.split('/')[0]}.0".split(".")[:2])): {} for name in arrays}
            for name in arrays:
                rows[tuple(map(int, f"{name.split('/')[0]}.0".split(".")[:2]))][name.split("/")[1]] = arrays[
                    name
                ]  # type: ignore[index]
    else:
        rows = {(row["line"], row["rank"]): row for row in map(json.loads, path.read_text().splitlines())}
    assert sorted(rows) == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    for (line, rank), row in rows.items():
        translation = translations[line][rank]
        assert list(row["source_words"]) == translation.source_words
        assert list(row["target_subwords"]) == translation.target_subwords
        if line != 1:
            np.testing.assert_allclose(row["attention"], translation.attention, atol=1e-5)
            np.testing.assert_allclose(row["subword_attention"], translation.subword_attention, atol=1e-5)


def test_attention_option_refuses_a_model_without_attention(call: Call, tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "run", context_source="summary", context_to=["input"])
    assert call(run, text=b"rain\n")[0] == 0
    code, out, err = call(run, "--alignments", text=b"rain\n")
    assert (code, out) == (1, b"")
    assert "no attention to write" in err


HOSTILE = [
    b"",
    b" ",
    b"\t\t",
    b"\r",
    b"\x00",
    b"a\x00b\x01\x02\x1b[31m\x7f",
    b"\xff\xfe\x80 broken \xc3",
    b"\xed\xa0\x80",
    "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg".encode(),
    "مرحبا بالعالم \u202eabc\u202c".encode(),
    "שלום עולם".encode(),
    "😀👩‍👩‍👧‍👦🏳️‍🌈 e\u0301\u0302\u0303".encode(),
    b"<s> </s> <unk> <pad> <s>",
    "▁ ▁▁the▁dog ⁇ \ufdd0 \ufffe \ufeff".encode(),
    "我们在花园里".encode(),
    b"the small dog\rsleeps",
    b"||| ||| a ||| b",
    b'{"text": "not json here"}',
    b"x" * 700,
    b"the small dog " * 60,
    "\u0301".encode() * 40,
    "\u200b\u200b".encode(),
]
LONG = [
    b"the small dog " * 3600,
    b"z" * 50_000,
    "👩".encode() * 12_500,
    b" " * 50_000,
    "a\u3000".encode() * 12_500,
]


def hostile(count: int, long: int, seed: int = 1) -> list[bytes]:
    draw = random.Random(seed)
    lines = [
        draw.choice(HOSTILE)
        if draw.random() < 0.5
        else bytes(draw.choices(range(256), k=draw.randrange(40))).replace(b"\n", b"")
        for _ in range(count - long)
    ]
    lines += [LONG[i % len(LONG)] for i in range(long)]
    draw.shuffle(lines)
    return lines


@pytest.mark.parametrize(("count", "long"), [(300, 5), pytest.param(10_000, 40, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "arguments", [("--beam", 2), ("--format", "jsonl", "--beam", 1), ("--format", "moses", "--sample")]
)
def test_translate_survives_hostile_text(
    run: str, call: Call, count: int, long: int, arguments: tuple[object, ...]
) -> None:
    lines = hostile(count, long)
    code, out, err = call(run, *arguments, "--max-length", 6, text=b"\n".join(lines) + b"\n")
    assert code == 0, err
    answers = out.split(b"\n")
    assert answers.pop() == b""
    assert len(answers) == count
    assert b"\r" not in out
    out.decode()
    assert "Traceback" not in err
    for number, line in enumerate(lines, 1):
        try:
            blank = not line.decode().removesuffix("\r").strip()
        except UnicodeDecodeError:
            blank = False
            assert f"line {number}: invalid UTF-8, replaced" in err
        if blank and "--format" not in arguments:
            assert answers[number - 1] == b""
    for number, line in enumerate(lines, 1):
        if line == LONG[0]:
            assert f"line {number}: " in err
            assert f"only the first {MAX_SOURCE:,} are read" in err


def test_as_json_writes_any_depth_that_read_json_reads() -> None:
    """Some depth is just not too deep to be read, and too deep to be written."""
    found = [Translation("rain", "pluie", 0.0, 0.0)]
    for depth in range(500, 1000):
        record, _ = formats.read_json('{"text": "rain", "x": ' + "[" * depth + "]" * depth + "}")
        assert formats.as_json(record, found, 1, False).endswith("}\n")


def test_split_reads_a_nonblocking_pipe_to_its_end() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write() -> None:
        for line in (b"one\n", b"two\nth", b"ree"):
            time.sleep(0.05)
            os.write(writing, line)
        os.close(writing)

    threading.Thread(target=write).start()
    with open(reading, "rb", buffering=0) as source:
        assert [line for lines in line_reader._split(source) for line in lines] == [b"one", b"two", b"three"]


def test_line_reader_raises_errors_of_its_thread_to_the_consumer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    (tmp_path / "a").write_text("rain\n")
    monkeypatch.setattr(line_reader, "_split", exhausted)
    lines = line_reader.LineReader([str(tmp_path / "a")])
    with pytest.raises(MemoryError):
        lines.take(1)


@pytest.mark.parametrize("ending", ["npz", "jsonl"])
def test_translate_keeps_the_old_file_if_it_fails_before_the_first_line(
    run: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise UserError("no numbers")

    monkeypatch.setattr(Translator, "translate", failing)
    out, weights = tmp_path / "out", tmp_path / f"w.{ending}"
    out.write_text("of yesterday\n")
    weights.write_text("as well")
    code, _, err = call(run, "-o", out, "--attention", weights, text=b"rain\n")
    assert (code, err) == (1, "seq2attn: no numbers\n")
    assert (out.read_text(), weights.read_text()) == ("of yesterday\n", "as well")
    assert not list(tmp_path.glob(".*"))


# Pipes, in an interpreter of its own


def start(*arguments: object, **keywords: object) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    return subprocess.Popen(
        [sys.executable, "-m", "seq2attn", "translate", *map(str, arguments), "--device", "cpu"],
        env=ENVIRONMENT,
        **pipes,
    )  # type: ignore[call-overload,no-any-return]


def answer(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0], "no answer"
    return process.stdout.readline()


def test_translate_answers_each_line_before_it_waits_for_the_next(run: str) -> None:
    with start(run) as process:
        assert process.stdin is not None
        for text, (best,) in zip(TEXTS, expected(TEXTS), strict=True):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert answer(process).decode() == best + "\n"
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_translate_writes_a_partial_file_on_an_interrupt(
    run: str, tmp_path: Path, stop: signal.Signals
) -> None:
    out = tmp_path / "out"
    out.write_text("of yesterday\n")
    with start(run, "-o", out, "--attention", tmp_path / "w.npz") as process:
        assert process.stdin is not None
        process.stdin.write(b"the small dog\n")
        process.stdin.flush()
        until = time.monotonic() + 60
        while (
            not ((new := tmp_path / ".out.partial" / "new").exists() and new.read_bytes())
            and time.monotonic() < until
        ):
            time.sleep(0.05)
        process.send_signal(stop)
        assert process.wait(60) == 130
        assert process.stderr is not None
        err = process.stderr.read().decode()
    weights = tmp_path / "w.npz"
    assert err == (
        f"warning: {out}: not finished, so it is as it was; what was finished is in {out}.partial (1 line)\n"
        f"warning: {weights}: not finished, so it is not there; what was finished is in "
        f"{weights}.partial (the weights of 1 translation)\n"
        "seq2attn: interrupted\n"
    )
    assert out.read_text() == "of yesterday\n"
    assert (tmp_path / "out.partial").read_text() == expected(["the small dog"])[0][0] + "\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "out.partial", "w.npz.partial"]
    with np.load(tmp_path / "w.npz.partial", allow_pickle=False) as arrays:
        assert list(arrays["0/source_words"]) == ["the", "small", "dog"]


@pytest.mark.slow
def test_translate_ends_quietly_on_a_closed_pipe(run: str) -> None:
    with start(run, "--beam", 1, "--max-length", 2) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"rain\n")
        process.stdin.flush()
        answer(process)
        process.stdout.close()
        process.stdin.write(b"rain\n" * 100)
        process.stdin.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n-best", "6"], "--n-best 6: a beam of 5 gives at most 5"),
        (["--n-best", "3", "--beam", "2"], "a beam of 2"),
        (["--top-k", "5"], "--top-k needs --sample or --mbr"),
        (["--top-p", "0.5"], "--top-p"),
        (["--temperature", "0.5"], "--temperature"),
        (["--sample", "--temperature", "0"], "above 0"),
        (["--sample", "--temperature", "nan"], "above 0"),
        (["--sample", "--top-p", "1.5"], "at most 1"),
        (["--sample", "--beam", "4"], "leave one out"),
        (["--samples", "4"], "--samples needs --mbr"),
        (["--sample", "--samples", "4"], "--sample draws --n-best N"),
        (["--sample", "--mbr", "chrf"], "leave one out"),
        (["--mbr", "comet"], "--mbr comet: choose chrf or bleu"),
        (["--mbr", "chrf", "--samples", "1"], "samples"),
        (["--mbr", "chrf", "--beam", "4"], "--mbr and --beam: it draws samples"),
        (
            ["--mbr", "chrf", "--length-penalty", "1"],
            "--mbr and --length-penalty: it chooses by utility alone",
        ),
        (["--mbr", "chrf", "--set", "search.length_penalty=0.5"], "--mbr and --set search.length_penalty"),
        (["--mbr", "chrf", "--n-best", "33"], "--mbr draws only 32 samples"),
        (["--mbr", "chrf", "--samples", "3", "--n-best", "4"], "set --samples 4 or more"),
        (["--no-repeat-ngram", "-1"], "no-repeat-ngram"),
        (
            ["--no-repeat-ngram", "2", "--set", "search.no_repeat_ngram=2"],
            "--no-repeat-ngram and --set search.no_repeat_ngram: both are the same setting",
        ),
        (["--beam", "0"], "beam"),
        (["--beam", "many"], "beam"),
        (["--length-penalty", "-1"], "length-penalty"),
        (["--length-penalty", "nan"], "length-penalty"),
        (["--min-length", "5", "--max-length", "4"], "no length is between them"),
        (["--format", "xml"], "choose text, jsonl or moses"),
        (["--precision", "int8"], "--precision int8"),
        (["--device", "tpu"], "--device tpu"),
        (["--attention", "weights.txt"], "must end in .npz or .jsonl"),
        (["--attention", "w.npz", "-o", "w.npz"], "both would be"),
        (["--prefix", "-"], "standard input is read already"),
        (["-o", "."], "a folder"),
        (["--set", "search.beam"], "--set search.beam: write KEY=VALUE"),
        (["--set", "train.lr=1"], "--set train.lr=1: acts before or in training alone"),
        (["--set", "model.dropout=0"], "--set model.dropout=0: acts before or in training alone"),
        (
            ["--set", "search.beam=2", "--beam", "2"],
            "--beam and --set search.beam: both are the same setting",
        ),
        (["--set", "search.min_length=2", "--min-length", "2"], "--min-length and --set search.min_length"),
        (["--set", "search.beam=2", "--sample"], "--sample and --set search.beam"),
        (["--set", "search.beam=2", "--n-best", "3"], "a beam of 2"),
        (["--set", "search.max_length=4", "--min-length", "5"], "--min-length 5 and --max-length 4"),
        (["--set", "model.attention.k=2"], "run with model.attention.k=2: model.attention.k is for"),
        (["--set", "model.attention.windw=none"], "did you mean model.attention.window"),
        (["--no-such-option"], "no-such-option"),
    ],
)
def test_translate_reports_usage_errors_first_and_names_the_option(
    run: str,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    def no_reading() -> io.BytesIO:
        raise AssertionError("input was read before the options were checked")

    monkeypatch.setattr(line_reader, "LineReader", lambda *_: no_reading())
    assert app.run(["translate", run, *arguments]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert words in err.decode()
    assert err.count(b"\n") == 1


def test_translate_refuses_a_length_that_contradicts_the_run(tmp_path: Path, call: Call) -> None:
    path = tiny.save_run(tmp_path / "run")
    tree = json.loads((path / "config.json").read_text())
    tree["config"]["search"]["max_length"] = 3
    (path / "config.json").write_text(json.dumps(tree))
    (tmp_path / "out").write_text("of yesterday\n")
    code, out, err = call(path, "--min-length", 5, "-o", tmp_path / "out", text=b"rain\n")
    assert (code, out) == (2, b"")
    assert err == "seq2attn: --min-length 5 and --max-length 3: no length is between them\n"
    assert (tmp_path / "out").read_text() == "of yesterday\n"


def test_translate_reports_usage_errors_without_torch(run: str) -> None:
    for arguments in (
        [run, "--n-best", "9"],
        [run, "--top-k", "3"],
        [run, "--set", "model.attention.k=2"],
        [run + "-not", "--format", "xml"],
    ):
        code = (
            f"import sys\nfrom seq2attn.cli import app\ncode = app.run({['translate', *arguments]!r})\n"
            "print(code, 'torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True
        )
        assert done.stdout == "2 False\n"


def test_translate_names_missing_inputs_on_one_line(run: str, call: Call, tmp_path: Path) -> None:
    for arguments, words in [
        ((tmp_path / "nowhere",), "no such run directory"),
        ((run, tmp_path / "no.en"), "no.en: No such file"),
        ((run, tmp_path), "a folder, where a file of text is wanted"),
        ((run, "--prefix", tmp_path / "no.fr"), "no.fr: No such file"),
        ((run, "-o", tmp_path / "no" / "out"), "there is no folder"),
        ((tmp_path / "nowhere", "--set", "model.attention.k=2"), "no such run directory"),
    ]:
        code, out, err = call(*arguments, text=b"rain\n")
        assert (code, out, err.count("\n")) == (1, b"", 1)
        assert words in err
