"""Lines as people send them: of any length, packed, broken off, of no text at all; and the JSON that nobody
should send.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from peak_memory import PEAK

from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats, line_warnings
from seq2attn.errors import UserError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
Call = Callable[..., tuple[int, bytes, str]]


@pytest.fixture(scope="module")
def run(text_run: str) -> str:
    return text_run


@pytest.fixture
def call(pipe: Call) -> Call:
    """`seq2attn translate ARGUMENTS < text` in this process: exit code, stdout, stderr."""
    return lambda *arguments, text=b"": pipe(
        "translate", *arguments, "--beam", "1", "--max-length", "4", text=text
    )


def lines_of(content: bytes, longest: int) -> list[tuple[str, bool]]:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    places = []
    with open(reading, "rb", buffering=0) as source:
        for lines in line_reader._split(source, longest):
            places += [
                line_reader._decoded(line, number, "", False, longest)
                for number, line in enumerate(lines, 1 + len(places))
            ]
    writer.join()
    return [(line.text, line.cut) for line in places]


# Length


@pytest.mark.parametrize("longest", [4, 5, 8, 1000])
def test_line_reader_keeps_the_beginning_of_a_long_line(
    longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"a\n\nabcd\nabcde\nabcdefgh\nabcdefghi\n" + b"x" * 5000 + b"\nlast"
    expected = [(line.decode()[:longest], len(line) > longest) for line in content.split(b"\n")]
    for block in (1, 2, 3, 7, 64, 1 << 16):
        monkeypatch.setattr(line_reader, "BLOCK", block)
        assert lines_of(content, longest) == expected


def test_line_reader_cuts_between_whole_characters() -> None:
    assert lines_of("éééé\n👩👩\n".encode(), 5) == [("éé", True), ("👩", True)]


def test_translate_warns_of_long_lines_and_counts_them(
    run: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_reader, "LONGEST", 40)
    monkeypatch.setattr(line_reader.LineReader.__init__, "__defaults__", ((), False, 40))
    text = b"rain\n" + b"\n".join([b"the small dog " * 9] * 12) + b"\nrain"
    code, out, err = call(run, text=text)
    assert (code, out.count(b"\n")) == (0, 14)
    assert "line 2: more than 40 bytes without a line break; the rest of the line was dropped" in err
    assert "warning: 2 more lines: too long, so their ends were dropped" in err


MEASURED = f"""
import sys
from seq2attn.cli import app
code = app.run(sys.argv[1:])
print({PEAK}, file=sys.stderr)
sys.exit(code)
"""


def memory_of(arguments: list[str], make: str) -> tuple[int, bytes, bytes, float]:
    """What `make`, a program of the shell, gives to `seq2attn translate`: exit code, stdout, stderr and MB at
    the most.
    """
    command = [sys.executable, "-c", MEASURED, "translate", *arguments, "--device", "cpu"]
    with subprocess.Popen(["sh", "-c", make], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
        done = subprocess.run(command, stdin=source.stdout, capture_output=True, env=ENVIRONMENT, check=False)
        source.kill()
    message, _, peak = done.stderr.rstrip(b"\n").rpartition(b"\n")
    return done.returncode, done.stdout, message + b"\n", int(peak) / 1024


@pytest.mark.slow
@pytest.mark.parametrize("format", ["text", "jsonl"])
@pytest.mark.parametrize("what", ["x", " ", "the dog ", "\\000", "我"])
def test_translate_reads_an_endless_line_in_bounded_memory(run: str, what: str, format: str) -> None:
    """A gigabyte without a line break, and a line after it."""
    make = (
        f"yes \"$(printf '{what}%.0s' 1 2 3 4 5 6 7 8)\" | tr -d '\\n' | head -c 1000M; printf '\\nrain\\n'"
    )
    if what == "\\000":
        make = "head -c 1000M /dev/zero; printf '\\nrain\\n'"
    code, out, err, peak = memory_of([run, "--max-length", "3", "--format", format], make)
    assert (code, out.count(b"\n")) == (0, 2), err
    assert peak < 900


@pytest.mark.slow
def test_translate_cuts_an_endless_prefix(run: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "prefix").write_bytes(b"le chat " * 200_000 + b"\nle\n")
    code, out, err = call(run, "--prefix", tmp_path / "prefix", text=b"the cat\nrain\n")
    assert code == 0
    first, second, _ = out.decode().split("\n")
    assert first.startswith("le chat le chat")
    assert second.startswith("le")
    assert "line 1: its prefix has" in err
    assert "tokens more than an output can hold" in err


# Packed, and no text


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "rain\n")
    return file.getvalue()


@pytest.mark.parametrize("how", PACK)
def test_translate_unpacks_text_by_its_content(run: str, call: Call, tmp_path: Path, how: str) -> None:
    text = b"the small dog\n\nrain falls\n"
    _, expected, _ = call(run, text=text)
    (tmp_path / "text.en").write_bytes(PACK[how](text))
    assert call(run, tmp_path / "text.en") == (0, expected, "")
    assert call(run, text=PACK[how](text)) == (0, expected, "")
    assert call(run, tmp_path / "text.en", "-", text=PACK[how](text)) == (0, 2 * expected, "")
    (tmp_path / "prefix").write_bytes(PACK[how](b"le\n\nla\n"))
    _, plain, _ = call(run, "--prefix", tmp_path / "prefix", text=text)
    (tmp_path / "prefix").write_bytes(b"le\n\nla\n")
    assert call(run, "--prefix", tmp_path / "prefix", text=text)[1] == plain
    (tmp_path / "plain.gz").write_bytes(text)  # by its name it would be packed
    assert call(run, tmp_path / "plain.gz") == (0, expected, "")


@pytest.mark.parametrize(
    "content",
    [
        zipped(),
        b"\x28\xb5\x2f\xfd\x04\x00",
        "rain\n".encode("utf-16"),
        b"PAR1\x15\x04",
        b"%PDF-1.7\n%",
        b"\x93NUMPY\x01\x00",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_translate_refuses_binary_files_on_one_line(
    run: str, call: Call, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "text.en").write_bytes(content)
    for arguments, text in (
        ([tmp_path / "text.en"], b""),
        ([], content),
        (["--prefix", tmp_path / "text.en"], b"rain\n"),
    ):
        code, out, err = call(run, *arguments, text=text)
        assert (code, out, err.count("\n")) == (1, b"", 1)
        assert "UTF-8" in err or ", not text" in err


def test_line_reader_gives_the_lines_before_damage(run: str, call: Call) -> None:
    text = b"".join(b"%d rain\n" % number for number in range(30_000))
    packed = gzip.compress(text, 1)
    lines_read: list[line_reader.Line] = []

    def take_all() -> None:
        lines = line_reader.LineReader([_file(packed[: len(packed) // 2])])
        while some := lines.take(4096):
            lines_read.extend(some)

    with pytest.raises(UserError, match="damaged gzip file"):
        take_all()
    assert len(lines_read) > 10_000
    code, _out, err = call(run, text=gzip.compress(b"rain\n")[:-3])
    assert code == 1
    assert "standard input: damaged gzip file" in err


def _file(content: bytes) -> str:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(content)

    threading.Thread(target=write, daemon=True).start()
    return f"/dev/fd/{reading}"


def test_line_reader_gives_packed_lines_as_they_arrive() -> None:
    reading, writing = os.pipe()
    lines = line_reader.LineReader([f"/dev/fd/{reading}"])
    with open(writing, "wb", buffering=0) as pipe:
        packer = gzip.GzipFile(fileobj=pipe, mode="wb")
        for text in ("one", "two"):
            packer.write(f"{text}\n".encode() * 1)
            packer.flush()
            assert [line.text for line in lines.take(9)] == [text]
        packer.close()
    assert lines.take(9) == []
    os.close(reading)


# Nothing to read


INVISIBLE = [
    "\u200b",
    "\u200f",
    "\ufeff\ufeff",
    "\u00ad",
    "\0",
    "\0\0",
    "\x01\x1b",
    "\u2060\u200d",
    "\u3164",
    "\u0301\u0301",
    "\u00a0",
    "\u3000",
    "\x7f",
]


def test_translate_treats_invisible_characters_as_an_empty_line(run: str, call: Call) -> None:
    code, out, err = call(run, text="\n".join(["rain", *INVISIBLE, "rain"]).encode())
    assert (code, err) == (0, "")
    rows = out.decode().split("\n")[:-1]
    assert rows[0] == rows[-1] != ""
    assert rows[1:-1] == [""] * len(INVISIBLE)
    rows = [
        json.loads(row)
        for row in call(
            run,
            "--format",
            "jsonl",
            text="\n".join(json.dumps({"text": text}) for text in INVISIBLE).encode(),
        )[1].splitlines()
    ]
    assert [row["translation"] for row in rows] == [""] * len(INVISIBLE)
    assert [row["text"] for row in rows] == INVISIBLE


# JSON


DEEP = 100_000
LINES = [
    '{"text": 5}',
    '{"text": null}',
    '{"text": ["rain"]}',
    '{"text": {"text": "rain"}}',
    '{"text": NaN}',
    '{"text": "rain", "x": NaN, "y": [Infinity, {"z": -Infinity}]}',
    '{"text": "rain", "x": 1e400}',
    '{"text": "rain", "x": ' + "9" * 5000 + "}",
    '{"text": "\\ud83d rain \\ude00"}',
    '{"text": "rain", "\\ud800": "\\udfff"}',
    '{"text": "rain", "text": "dog"}',
    '{"text": "rain", "translation": 5, "score": "x"}',
    '{"text": "rain\\nfalls\\r\\u2028on"}',
    "{",
    "[]",
    "null",
    "5",
    '"rain"',
    "NaN",
    "rain falls",
    "",
    "  ",
    "{}",
    '{"text": ""}',
    '{"text": "\\u0000"}',
    '\ufeff{"text": "rain"}',
    "[" * DEEP,
    '{"text": ' + "[" * DEEP + "]" * DEEP + "}",
    '{"a": ' * DEEP + "5" + "}" * DEEP,
    '{"text": "rain", "x": ' + "[" * 900 + "]" * 900 + "}",
    '{"text": "rain"} {"text": "rain"}',
    '{"text": "rain", }',
    "{'text': 'rain'}",
]


def test_translate_writes_one_line_per_line_of_json(run: str, call: Call) -> None:
    code, out, err = call(run, "--format", "jsonl", text="\n".join(LINES).encode())
    assert code == 0
    answers = out.decode().split("\n")
    assert answers.pop() == ""
    assert len(answers) == len(LINES)

    def no_constant(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    for line, answer in zip(LINES, answers, strict=True):
        row = json.loads(answer, parse_constant=no_constant)
        assert isinstance(row["translation"], str), line[:60]
    assert json.loads(answers[5])["y"] == [None, {"z": None}]
    assert "line 14: not a JSON object: taken as plain text" in err
    assert 'line 1: no "text" in the JSON object' in err
    assert "Traceback" not in err


def test_translate_warns_of_bad_json_lines_and_counts_them(run: str, call: Call) -> None:
    _, out, err = call(run, "--format", "jsonl", text=b'{"text": "rain"}\n' + b"rain\n" * 25)
    assert out.count(b"\n") == 26
    assert "line 2: not a JSON object: taken as plain text" in err
    assert "warning: 15 more lines: not a JSON object: taken as plain text" in err
    assert err.count("\n") == 11


def test_translate_gives_too_long_json_its_own_line(
    run: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_warnings, "LONGEST_JSON", 100)
    text = b"\n".join(
        [b'{"text": "rain"}', b'{"text": "rain", "x": "' + b"x" * 100 + b'"}', b'{"text": "rain"}']
    )
    _code, out, err = call(run, "--format", "jsonl", text=text)
    rows = [json.loads(row) for row in out.splitlines()]
    assert [row["translation"] == "" for row in rows] == [False, True, False]
    assert rows[1]["error"] == "more than 100 bytes without a line break: nothing of it was read"
    assert "line 2: more than 100 bytes" in err


def test_read_json_replaces_non_finite_numbers_with_null() -> None:
    record, wrong = formats.read_json('{"text": "rain", "x": [[1e999], {"y": NaN}], "z": 1.5}')
    assert (record, wrong) == ({"text": "rain", "x": [[None], {"y": None}], "z": 1.5}, None)
