"""Tables as spreadsheet programs write them, and as people mend them by hand."""

import csv
import io
import random
from pathlib import Path

import pytest

from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.data.sources import open_corpus
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError

CELLS = [
    ("Hello, you.", "Bonjour, toi."),
    ('He said "no".', "Il a dit « non »."),
    ("Two\nlines.", "Deux\nlignes."),
    ("Plain", "Simple"),
]
READ = [(source.replace("\n", " "), target.replace("\n", " ")) for source, target in CELLS]


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return [(row.source, row.target) for row in corpus.rows()]


def read(path: Path, **options: float) -> tuple[list[tuple[str, str]], list[str]]:
    corpus = open_corpus(str(path), "en", "fr", **options)
    assert isinstance(corpus, Corpus)
    return pairs(corpus), corpus.notes


def written(delimiter: str, times: int = 1, **how: object) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, **how).writerows(
        [("en", "fr", "notes"), *((*row, "") for row in CELLS * times)]
    )  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spreadsheet_with_any_delimiter_and_quoted_cells(
    ending: str, delimiter: str, end: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text("\ufeff" + written(delimiter, lineterminator=end), encoding="utf-8", newline="")
    rows, notes = read(path)
    assert rows == READ
    usual = delimiter == ("," if ending == "csv" else "\t")
    assert any("divided by" in note for note in notes) == (not usual)


def test_spreadsheet_uses_the_delimiter_that_excel_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for line in ("sep=;", '"sep=;"', "SEP=;"):
        path.write_text(f"{line}\nen;fr\na, b, c;d, e, f\n", encoding="utf-8")
        corpus = open_corpus(str(path), "en", "fr")
        assert isinstance(corpus, Corpus)
        assert [tuple(row[:3]) for row in corpus.rows()] == [("a, b, c", "d, e, f", "a.csv:3")]


def test_spreadsheet_drops_empty_columns_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("en\tfr\t\t\na\tb\t\t\nc\td\ne\tf\t \t\t\t\n", encoding="utf-8")
    assert read(path)[0] == [("a", "b"), ("c", "d"), ("e", "f")]


def test_spreadsheet_keeps_quotes_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    rows = [
        ('"Hello," she said.', "« Bonjour », dit-elle."),
        ('"No."', '"Non."'),
        ('"Go', '"Va'),
        ('away."', "t'en.\""),
        ('5" pipe', 'tuyau de 5"'),
        ('""', '"'),
        ("a, b", "c, d"),
    ]
    path.write_text("en\tfr\n" + "".join(f"{s}\t{t}\n" for s, t in rows * 20), encoding="utf-8")
    assert read(path)[0] == rows * 20
    path.write_text(
        "en\tfr\n" + '"Yes," he said\t"Oui"\n' * 30 + '"Come\t"Viens\nhere"\tici"\n', encoding="utf-8"
    )
    assert read(path)[0] == [('"Yes," he said', '"Oui"')] * 30 + [('"Come', '"Viens'), ('here"', 'ici"')]
    path.write_text("en\tfr\n" + '"Yes."\t"Oui."\n' * 30 + "a, b\tc, d\n", encoding="utf-8")
    rows_read, notes = read(path)
    assert rows_read[0] == ('"Yes."', '"Oui."')
    assert any("kept as text" in note for note in notes)


def test_spreadsheet_drops_and_names_a_row_of_another_length(tmp_path: Path) -> None:
    path = tmp_path / "messy.tsv"
    lines = ["en\tfr\tnotes", *(f"a{n}\tb{n}\t" for n in range(400))]
    lines[13], lines[86], lines[300] = "There will be", "a\tb\tc\td\te", ""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows, notes = read(path)
    assert len(rows) == 397
    assert "messy.tsv: 2 rows with another number of columns, left out: lines 14, 87" in notes
    with pytest.raises(
        UserError,
        match=r'messy\.tsv:14: 1 column where the first line has 3: "There will'
        r' be".*2 of 399 rows.*0\.001.*`max_bad`',
    ):
        read(path, max_bad=0.001)


def test_spreadsheet_loses_one_row_to_a_stray_quote(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = [f"a{n},b{n}" for n in range(500)]
    for stray in ('"a,b', 'a,"b', '"a"b,c', '"a,b"c'):
        lines = ["en,fr", *good]
        lines[200] = stray
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows, notes = read(path)
        assert len(rows) == 499, stray
        assert any(note.endswith(", left out: line 201") for note in notes)
        assert rows[-1] == ("a499", "b499")
    path.write_text('en,fr\n"a,b\n' + "c,d\n" * 30, encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.csv:2: not a row of CSV: a quote that does not close"):
        read(path)


@pytest.mark.slow
def test_spreadsheet_refuses_many_open_quotes_quickly(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content in (
        '"a,b\n' * 20_000,
        'x"y,"open\n' + '""\n' * 50_000,
        '"\n' * 50_000,
        '"' + "x\n" * 600_000,
    ):
        path.write_text("en,fr\n" + content, encoding="utf-8")
        with pytest.raises(UserError):
            read(path)
    path.write_text('en,fr\n"' + "x" * (MAX_LENGTH - 10) + '",b\n', encoding="utf-8")
    assert len(read(path)[0][0][0]) == MAX_LENGTH - 10


def test_jsonl_drops_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = [
        '["a"]',
        "7",
        '{"en": "a"}',
        '{"en": "a", "fr": null}',
        '{"en": "a", "fr": 3}',
        "no",
        '{"en": ',
        '{"n": ' + "9" * 5000 + "}",
        "[" * 100_000,
    ]
    lines = ['{"en": "a", "fr": "b"}'] * 1000
    for place, line in enumerate(bad):
        lines[100 * place] = line
    path.write_text("\n".join(lines), encoding="utf-8")
    rows, notes = read(path)
    assert len(rows) == 1000 - len(bad)
    assert "a.jsonl: 3 rows without a text on both sides, left out: lines 201, 301, 401" in notes
    assert "a.jsonl: 6 rows without an object of JSON, left out: lines 1, 101, 501, 601, 701, 801" in notes
    with pytest.raises(UserError, match=r"a\.jsonl:1: not an object"):
        read(path, max_bad=0.005)


def test_jsonl_accepts_non_finite_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"en": "a", "fr": "b", "score": NaN}\n{"en": "a", "fr": "b", "score": 1e999}\n', encoding="utf-8"
    )
    assert read(path)[0] == [("a", "b")] * 2


def test_spreadsheet_with_thousands_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        ",".join(f"column{n}" for n in range(30_000)) + "\n" + "a," * 29_999 + "\n", encoding="utf-8"
    )
    with pytest.raises(UserError, match="and 29,980 more") as error:
        read(path)
    assert len(str(error.value)) < 1000


def test_spreadsheet_reads_any_table_that_csv_writes(tmp_path: Path) -> None:
    draw = random.Random(1)
    path = tmp_path / "a.csv"
    for delimiter in (",", ";", "\t", "|"):
        for _ in range(20):
            rows = [
                ["".join(draw.choices('ab ",;|\t\né', k=draw.randrange(1, 9))) + "x" for _ in range(2)]
                for _ in range(30)
            ]
            file = io.StringIO()
            csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows([("en", "fr"), *rows])
            path.write_text(file.getvalue(), encoding="utf-8", newline="")
            assert read(path)[0] == [tuple(cell.replace("\n", " ") for cell in row) for row in rows]


def test_spreadsheet_ignores_spaces_around_column_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("en, fr\nrain,la pluie\nsnow,la neige\n")
    assert read(tmp_path / "a.csv")[0] == [("rain", "la pluie"), ("snow", "la neige")]


def test_spreadsheet_refuses_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("en,fr,fr\nrain,la pluie,x\nsnow,la neige,y\n")
    with pytest.raises(UserError, match="columns 2 and 3 have one name, fr: rename those"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("titles", ["en\t\tfr\tnotes", "English\t\tFrench\tNotes", "source\t\ttarget\tid"])
def test_spreadsheet_says_what_it_takes_for_the_header(titles: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{titles}\n" + "Hello.\t\tBonjour.\t1\n" * 3, encoding="utf-8")
    corpus = open_corpus(str(path))
    assert isinstance(corpus, Corpus)
    assert pairs(corpus) == [("Hello.", "Bonjour.")] * 3
    first, _, second, _ = titles.split("\t")
    assert corpus.notes == [
        f"a.tsv: the first line is the header: {first} is the source, {second} the target"
    ]


def test_spreadsheet_without_header_ignores_empty_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\tHello.\t\tBonjour.\t\n" * 3, encoding="utf-8")
    corpus = open_corpus(str(path))
    assert isinstance(corpus, Corpus)
    assert pairs(corpus) == [("Hello.", "Bonjour.")] * 3
    assert corpus.notes == ["a.tsv has no header: column 2 is the source, column 4 the target"]
