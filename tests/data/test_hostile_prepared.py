"""Prepared folders, tokenizer files and settings from anybody: refused in one line, or right."""

import json
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seq2attn import config
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.tokenizer import Tokenizer, _train
from seq2attn.errors import UsageError, UserError

TSV = "en\tfr\n" + "".join(f"one {n} two three\tun {n} deux trois\n" for n in range(60))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "a.tsv").write_text(TSV, encoding="utf-8")
    options = config.DataConfig(source="en", target="fr", vocab_size=60, tokenizer="char")
    prepare(str(folder / "a.tsv"), folder / "p", options)
    return folder / "p"


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    for file in whole.rglob("*"):
        if file.is_file():
            (tmp_path / file.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(whole)).write_bytes(file.read_bytes())
    return tmp_path


def use(folder: Path) -> None:
    """What training and scoring read."""
    prepared = Prepared(folder)
    for name in prepared.splits:
        split = prepared.split(name)
        split.ids(np.arange(len(split)))
        split.texts()
        assert split.gold is None or split.gold
        assert split.unknown


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    (file,) = (folder / "train").glob("*.arrow")
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        table = change(stream.read_all())
    with pa.ipc.new_stream(str(file), table.schema) as out:
        out.write_table(table)


def column(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values)


ROWS = 54
IDS = [[5, 6]] * (ROWS - 1)
HARMS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "ids beyond": column("source_ids", pa.array([*IDS, [10**6]], pa.list_(pa.int32()))),
    "ids below": column("target_ids", pa.array([*IDS, [-1]], pa.list_(pa.int32()))),
    "no ids": column("target_ids", pa.array([*IDS, None], pa.list_(pa.int32()))),
    "null in ids": column("target_ids", pa.array([*IDS, [None]], pa.list_(pa.int32()))),
    "long ids": column("source_ids", pa.array([*IDS, [5]], pa.list_(pa.int64()))),
    "ids of another kind": column("source_ids", pa.array(["x"] * ROWS)),
    "no text": column("target", pa.array([*["x"] * (ROWS - 1), None])),
    "numbers for text": column("source", pa.array([1] * ROWS)),
    "bytes for text": column("source", pa.array([b"\xff"] * ROWS).view(pa.string())),
    "fewer rows": lambda table: table.slice(0, 7),
    "more rows": lambda table: pa.concat_tables([table, table]),
    "no rows": lambda table: table.slice(0, 0),
    "another column": lambda table: table.rename_columns(["a", *table.column_names[1:]]),
    "gold that is none": lambda table: table.append_column(
        "alignment", pa.array([None] * table.num_rows, pa.string())
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_prepared_refuses_a_changed_split(harm: str, folder: Path) -> None:
    assert len(Prepared(folder).split("train")) == ROWS
    rewrite(folder, HARMS[harm])
    with pytest.raises(UserError, match=r"damaged .*; run `seq2attn prepare` again") as error:
        use(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_prepared_survives_flipped_bytes_and_cuts_of_a_split(folder: Path) -> None:
    (file,) = (folder / "train").glob("*.arrow")
    good = file.read_bytes()
    draw = np.random.default_rng(1)
    harms = [good[: draw.integers(len(good))] for _ in range(20)]
    for _ in range(150):
        place = int(draw.integers(len(good) if draw.random() < 0.5 else 2000))
        harms.append(good[:place] + bytes([draw.integers(256)]) + good[place + 1 :])
    refused = 0
    for harm in harms:
        file.write_bytes(harm)
        try:
            use(folder)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 50


WRONG = [None, True, 3, -1.5, "x", [], ["x", "y", "z"], {}, {"train": 7}, [[]], "\ud800"]


@pytest.mark.parametrize(
    "key", ["format", "seq2attn", "languages", "splits", "options", "images", "clips", "options.joint"]
)
def test_prepared_refuses_a_report_of_other_types(key: str, folder: Path) -> None:
    file = folder / "prepared.json"
    good = json.loads(file.read_text(encoding="utf-8"))
    for value in WRONG:
        report = json.loads(json.dumps(good))
        if key == "options.joint":
            report["options"]["joint"] = value
        else:
            report[key] = value
        file.write_text(json.dumps(report), encoding="utf-8")
        try:
            use(folder)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        '{"format": ' + "9" * 5000 + "}",
        "",
        "\ufeff{}",
        "null",
        "[]",
        '"\\ud83d"',
    ],
)
def test_prepared_refuses_a_damaged_report(text: str, folder: Path) -> None:
    (folder / "prepared.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"prepared\.json: damaged"):
        Prepared(folder)


def saved(path: Path, model: bytes, kind: object = "char", lowercase: object = False, **more: object) -> Path:
    facts = {"kind": kind, "lowercase": lowercase, "crc32": zlib.crc32(model), **more}
    trailer = json.dumps({"seq2attn_tokenizer": facts}, separators=(",", ":")).encode()
    path.write_bytes(model + bytes([0xC2, 0x0C, len(trailer) % 256]) + trailer)
    return path


def test_tokenizer_refuses_another_trailer(tmp_path: Path) -> None:
    model = _train(["some text", "more text"], 20, "char", 1.0, 1, "")
    assert Tokenizer.load(saved(tmp_path / "t.model", model)).kind == "char"
    wrong: list[dict[str, object]] = [
        {"kind": kind} for kind in ("nonsense", "", None, 3, ["char"], {"a": 1}, "CHAR")
    ]
    wrong += [{"lowercase": value} for value in (None, "no", 2, [])] + [
        {"crc32": value} for value in (None, "x", -1, [])
    ]
    for facts in wrong:
        with pytest.raises(UserError, match="not a tokenizer of seq2attn, or damaged"):
            Tokenizer.load(saved(tmp_path / "t.model", model, **facts))
    for trailer in (
        '{"seq2attn_tokenizer":' + "[" * 100_000,
        '{"seq2attn_tokenizer":' + "9" * 5000 + "}",
        '{"seq2attn_tokenizer":7}',
        '{"seq2attn_tokenizer":{}}',
    ):
        (tmp_path / "t.model").write_bytes(model + b"\xc2\x0c\x10" + trailer.encode())
        with pytest.raises(UserError, match="not a tokenizer of seq2attn, or damaged"):
            Tokenizer.load(tmp_path / "t.model")


def test_tokenizer_refuses_sentencepiece_models_with_rules(tmp_path: Path) -> None:
    model = _train(["some text", "more text"], 20, "char", 1.0, 1, "")
    # rules of normalisation that say they are two gigabytes
    compiled = b"\x1a\x0c\x12\x0a" + b"\xff\xff\xff\x7f" + b"\xff" * 6
    draw = np.random.default_rng(1)
    for harm in (
        model + compiled,
        b"",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0b" + model,
        model[:40],
    ):
        with pytest.raises(UserError, match="not a tokenizer of seq2attn, or damaged"):
            Tokenizer.load(saved(tmp_path / "t.model", harm))
    for _ in range(200):
        place = int(draw.integers(len(model)))
        changed = model[:place] + bytes([draw.integers(256)]) + model[place + 1 :]
        try:
            Tokenizer.load(saved(tmp_path / "t.model", changed)).encode("some more")
        except UserError as error:
            assert "not a tokenizer" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000,
        "x = " + "{a=" * 5000,
        "x = " + "9" * 5000,
        "a." * 5000 + "b = 1",
        "\ufeff",
        "x = '\ud800'",
    ],
)
def test_config_reports_nested_toml_on_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(UsageError, match=r"c\.toml: ") as error:
        config.load(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_config_refuses_toml_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes("[train]\nlr = 0.1".encode("utf-16"))
    with pytest.raises(UsageError, match=r"c\.toml: not a TOML file"):
        config.load(str(path))


@pytest.mark.parametrize(
    "value",
    [
        "[" * 5000,
        "{a=" * 5000,
        "9" * 5000,
        "-" + "9" * 400,
        "'\ud83d'",
        "\ud83d",
        "\0",
        "1e999",
        "nan",
        "a." * 5000 + "b",
    ],
)
@pytest.mark.parametrize(
    "key", ["train.lr", "model.embedding", "train.metric", "a.b", "train", "a." * 3000 + "b"]
)
def test_config_reports_huge_settings_on_one_line(key: str, value: str) -> None:
    with pytest.raises(UsageError) as error:
        config.load("first-try", [f"{key}={value}"])
    assert "\n" not in str(error.value)


def test_prepare_counts_lines_that_nfc_changes(tmp_path: Path) -> None:
    lines = [f"caf\u00e9 {n}" for n in range(40)]
    (tmp_path / "train.en").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "train.fr").write_text(
        "\n".join(unicodedata.normalize("NFD", line) for line in lines) + "\n", encoding="utf-8"
    )
    (tmp_path / "test.en").write_text("a\n\n", encoding="utf-8")
    (tmp_path / "test.fr").write_text("\u212b\n\n", encoding="utf-8")
    options = config.DataConfig(source="en", target="fr", vocab_size=60, tokenizer="char")
    report = prepare(str(tmp_path), tmp_path / "p", options, valid=5, workers=2)
    counts = {
        name: (split["source"]["normalised"], split["target"]["normalised"])
        for name, split in report["splits"].items()
    }
    assert counts == {"train": (0, 35), "valid": (0, 5), "test": (0, 1)}
    assert (
        "train: 35 target lines are not in the normal form NFC of Unicode: they are put in it"
        in report["notes"]
    )
    assert (
        json.loads((tmp_path / "p" / "prepared.json").read_text(encoding="utf-8"))["notes"] == report["notes"]
    )


def test_prepare_treats_lines_of_invisible_characters_as_empty(tmp_path: Path) -> None:
    unseen = ["\u200b", "\u200f", "\ufeff ", "\u00ad", "\0", "\ufe0f", "\u0301", "\u2060\t", "\u3164"]
    (tmp_path / "train.en").write_text("\n".join(["x"] + unseen + ["a b"] * 60) + "\n", encoding="utf-8")
    (tmp_path / "train.fr").write_text(
        "\n".join(["x"] + ["c d"] * (60 + len(unseen))) + "\n", encoding="utf-8"
    )
    options = config.DataConfig(source="en", target="fr", vocab_size=60, tokenizer="char")
    report = prepare(str(tmp_path), tmp_path / "p", options, valid=0, test=0)
    assert report["splits"]["train"]["dropped"]["empty"]["pairs"] == len(unseen)
