"""Pairs from text of one language: what is written, what is left out, and that a stopped call continues."""

import gzip
import json
from pathlib import Path

import pytest
import tiny

import seq2attn
from seq2attn.cli import app, console
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import SearchOptions, Translator
from seq2attn.tasks import back_translation, chunks

TEXTS = [*tiny.ENGLISH[:7], "", "  ", "the cat\tsleeps", *tiny.ENGLISH[:5]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny translator from English to French."""
    return tiny.save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "mono.en"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_pairs_are_the_tagged_output_and_the_line(run: Path, text: Path, tmp_path: Path) -> None:
    done = seq2attn.back_translate(run, text, tmp_path / "pairs.tsv", best=1.0, device="cpu")
    assert done is not None
    header, *pairs = rows(tmp_path / "pairs.tsv")
    assert header == ["fr", "en"]
    lines = [" ".join(line.split()) for line in TEXTS]
    outputs = seq2attn.load(run, device="cpu").translate(lines)
    expected = [
        [f"<BT> {' '.join(some[0].text.split())}", line]
        for line, some in zip(lines, outputs, strict=True)
        if line and some[0].text.strip() and some[0].finished and some[0].text != line
    ]
    assert pairs == expected
    assert done.lines == len(TEXTS)
    assert done.pairs == len(pairs) == done.lines - sum(done.dropped.values())
    assert done.dropped["empty"] >= 2


def test_best_pairs_by_score_are_written_in_the_order_of_the_lines(
    run: Path, text: Path, tmp_path: Path
) -> None:
    seq2attn.back_translate(run, text, tmp_path / "all.tsv", best=1.0, tag="", device="cpu")
    done = seq2attn.back_translate(run, text, tmp_path / "best.jsonl", best=0.5, tag="", device="cpu")
    assert done is not None
    every = rows(tmp_path / "all.tsv")[1:]
    best = [json.loads(line) for line in (tmp_path / "best.jsonl").read_text().splitlines()]
    outputs = seq2attn.load(run, device="cpu").translate([pair[1] for pair in every])
    scores = [some[0].log_probability / (len(some[0].tokens) + 1) for some in outputs]
    assert len(best) == -(-len(every) // 2) == done.pairs
    assert done.dropped["of a low score"] == len(every) - len(best)
    assert done.threshold == pytest.approx(sorted(scores, reverse=True)[len(best) - 1])
    places = [every.index([pair["fr"], pair["en"]]) for pair in best[:7]]
    assert places == sorted(places)
    assert min(scores[place] for place in places) >= done.threshold - 1e-9


def test_samples_depend_on_the_seed_and_the_number_of_the_line(
    run: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pairs(name: str, seed: int) -> list[list[str]]:
        options = SearchOptions(sample=True, seed=seed)
        seq2attn.back_translate(run, text, tmp_path / name, best=1.0, options=options, device="cpu")
        return rows(tmp_path / name)

    one = pairs("one.tsv", 1)
    assert one != pairs("two.tsv", 2)
    monkeypatch.setattr(chunks, "LINES", 4)
    assert one == pairs("three.tsv", 1)


def test_stopped_call_continues_after_its_finished_chunks(
    run: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "LINES", 4)
    output, whole = tmp_path / "pairs.tsv", tmp_path / "whole.tsv"
    seq2attn.back_translate(run, text, whole, device="cpu")
    output.write_text("before")
    calls: list[int] = []
    translate = Translator.translate

    def failing(self: Translator, texts: list[str], *rest: object, **more: object) -> object:
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return translate(self, texts, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "translate", failing)
    with pytest.raises(KeyboardInterrupt):
        seq2attn.back_translate(run, text, output, device="cpu")
    assert output.read_text() == "before"
    assert len(list((tmp_path / "pairs.tsv.parts").glob("*.chunk"))) == 2
    seq2attn.back_translate(run, text, output, device="cpu")
    assert len(calls) == 3 + len(TEXTS) // 4 + 1 - 2  # not the two chunks that were there
    assert output.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "pairs.tsv.parts").exists()


def test_output_that_was_cut_or_is_the_line_itself_makes_no_pair(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"the same\nrain falls\nshe sings\n"))
    translate = Translator.translate

    def changed(self: Translator, texts: list[str], *rest: object, **more: object) -> object:
        import dataclasses

        results = translate(self, texts, *rest, **more)  # type: ignore[arg-type]
        texts_of = ["the same", "la pluie", "elle chante"]
        finished = [True, False, True]
        return [
            [dataclasses.replace(some[0], text=text, finished=end, tokens=[5])]
            for some, text, end in zip(results, texts_of, finished, strict=True)
        ]

    monkeypatch.setattr(Translator, "translate", changed)
    done = seq2attn.back_translate(run, [tmp_path / "a.txt.gz"], tmp_path / "out.tsv", device="cpu")
    assert done is not None
    assert done.dropped == {"cut at the maximum length": 1, "equal to the line": 1}
    assert rows(tmp_path / "out.tsv")[1:] == [["<BT> elle chante", "she sings"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "pairs.txt"}, "output pairs.txt: its name must end in .tsv or .jsonl"),
        ({"tag": "back"}, "tag back: a tag is a word of capital letters in angle brackets"),
        ({"best": 0.0}, "best 0: it must be above 0 and at most 1"),
        ({"files": []}, "files: name the text"),
        ({"files": ["-"]}, "-: no such file; the text must be in files"),
        ({"options": SearchOptions(n_best=2)}, "n_best: a line has one pair"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: dict[str, object], message: str, text: Path
) -> None:
    call = {"run": "nothing", "files": text, "output": "pairs.tsv"} | arguments
    with pytest.raises(UserError, match=message) as error:
        seq2attn.back_translate(**call)  # type: ignore[arg-type]
    assert isinstance(error.value, UsageError) or "no such file" in message


def test_tagged_pairs_are_prepared_with_a_token_for_the_tag(run: Path, text: Path, tmp_path: Path) -> None:
    seq2attn.back_translate(run, text, tmp_path / "pairs.tsv", device="cpu")
    prepared = seq2attn.prepare(tmp_path / "pairs.tsv", tmp_path / "out", valid=1, test=1, tokenizer="char")
    assert prepared.languages == ("fr", "en")
    tokenizer = prepared.source_tokenizer
    assert tokenizer.vocabulary[-1] == "▁<BT>"
    ids = tokenizer.encode("<BT> le chat")
    assert ids[0] == tokenizer.size - 1
    assert tokenizer.encode("le chat") == ids[1:]
    assert tokenizer.decode(ids) == "<BT> le chat"
    assert "sources begin with <BT>: each of these tags is a token" in prepared.report["notes"]


def test_command_writes_pairs_and_says_what_it_dropped(
    run: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "quiet", False)
    output = tmp_path / "pairs.tsv"
    call = ["back-translate", str(run), str(text), "-o", str(output), "--beam", "2", "--device", "cpu"]
    assert app.run([*call, "--tag", "<ST>", "--best", "1"]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines()[0] == f"{len(rows(output)) - 1} pairs of {len(TEXTS)} lines in {output}"
    assert "dropped, empty" in out
    assert all(row[0].startswith("<ST> ") for row in rows(output)[1:])
    assert app.run([*call[:4], str(tmp_path / "pairs.txt")]) == 2
    assert "--output" in capsys.readouterr().err
    assert back_translation.TAG == "<BT>"
