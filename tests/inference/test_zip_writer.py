"""A zip archive that is written as it comes: read back by others, whatever its size."""

import io
import zipfile

import numpy as np
import pytest

from seq2attn.inference import zip_writer


@pytest.mark.parametrize("count", [0, 1, 3, pytest.param(70_000, marks=pytest.mark.slow)])
def test_zip_writer_writes_archives_that_zipfile_reads(count: int) -> None:
    file = io.BytesIO()
    written = zip_writer.ZipWriter(file)
    for number in range(count):
        written.add(f"{number}/é", str(number).encode() * (number % 7))
    written.close()
    with zipfile.ZipFile(file) as read:
        assert len(read.namelist()) == count
        assert read.testzip() is None or count > 1000
        for number in {0, count // 2, count - 1} - {-1} if count else set():
            assert read.read(f"{number}/é") == str(number).encode() * (number % 7)


def test_zip_writer_uses_zip64_for_large_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_writer, "_MOST_32", 200)
    file = io.BytesIO()
    written = zip_writer.ZipWriter(file)
    for number in range(9):
        written.add(str(number), bytes(range(100)))
    written.close()
    # where the real bound would stand
    content = file.getvalue().replace((200).to_bytes(4, "little"), b"\xff" * 4)
    with zipfile.ZipFile(io.BytesIO(content)) as read:
        assert [read.read(str(number)) for number in range(9)] == [bytes(range(100))] * 9


def test_write_array_is_deterministic_and_readable_by_numpy() -> None:
    def whole() -> bytes:
        file, array = io.BytesIO(), io.BytesIO()
        np.lib.format.write_array(array, np.arange(6.0).reshape(2, 3), allow_pickle=False)
        written = zip_writer.ZipWriter(file)
        written.add("0/attention.npy", array.getvalue())
        written.close()
        return file.getvalue()

    assert whole() == whole()
    with np.load(io.BytesIO(whole()), allow_pickle=False) as arrays:
        assert arrays["0/attention"].tolist() == [[0, 1, 2], [3, 4, 5]]
