"""A spreadsheet of sentence pairs as people have it, with every fault that cleaning knows."""

import csv
import io
import random
from pathlib import Path

from seq2attn.data.bundled import bundled_folder

PAIRS = 2500
DROPPED = {
    "empty": 42,
    "placeholders": 17,
    "same-text": 25,
    "swapped": 20,
    "script": 6,
    "numbers": 9,
    "length-ratio": 8,
    "duplicates": 55,
}
MENDED = {"quotes": 49, "entities": 21, "control": 5}
MARKS, LINE_BREAKS, MISFITS = 30, 12, 4  # variants of marks; cells on two lines; rows with other columns


def pairs() -> list[tuple[str, str]]:
    """Sentences of the bundled corpus of phrases, longer than a few words."""
    folder = bundled_folder("phrases")
    sides = [(folder / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")]
    long = [pair for pair in zip(*sides, strict=True) if min(map(len, pair)) >= 25]
    return random.Random(1).sample(long, PAIRS)


def write(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Write the sheet, and return the pairs of each fault, as they are in their cells."""
    draw = random.Random(2)
    rows = pairs()
    free = list(range(300, PAIRS))
    draw.shuffle(free)
    faults: dict[str, list[tuple[str, str]]] = {}

    def change(reason: str, count: int, how) -> None:  # type: ignore[no-untyped-def]
        for number in range(count):
            place = free.pop()
            rows[place] = how(*rows[place], number)
            faults.setdefault(reason, []).append(rows[place])

    change("empty", DROPPED["empty"], lambda s, t, n: (s, "") if n % 2 else ("  ", t))
    change("placeholders", DROPPED["placeholders"], lambda s, t, n: (s, ("TODO", "#N/A", "???")[n % 3]))
    change("same-text", DROPPED["same-text"], lambda s, t, n: (s, s if n % 2 else s.upper()))
    change("swapped", DROPPED["swapped"], lambda s, t, n: (t, s))
    change("script", DROPPED["script"], lambda s, t, n: (s, f"Это предложение на русском языке, номер {n}."))
    change("numbers", DROPPED["numbers"], lambda s, t, n: (f"{s} {n + 1990}", f"{t} {n + 1890}"))
    change("length-ratio", DROPPED["length-ratio"], lambda s, t, n: (s, f"{t} {t} {t} {t} {t}"))
    change("quotes", MENDED["quotes"], _quoted)
    change(
        "entities", MENDED["entities"], lambda s, t, n: (s.replace(".", "&#33;"), f"{t} &amp; &#39;{n}&#39;")
    )
    change("control", MENDED["control"], lambda s, t, n: (s.replace(" ", "\v", 1), f"\ufeff{t}"))
    change("marks", MARKS, lambda s, t, n: (s.replace(" ", "\xa0", 1), t.replace("'", "’")))
    change("line break", LINE_BREAKS, lambda s, t, n: (s.replace(" ", "\n", 1), t.replace(" ", "\n", 1)))
    copies = draw.sample([rows[place] for place in free], DROPPED["duplicates"])
    faults["duplicates"] = copies
    rows += [(s.upper() if n % 3 == 0 else s, t) for n, (s, t) in enumerate(copies)]

    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\r\n")
    table.writerow(["English", "French", "Notes", "Date", "", ""])
    for number, (source, target) in enumerate(rows):
        table.writerow([source, target, ("", 'checked, "ok"')[number % 7 == 0], "2026-05-03", "", ""])
        if number % 700 == 500:
            text.write("half a row\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    return faults


def _quoted(source: str, target: str, number: int) -> tuple[str, str]:
    first, _, rest = source.partition(" ")
    return f'"{first} ""{rest.rstrip(".?!")}"", you see."', target
