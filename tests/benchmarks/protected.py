"""How often placeholders, URLs, addresses, numbers and tags come out whole and in place.

    python tests/benchmarks/protected.py make FOLDER      a corpus with items in place of the names of `names`
    seq2attn prepare FOLDER PREPARED --protect
    seq2attn train first-try --data PREPARED --out RUN
    python tests/benchmarks/protected.py FOLDER RUN [RUN ...]

An output is right if it has the items of the reference, in the order of the reference, each as often, and
each beside the word that is before it or after it in the reference. 500 lines of `test` are translated as
`seq2attn translate --protect` does.
"""

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

import seq2attn
from seq2attn.data.bundled import bundled_folder
from seq2attn.data.text.protection import find_items
from seq2attn.evaluation.text import bleu

LINES = 500
NAME = re.compile(r"\b[BCDFGJKLMNPRSTVWZ][a-z]{3,}\b")


def item(rng: random.Random) -> str:
    """A random item; no two need be alike."""
    word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 8)))
    number = rng.randint(1, 99999)
    kinds = (
        *(
            f"{{{word}}}",
            f"%{rng.randint(1, 9)}$s",
            f"${rng.randint(1, 9)}",
            "{{" + word + "}}",
            f"%({word})s",
        ),
        *(
            f"https://{word}.org/{number}?q={word}",
            f"www.{word}.com",
            f"{word}@{word}.net",
            f"<b>{word}{number}</b>",
        ),
    )
    return rng.choice(kinds)


def with_items(source: str, target: str, rng: random.Random) -> tuple[str, str]:
    """A pair with an item in place of each name that both sides have."""
    for name in dict.fromkeys(NAME.findall(source)):
        if re.search(rf"\b{name}\b", target) and name not in ("The", "They", "We"):
            new = item(rng)
            source, target = (re.sub(rf"\b{name}\b", lambda _: new, text) for text in (source, target))  # noqa: B023
    return source, target


def make(folder: Path) -> None:
    rng, corpus = random.Random(1), bundled_folder("names")
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        sides = (
            (corpus / f"{split}.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")
        )
        pairs = [with_items(*pair, rng) for pair in zip(*sides, strict=True)]
        for number, side in enumerate(("en", "fr")):
            text = "".join(f"{pair[number]}\n" for pair in pairs)
            (folder / f"{split}.{side}").write_text(text, encoding="utf-8")


def places(text: str) -> list[tuple[str, str, str]]:
    """Each item, with the letters and digits of the words before and after it."""
    items = find_items(text)
    results = []
    for number, one in enumerate(items):
        start = items[number - 1].stop if number else 0
        stop = items[number + 1].start if number + 1 < len(items) else len(text)
        before, after = re.findall(r"\w+", text[start : one.start]), re.findall(r"\w+", text[one.stop : stop])
        results.append((one.text, (before or [""])[-1], (after or [""])[0]))
    return results


def is_in_place(reference: str, output: str) -> bool:
    ours, theirs = places(output), places(reference)
    return [one[0] for one in ours] == [one[0] for one in theirs] and all(
        a[1].lower() == b[1].lower() or a[2].lower() == b[2].lower()
        for a, b in zip(ours, theirs, strict=True)
    )


def share(references: Sequence[str], outputs: Sequence[str]) -> float:
    right = [is_in_place(*both) for both in zip(references, outputs, strict=True)]
    return sum(right) / len(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--limit", type=int, default=LINES)
    arguments = parser.parse_args()
    if arguments.folder == "make":
        make(Path(arguments.runs[0]))
        return
    folder = Path(arguments.folder)
    sides = ((folder / f"test.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr"))
    pairs = [pair for pair in zip(*sides, strict=True) if find_items(pair[1])][: arguments.limit]
    sources, references = ([pair[side] for pair in pairs] for side in (0, 1))
    for run in arguments.runs:
        outputs = [one[0].text for one in seq2attn.load(run).translate_lines(sources, protect=True)]
        right, score = share(references, outputs), bleu(outputs, [references], "fr", False).value
        print(f"{run}: {right:.1%} of {len(pairs)} lines whole and in place, BLEU {score:.2f}", flush=True)


if __name__ == "__main__":
    main()
