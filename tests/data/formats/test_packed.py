"""Files are unpacked, or refused, by what they hold and never by what they are called."""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2attn.data.formats.lines import opened, read_lines, unpacked
from seq2attn.data.formats.text import is_blank
from seq2attn.errors import UserError

TEXT = b"One line.\n\xe5\x97\xa8\xe3\x80\x82\n" * 3
LINES = ["One line.", "嗨。"] * 3
PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
UNWANTED: dict[str, bytes] = {
    "unzstd": b"\x28\xb5\x2f\xfd" + bytes(range(40)),
    "unlz4": b"\x04\x22\x4d\x18dGg",
    "uncompress": b"\x1f\x9d\x90abc",
    "7z x": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "unrar x": b"Rar!\x1a\x07\x01\x00",
    "unlzma": lzma.compress(TEXT, lzma.FORMAT_ALONE),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "RTF": b"{\\rtf1\\ansi Hello}",
    "old spreadsheet": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "Parquet": b"PAR1" + bytes(range(90)),
    "image": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "UTF-16": "Hi\n".encode("utf-16"),
    "UTF-16LE": "Hi\n".encode("utf-16-le"),
    "UTF-16BE": "Hi there\nyou\n".encode("utf-16-be"),
    "UTF-32": "Hi\n".encode("utf-32"),
    "UTF-32LE": "Hi\n".encode("utf-32-le"),
    "UTF-32BE": "Hi\n".encode("utf-32-be"),
}


SHORT = [
    b"",
    b"\n",
    b"x",
    b"\x1f",
    b"B",
    b"PK",
    b"BZh9 is no bzip2\n",
    b"%",
    b"{",
    b"\0",
    b"\0\0\0\0\n",
    b"a\0b\n",
    b"]\0",
]


def zipped(name: str, content: bytes = TEXT) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        facts = tarfile.TarInfo("train.en")
        facts.size = len(TEXT)
        archive.addfile(facts, io.BytesIO(TEXT))
    return file.getvalue()


UNWANTED |= {
    "unzip": zipped("train.en"),
    "save it as CSV": zipped("xl/workbook.xml"),
    "document": zipped("word/a.xml"),
}
UNWANTED |= {
    "spreadsheet": zipped("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
    "tar -xf": tarred(),
}


@pytest.mark.parametrize("name", ["x.en", "x.gz", "x.bz2", "x.xz", "x.zst"])
@pytest.mark.parametrize("form", PACK)
def test_opened_recognises_packing_by_content_not_by_name(form: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PACK[form](TEXT))
    assert list(read_lines(path)) == LINES
    with opened(path) as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_read_lines_joins_packed_members_and_reports_damage(form: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    packed = PACK[form](TEXT)
    path.write_bytes(packed * 3)
    assert list(read_lines(path)) == LINES * 3
    path.write_bytes(PACK[form](b"") + packed)
    assert list(read_lines(path)) == LINES
    path.write_bytes(PACK[form](b""))
    assert list(read_lines(path)) == []
    for damaged in (packed[:-5], packed[:20], packed[:15] + bytes(8) + packed[23:], packed + b"rubbish"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"x: damaged {form} file: "):
            list(read_lines(path))
    path.write_bytes(PACK[form](packed))
    with pytest.raises(UserError, match="packed twice"):
        list(read_lines(path))


@pytest.mark.parametrize("content", SHORT)
def test_opened_takes_short_files_as_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with opened(path) as file:
        assert file.read() == content


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("way_out", UNWANTED)
def test_read_lines_refuses_binary_files_and_names_a_remedy(
    way_out: str, packed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(gzip.compress(UNWANTED[way_out]) if packed else UNWANTED[way_out])
    with pytest.raises(UserError, match=rf"x\.txt: .*{way_out}") as error:
        list(read_lines(path))
    assert "\n" not in str(error.value)


def test_read_lines_refuses_utf_16_without_a_signature(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for encoding in ("utf-16-le", "utf-16-be"):
        path.write_bytes("κόσμε, αυτό είναι\nένα κείμενο. Ż\n".encode(encoding))
        with pytest.raises(UserError, match=encoding.upper().replace("16-", "16")):
            list(read_lines(path))


def test_read_lines_takes_random_bytes_for_damaged_utf_8(tmp_path: Path) -> None:
    """Two of the bytes are a space of UTF-16, by chance."""
    path, draw = tmp_path / "x", random.Random(1)
    for space in (b"\n\0", b" \0", b"\0\n", b"\0 "):
        path.write_bytes(draw.randbytes(200) + space + draw.randbytes(301) + b"\n")
        with pytest.raises(UserError, match=r":1: not UTF-8: byte"):
            list(read_lines(path))


@pytest.mark.parametrize("form", PACK)
def test_unpacked_reads_pipes(form: str) -> None:
    read, write = os.pipe()
    content = PACK[form](TEXT * 30_000)

    def feed() -> None:
        with open(write, "wb", buffering=0) as file:
            file.write(content[:1])
            file.write(content[1:])

    thread = threading.Thread(target=feed)
    thread.start()
    with unpacked(open(read, "rb", buffering=0), "standard input") as file:
        assert file.read() == TEXT * 30_000
    thread.join()


def test_unpacked_gives_available_bytes_of_a_pipe_at_once() -> None:
    read, write = os.pipe()
    os.write(write, b"one\n")
    with unpacked(open(read, "rb", buffering=0), "standard input") as file:  # type: ignore[attr-defined]
        assert file.read1(100) == b"one\n"
        os.write(write, b"two\n")
        assert file.read1(100) == b"two\n"
        os.close(write)
        assert file.read1(100) == b""


def test_is_blank_knows_invisible_characters() -> None:
    for text in (
        "",
        " ",
        "\u200b",
        "\u200f\u200e",
        "\ufeff",
        "\u00ad",
        "\0",
        "\ufe0f",
        "\u0301\u0301",
        "\u3164",
        "\u2800",
        "\U000e0041",
        "\x1b",
        "\ud83d",
        "\uffff",
    ):
        assert is_blank(text), ascii(text)
        assert is_blank(f" {text}\t\u2060")
        assert not is_blank(text + "a")
    for text in ("a", "1", ".", "_", "嗨", "\u0301e", "☺", "\ue000", "ा", "🙂", "𝄞", "\U00050000"):
        assert not is_blank(text), ascii(text)
