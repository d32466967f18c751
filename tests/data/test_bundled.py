"""The bundled corpora are found in an installed package and in a checkout."""

from pathlib import Path

import pytest

from seq2attn.data import bundled
from seq2attn.data.bundled import NAMES, bundled_folder
from seq2attn.errors import UserError


@pytest.mark.parametrize("name", NAMES)
def test_bundled_folder_is_in_the_package_or_the_checkout(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert any(bundled_folder(name).glob("train.*"))
    package = tmp_path / "seq2attn"
    monkeypatch.setattr(bundled, "PACKAGE", package)
    with pytest.raises(UserError, match=f"missing from this installation.*seq2attn.samples.{name} OUT"):
        bundled_folder(name)
    for folder in (tmp_path / "data" / name, package / "samples" / "bundled" / name):
        folder.mkdir(parents=True)
        (folder / "train.parquet").write_bytes(b"x")
        assert bundled_folder(name) == folder
