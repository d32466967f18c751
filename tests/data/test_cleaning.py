"""Faults of a pair of texts: each is seen, and what only looks like one is left alone."""

import json
import random
from pathlib import Path

import messy_sheet
import pytest

import seq2attn
from seq2attn import config
from seq2attn.data.cleaning import faults, numbers, scripts
from seq2attn.data.cleaning.habits import Habits, habits_of
from seq2attn.data.cleaning.mending import mend
from seq2attn.data.corpus import Row
from seq2attn.data.text.cleaner import REASONS, Cleaner
from seq2attn.errors import UsageError
from seq2attn.tasks.corpus_cache import as_before_cleaning

NOTHING_USUAL = Habits(None, (frozenset(), frozenset()), {})


def cleaner(*keep: str) -> Cleaner:
    return Cleaner(config.DataConfig(keep=keep), ("en", "fr"))


@pytest.fixture(scope="module")
def habits() -> Habits:
    return habits_of(messy_sheet.pairs()[:600], ("en", "fr"))


@pytest.mark.parametrize(
    ("pair", "expected", "reasons"),
    [
        # the quotes of a spreadsheet are doubled inside, or stand on one side alone
        (
            ('"He said ""no"", really."', "Il a dit non."),
            ('He said "no", really.', "Il a dit non."),
            ["quotes"],
        ),
        (
            ('"In winter, it snows."', "En hiver, il neige."),
            ("In winter, it snows.", "En hiver, il neige."),
            ["quotes"],
        ),
        (('"No."', '"Non."'), ('"No."', '"Non."'), []),
        (('"No."', "« Non. »"), ('"No."', "« Non. »"), []),
        (('"Go," he said, "now"', "Va"), ('"Go," he said, "now"', "Va"), []),
        (("It&#39;s &amp;quot;here&amp;quot;", "AT&T; R&D"), ('It\'s "here"', "AT&T; R&D"), ["entities"]),
        (("a\vb\x00c", "\ufeffd\xade"), ("a bc", "de"), ["control"]),
        (("nbsp\xa0stays", "l’art"), ("nbsp\xa0stays", "l’art"), []),
    ],
)
def test_mend(pair: tuple[str, str], expected: tuple[str, str], reasons: list[str]) -> None:
    assert mend(*pair, ()) == (*expected, reasons)
    assert mend(*pair, REASONS) == (*pair, [])


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("In 2012.", "En 2013.", True),
        ("12 of 13", "21 sur 13", True),
        ("two of 12", "deux sur douze", False),
        ("1,000.50 euros", "1.000,5 euros", False),
        ("3 000 people", "3,000 personnes", False),
        ("2.00 euros", "2 euros", False),
        ("at 3 pm", "à 15 heures", False),
        ("10,000 people", "1万人", False),
        ("page ٣", "page 3", False),
        ("at 10:30", "um 10.30 Uhr", False),
    ],
)
def test_numbers_differ(source: str, target: str, expected: bool) -> None:
    assert numbers.differ(source, target) == expected
    assert numbers.differ(target, source) == expected


@pytest.mark.parametrize(
    ("text", "language", "foreign"),
    [
        ("Это предложение", "fr", True),
        ("Café à côté, Łódź", "fr", False),
        ("Tiếng Việt có dấu", "vi", False),
        ("Say 你好 to them", "en", False),
        ("This is English", "zh", True),
        ("他在 IBM 工作", "zh", False),
        ("日本語の文です", "ja", False),
        ("日本語の文です", "zh", False),  # two kana, four characters
    ],
)
def test_scripts_is_foreign(text: str, language: str, foreign: bool) -> None:
    assert scripts.is_foreign(text, scripts.scripts_of(language, ())) == foreign


def test_scripts_of_a_language_without_a_known_code_are_those_of_its_texts() -> None:
    assert scripts.scripts_of("xx", ["привет всем", "ok"] * 20) == {"CYRILLIC", "LATIN"}


def test_habits_of_few_pairs_say_nothing() -> None:
    assert habits_of([("a", "b")] * 99, ("en", "fr")) == NOTHING_USUAL


