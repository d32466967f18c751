"""`align` as a user meets it: files, tabs, pipes, two directions, odd lines and wrong usage."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

import seq2attn
from seq2attn.explaining.aligner import Aligner, Direction, pharaoh
from seq2attn.inference import MAX_SOURCE
from seq2attn.runs.choice import AttentionChoice, remember

Call = Callable[..., tuple[int, bytes, str]]

SOURCES = ["the small dog", "", "rain falls", "a big cat sees the old house"]
TARGETS = ["le petit chien", "le", "la pluie tombe", "un grand chat voit la vieille maison"]


@pytest.fixture
def call(pipe: Call) -> Call:
    return lambda *arguments, text=b"": pipe("align", *arguments, text=text)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.en", tmp_path / "a.fr"
    for path, lines in zip(paths, (SOURCES, TARGETS), strict=True):
        path.write_text("".join(f"{line}\n" for line in lines))
    return paths


def lines_of(*arguments: object) -> str:
    links = Aligner(*map(Direction, arguments or [tiny.translator()])).links(SOURCES, TARGETS)  # type: ignore[arg-type]
    return "".join(f"{pharaoh(one or [])}\n" for one in links)


def test_align_writes_one_line_for_each_pair(text_run: str, call: Call, files: tuple[Path, Path]) -> None:
    code, out, err = call(text_run, "--source", files[0], "--target", files[1])
    assert (code, err) == (0, "")
    assert out.decode() == lines_of()
    assert out.decode().splitlines()[1] == ""


def test_align_reads_pairs_with_tabs_from_a_file_and_a_pipe(
    text_run: str, call: Call, tmp_path: Path
) -> None:
    text = "".join(f"{s}\t{t}\r\n" for s, t in zip(SOURCES, TARGETS, strict=True)).encode()
    (tmp_path / "pairs").write_bytes(text)
    for arguments in (["--pairs", tmp_path / "pairs"], ["--pairs", "-"], []):
        code, out, err = call(text_run, *arguments, text=text)
        assert (code, out.decode(), err) == (0, lines_of(), "")
    code, out, _ = call(text_run, text=b"the dog\tle chien\t0.7\n\n")  # more columns, an empty line
    assert code == 0
    assert out.count(b"\n") == 2
    assert call(text_run, text=b"") == (0, b"", "")


def test_align_writes_a_file(text_run: str, call: Call, files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "a.align"
    assert call(text_run, "--source", files[0], "--target", files[1], "-o", out) == (0, b"", "")
    assert out.read_text() == lines_of()


def test_align_passes_its_options_on(text_run: str, call: Call, files: tuple[Path, Path]) -> None:
    arguments = ["--source", files[0], "--target", files[1]]
    _, out, _ = call(text_run, *arguments, "--threshold", "0.2", "--shift", "1", "--layer", "1")
    want = seq2attn.align(text_run, SOURCES, TARGETS, threshold=0.2, shift=1, layer=1)
    assert out.decode() == "".join(f"{pharaoh(one or [])}\n" for one in want)
    assert out.decode() != lines_of()


def test_align_reads_a_run_as_it_remembers(
    text_run: str, call: Call, files: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(text_run, run)
    remember(run, AttentionChoice(None, None, 1))
    arguments = ["--source", files[0], "--target", files[1]]
    _, read, _ = call(run, *arguments)
    assert read == call(text_run, *arguments, "--shift", "1")[1] != call(text_run, *arguments)[1]
    assert call(run, *arguments, "--shift", "0")[1] == call(text_run, *arguments)[1]


@pytest.fixture(scope="module")
def back_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny translator from French to English."""
    import json

    path = tiny.save_run(tmp_path_factory.mktemp("runs") / "back", seed=2)
    settings = json.loads((path / "config.json").read_text())
    settings["languages"] = ["fr", "en"]
    (path / "config.json").write_text(json.dumps(settings))
    return str(path)


