"""`translate` of text as it comes: sentences, glossary, items and unread words on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

Call = Callable[..., tuple[int, bytes, str]]
LINE = "The small dog sleeps. Where is the cat?"


@pytest.fixture
def call(pipe: Call, text_run: str) -> Call:
    return lambda *arguments, text=b"": pipe("translate", text_run, *arguments, text=text)


def test_translate_splits_lines_and_keeps_their_number(call: Call) -> None:
    expected = tiny.translator().translate_lines([LINE, "", "rain"], sentences="split")
    code, out, err = call("--sentences", "split", text=f"{LINE}\n\nrain\n".encode())
    assert (code, err) == (0, "")
    assert out.decode().split("\n") == [*(best.text for best, *_ in expected), ""]


def test_translate_writes_terms_items_and_unread_words(call: Call, tmp_path: Path) -> None:
    (tmp_path / "terms.tsv").write_text("dog\tchat\n")
    flags = ("--glossary", tmp_path / "terms.tsv", "--protect", "--coverage")
    [[best]] = tiny.translator().translate_lines(["the dog sees {x}"], glossary={"dog": "chat"}, protect=True)
    code, out, err = call(*flags, text=b"the dog sees {x}")
    assert (code, err) == (0, "")
    unread = " ".join(f"{number}:{best.source_words[number]}" for number in best.unread())
    assert out.decode() == f"{best.text}\t{unread}\n"
    assert "chat" in best.text
    assert "{x}" in best.text
    _, out, _ = call(*flags, "--format", "jsonl", text=b'{"text": "the dog sees {x}", "id": 1}')
    tree = json.loads(out)
    assert (tree["id"], tree["translation"], tree["unread"]) == (1, best.text, best.unread())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--glossary", "TERMS", "--sample"], "--glossary and --sample"),
        (["--glossary", "TERMS", "--confidence"], "--glossary and --confidence"),
        (["--protect", "--confidence"], "--protect and --confidence"),
        (["--coverage", "--format", "moses"], "--coverage and --format moses"),
        (["--sentences", "split", "--mask-source", "1"], "--sentences and --mask-source"),
        (["--glossary", "none.tsv"], "none.tsv"),
        (["--sentences", "two"], "two"),
    ],
)
def test_translate_refuses_by_name(call: Call, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "terms.tsv").write_text("dog\tchat\n")
    code, out, err = call(
        *(str(tmp_path / "terms.tsv") if one == "TERMS" else one for one in arguments), text=b"a"
    )
    assert code in (1, 2)
    assert (out, err.count("\n")) == (b"", 1)
    assert words in err


def test_translate_names_the_line_of_a_bad_glossary(call: Call, tmp_path: Path) -> None:
    (tmp_path / "terms.tsv").write_text("dog\tchat\nno tab\n")
    code, _, err = call("--glossary", tmp_path / "terms.tsv", text=b"a")
    assert code == 1
    assert "terms.tsv:2: no tab" in err