def test_faults_leave_good_pairs_alone(habits: Habits) -> None:
    for pair in messy_sheet.pairs():
        assert not [reason for reason, fault in faults.FAULTS.items() if fault(*pair, habits)], pair


def test_faults_is_swapped_needs_both_sides(habits: Habits) -> None:
    source, target = messy_sheet.pairs()[7]
    assert faults.is_swapped(target, source, habits)
    assert not faults.is_swapped(target, target, habits)
    assert not faults.is_swapped(source, source, habits)


def test_faults_leave_names_and_short_texts_alone(habits: Habits) -> None:
    assert not faults.is_same("Berlin", "Berlin", habits)
    assert faults.is_same("Nobody did it.!", "NOBODY DID IT.!", habits)
    assert not faults.is_filler("-", "-5", habits)
    assert faults.is_filler("We are here.", "TODO", habits)
    assert not faults.is_unequal("Yes", "Oui, bien entendu", habits)


def test_cleaner_leaves_other_splits_alone() -> None:
    rows = [Row("a &amp; b", "", "x:1", "test"), Row("a &amp; b", "c", "x:2", "train"), Row("", "c", "x:3")]
    clean = cleaner()
    assert list(clean.rows(iter(rows))) == [rows[0], rows[1]._replace(source="a & b")]
    assert clean.drops.report() == {"empty": {"pairs": 1, "examples": ["x:3"]}}
    assert clean.mends.report() == {"entities": {"pairs": 1, "examples": ["x:2"]}}


def test_cleaner_drops_a_row_whose_links_would_not_fit() -> None:
    row = Row("a&nbsp;b c", "d e", "x:1", "train", "0-0 1-1")
    clean = cleaner()
    assert list(clean.rows(iter([row]))) == []
    assert clean.drops.report() == {"entities": {"pairs": 1, "examples": ["x:1"]}}
    assert next(clean.rows(iter([row._replace(source="a&amp; c")]))).source == "a& c"


def test_cleaner_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.data.text.cleaner.SAMPLE", 3)
    read = 0

    def rows():  # type: ignore[no-untyped-def]
        nonlocal read
        for read in range(1, 11):
            yield Row(f"a {read}", f"b {read}", f"x:{read}")

    clean = cleaner().rows(rows())
    assert [next(clean).place for _ in range(5)] == [f"x:{number}" for number in range(1, 6)]
    assert read == 5


@pytest.mark.parametrize("reason", [*REASONS, "all"])
def test_cleaner_keeps_a_reason(reason: str) -> None:
    clean = cleaner(reason)
    assert clean.keep == ({reason} if reason != "all" else set(REASONS))
    pairs = [(f"{s} 1990", f"{t} 1890") for s, t in messy_sheet.pairs()[:100]]
    rows = [Row(*pair, f"x:{number}") for number, pair in enumerate(pairs)]
    assert len(list(clean.rows(iter(rows)))) == (100 if reason in ("numbers", "all") else 0)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> tuple[seq2attn.Prepared, Path]:
    folder = tmp_path_factory.mktemp("sheet")
    messy_sheet.write(folder / "messy.tsv")
    prepared = seq2attn.prepare(
        folder / "messy.tsv",
        folder / "out",
        source="English",
        target="French",
        workers=1,
        clean_table=folder / "clean.csv",
    )
    return prepared, folder


def test_prepare_counts_every_fault_of_a_messy_sheet(sheet: tuple[seq2attn.Prepared, Path]) -> None:
    train, notes = sheet[0].report["splits"]["train"], sheet[0].report["notes"]
    counts = {reason: facts["pairs"] for reason, facts in train["dropped"].items()}
    # those that sampling has put beside a test sentence or over the limits of tokens
    assert {reason: counts.pop(reason, 0) for reason in messy_sheet.DROPPED} == messy_sheet.DROPPED
    assert not counts
    assert {reason: facts["pairs"] for reason, facts in train["mended"].items()} == messy_sheet.MENDED
    rows = messy_sheet.PAIRS + messy_sheet.DROPPED["duplicates"]
    assert sum(split["read"] for split in sheet[0].report["splits"].values()) == rows
    assert train["read"] == train["kept"] + sum(messy_sheet.DROPPED.values())
    assert "messy.tsv: 3 rows with another number of columns, left out: lines 507, 1,214, 1,921" in notes
    marks = [split["source"].get("plain_marks", 0) for split in sheet[0].report["splits"].values()]
    assert sum(marks) == messy_sheet.MARKS


