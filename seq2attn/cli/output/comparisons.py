"""Comparisons of translations with and without an experiment, as text for people and as JSON lines."""

import math
from typing import TYPE_CHECKING, Any

from seq2attn import strict_json
from seq2attn.cli import console
from seq2attn.cli.output.formats import one_line
from seq2attn.strict_json import rounded

if TYPE_CHECKING:
    from seq2attn.explaining.comparison import Comparison, Difference

END = "(end)"  # the end token among the steps


def as_text(comparison: "Comparison") -> str:
    """Lines for one text, and a blank one. Words and steps have their numbers, counted from 1."""
    normal, changed = comparison.normal, comparison.changed
    if not normal.source_words:
        return "\n"
    rows = [
        ("source", _numbered(normal.source_words)),
        ("normal", one_line(normal.text)),
        ("", _figures(normal.log_probability, "with the change", comparison.normal_with_change)),
        ("", _numbered([*normal.target_subwords, END])),
        ("changed", one_line(changed.text)),
        ("", _figures(changed.log_probability, "without the change", comparison.changed_without)),
    ]
    if comparison.steps:
        rows.append(("", _numbered([*changed.target_subwords, END])))
        rows.append(
            ("differs", "; ".join(map(_difference, comparison.differences)) or "in its subwords alone")
        )
    else:
        rows.append(("differs", "in no word"))
    return "".join(f"{name:<9}{console.printable(text)}".rstrip() + "\n" for name, text in rows) + "\n"


def as_json(record: dict[str, Any], comparison: "Comparison") -> str:
    """The record with the normal translation, and the changed one under the key `changed`.

    `differences` are the words that differ, `steps` the steps that write another subword. Both count from 1.
    """
    normal, changed = comparison.normal, comparison.changed
    tree = record | {
        "translation": normal.text,
        "score": rounded(normal.score),
        "log_probability": rounded(normal.log_probability),
        "log_probability_with_change": rounded(comparison.normal_with_change),
        "subwords": normal.target_subwords,
        "changed": {
            "translation": changed.text,
            "score": rounded(changed.score),
            "log_probability": rounded(changed.log_probability),
            "log_probability_without_change": rounded(comparison.changed_without),
            "subwords": changed.target_subwords,
        },
        "differences": [
            {
                "word": one.normal_first,
                "normal": one.normal,
                "changed_word": one.changed_first,
                "changed": one.changed,
            }
            for one in comparison.differences
        ],
        "steps": comparison.steps,
    }
    return strict_json.dump(tree) + "\n"


def _figures(log_p: float, other: str, other_log_p: float) -> str:
    return f"log p {log_p:.2f} (p {math.exp(log_p):.3g}); {other} {other_log_p:.2f}"


def _numbered(words: list[str]) -> str:
    return "  ".join(f"{number} {word}" for number, word in enumerate(words, 1))


def _difference(one: "Difference") -> str:
    word = "word" if max(len(one.normal), len(one.changed)) == 1 else "words"
    if not one.normal:
        return f"new {word} {_range(one.changed_first, one.changed)}: {' '.join(one.changed)}"
    if not one.changed:
        return f"without {word} {_range(one.normal_first, one.normal)}: {' '.join(one.normal)}"
    return f"{word} {_range(one.normal_first, one.normal)}: {' '.join(one.normal)} -> {' '.join(one.changed)}"


def _range(first: int, words: list[str]) -> str:
    return str(first) if len(words) == 1 else f"{first}-{first + len(words) - 1}"