def test_align_joins_two_directions(
    text_run: str, back_run: str, call: Call, files: tuple[Path, Path]
) -> None:
    arguments = [text_run, "--source", files[0], "--target", files[1], "--reverse", back_run]
    results = {}
    for method in ("intersection", "union", "grow-diag-final-and"):
        code, out, err = call(*arguments, "--symmetrise", method)
        assert (code, err) == (0, "")
        results[method] = out.decode()
        want = seq2attn.align(text_run, SOURCES, TARGETS, reverse=back_run, symmetrise=method)
        assert results[method] == "".join(f"{pharaoh(one or [])}\n" for one in want)
    assert call(*arguments)[1].decode() == results["grow-diag-final-and"]
    assert len(set(results.values())) == 3


def test_align_leaves_the_line_of_a_long_pair_empty(text_run: str, call: Call) -> None:
    long = "dog " * (MAX_SOURCE + 1)
    code, out, err = call(text_run, text=f"the dog\tle chien\n{long}\tle\nthe dog\tle chien\n".encode())
    assert code == 0
    first, second, third, _ = out.decode().split("\n")
    assert first == third != ""
    assert second == ""
    assert "line 2: a side has more than 1,024 tokens: the pair is not aligned" in err


def test_align_numbers_the_pairs_over_all_blocks(
    text_run: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers seed what attention draws, and blocks may be of any size."""
    numbers = []
    links = Aligner.links

    def note(self: Aligner, sources: list[str], targets: list[str], first: int = 0) -> object:
        numbers.append((first, len(sources)))
        return links(self, sources, targets, first)

    monkeypatch.setattr(Aligner, "links", note)
    code, out, _ = call(text_run, text=b"the dog\tle chien\n" * 100)
    assert (code, out.count(b"\n")) == (0, 100)
    assert len(numbers) > 1
    assert all(a + size == b for (a, size), (b, _) in itertools.pairwise(numbers))


def test_align_writes_the_pairs_before_a_line_that_is_wrong(
    text_run: str, call: Call, files: tuple[Path, Path]
) -> None:
    code, out, err = call(text_run, text=b"the dog\tle chien\nno tab here\n")
    assert (code, out.count(b"\n")) == (1, 1)
    assert "line 2: no tab: a line is a source, a tab and a target" in err
    files[1].write_text("le petit chien\n")
    code, out, err = call(text_run, "--source", files[0], "--target", files[1])
    assert (code, out.count(b"\n"), err.count("\n")) == (1, 1, 1)
    assert f"{files[0]}: line 2 has no partner in {files[1]}" in err
    files[1].write_text("le\n" * 6)
    code, out, err = call(text_run, "--source", files[0], "--target", files[1])
    assert (code, out.count(b"\n")) == (1, 4)
    assert f"{files[1]}: line 5 has no partner in {files[0]}" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "a.en"], "--source needs --target"),
        (["--target", "a.en"], "--target needs --source"),
        (["--source", "-", "--target", "a.en"], "give --pairs -"),
        (["--source", "a.en", "--target", "-"], "give --pairs -"),
        (["--pairs", "a", "--source", "a", "--target", "b"], "--pairs and --source"),
        (["--symmetrise", "union"], "--symmetrise needs --reverse"),
        (["--layer", "2"], "--layer 2: the attention of"),
        (["--head", "2"], "--head 2: the attention of"),
        (["--threshold", "0"], "--threshold 0: a weight is more than 0"),
        (["--shift", "2"], "--shift"),
        (["--symmetrise", "both", "--reverse", "x"], "--symmetrise"),
    ],
)
def test_align_refuses_wrong_usage_in_one_line(
    text_run: str, call: Call, arguments: list[str], words: str
) -> None:
    code, out, err = call(text_run, *arguments, text=b"a\tb\n")
    assert (code, out) == (2, b"")
    assert words in err
    assert err.count("\n") == 1


def test_align_refuses_runs_that_cannot_align(text_run: str, call: Call, tmp_path: Path) -> None:
    fixed = tiny.save_run(tmp_path / "fixed", context_source="summary", query_state="current")
    code, out, err = call(fixed, text=b"a\tb\n")
    assert (code, out) == (1, b"")
    assert "fixed: has no attention to align words by" in err
    code, _, err = call(text_run, "--reverse", text_run, text=b"a\tb\n")
    assert code == 2
    assert "translates en to fr; --reverse takes a run that translates fr to en" in err
    code, _, err = call(text_run, "--pairs", "nowhere.tsv")
    assert (code, err.count("\n")) == (1, 1)
    assert "nowhere.tsv" in err