def test_prepare_of_the_cleaned_table_gives_the_same_folder(sheet: tuple[seq2attn.Prepared, Path]) -> None:
    prepared, folder = sheet
    again = seq2attn.prepare(
        folder / "clean.csv", folder / "again", source="English", target="French", workers=1
    )
    assert not again.report["splits"]["train"]["dropped"]
    assert "mended" not in again.report["splits"]["train"]
    names = sorted(path.relative_to(prepared.path) for path in prepared.path.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again.path) for path in again.path.rglob("*") if path.is_file())
    other = [
        name for name in names if (prepared.path / name).read_bytes() != (again.path / name).read_bytes()
    ]
    assert [str(name) for name in other] == ["prepared.json"]


def test_prepare_refuses_a_cleaned_table_that_cannot_be(sheet: tuple[seq2attn.Prepared, Path]) -> None:
    folder = sheet[1]

    def refusal(corpus: object, name: str) -> str:
        with pytest.raises(UsageError) as error:
            seq2attn.prepare(
                corpus, folder / "new", source="English", target="French", clean_table=folder / name
            )  # type: ignore[arg-type]
        assert not (folder / "new").exists()
        return str(error.value)

    clean = folder / "clean.csv"
    assert "ends in .csv" in refusal(clean, "x.tsv")
    assert "a file of the corpus" in refusal(clean, "clean.csv")
    assert "has no weights" in refusal([clean, f"{folder / 'messy.tsv'}:0.5"], "x.csv")


def test_prepare_leaves_test_sentences_out_of_train(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefgh", k=5)) for _ in range(50)]
    texts = [" ".join(draw.choices(words, k=8)) for _ in range(80)]
    train = list(zip(texts[:40], texts[40:], strict=True))
    tests = [
        (train[3][0].upper(), "other target of the test side here"),
        ("another source", train[5][1]),
        ("third source", "Thank you."),
    ]
    train[7] = (train[7][0], "Thank you.")  # short: more sources than one have it
    for name, pairs in (("train", train), ("test", tests)):
        for side, language in enumerate(("en", "fr")):
            (tmp_path / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    options = {"source": "en", "target": "fr", "workers": 1, "tokenizer": "word"}
    first = seq2attn.prepare(tmp_path, tmp_path / "out", **options).report["splits"]  # type: ignore[arg-type]
    assert first["train"]["dropped"] == {
        "test-sentences": {"pairs": 2, "examples": ["train.en:4", "train.en:6"]}
    }
    assert first["test"]["sources_in_train"] == 0
    whole = seq2attn.prepare(tmp_path, tmp_path / "keep", keep=["test-sentences"], **options).report["splits"]  # type: ignore[arg-type]
    assert not whole["train"]["dropped"]
    assert whole["test"]["sources_in_train"] == 1


def test_prepared_of_before_says_that_nothing_was_cleaned(
    sheet: tuple[seq2attn.Prepared, Path], tmp_path: Path
) -> None:
    report = json.loads((sheet[0].path / "prepared.json").read_text(encoding="utf-8"))
    del report["options"]["keep"], report["options"]["normalise"]
    (tmp_path / "prepared.json").write_text(json.dumps(report), encoding="utf-8")
    options = seq2attn.Prepared(tmp_path).report["options"]
    assert (options["keep"], options["normalise"]) == (["all"], "none")


def test_resumed_run_of_before_reads_text_as_it_did() -> None:
    old, new = (config.validate({"data": data}, "test") for data in (config.BEFORE_CLEANING, {}))
    assert as_before_cleaning(new, old).data == old.data
    assert as_before_cleaning(new, new) is new
