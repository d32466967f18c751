"""Attention as one HTML file to explore: point at a word and see where its weights are on the other side. No script or font from elsewhere.

Knows weights and words; the file works without a network, with the keyboard, in light and dark, and in any script the browser can draw.
"""

import html
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seq2attn import files
from seq2attn.errors import UsageError


class Alignment(NamedTuple):
    """One pair to show: `attention` is (target words, source words), weights from 0 to 1."""

    source_words: Sequence[str]
    target_words: Sequence[str]
    attention: np.ndarray


def save(alignments: Sequence[Alignment], path: Path, title: str = "Attention") -> None:
    """Write the page to `path` whole or not at all. Raises UsageError when a shape does not fit its words."""
    write(render(alignments, title), path)


def write(text: str, path: Path) -> None:
    """The text of a page to `path`, whole or not at all."""
    files.write(path, text.encode("utf-8", "replace"))


def render(alignments: Sequence[Alignment], title: str = "Attention") -> str:
    """The page as text."""
    sections = "\n".join(_section(alignment, number) for number, alignment in enumerate(alignments))
    weights = [np.round(np.asarray(alignment.attention, dtype=np.float64), 4).tolist() for alignment in alignments]
    data = json.dumps(weights, separators=(",", ":"), allow_nan=False)  # numbers and brackets alone: nothing that could end the script element
    return PAGE.format(title=html.escape(title), allowed="", how=_HOW, style=STYLE, sections=sections, data=data, script=_SCRIPT)


def _section(alignment: Alignment, number: int) -> str:
    rows, columns = len(alignment.target_words), len(alignment.source_words)
    if np.shape(alignment.attention) != (rows, columns):
        raise UsageError(
            f"attention of shape {np.shape(alignment.attention)} for {rows} target and {columns} source words: it needs a row for each target word and a column for each source word"
        )
    return f'<section data-pair="{number}">\n{line("source", alignment.source_words)}\n{line("target", alignment.target_words)}\n</section>'


def line(side: str, words: Sequence[str]) -> str:
    """A line of words to point at, named by its `side`; every word is text, whatever it holds."""
    spans = " ".join(
        f'<span class="word" tabindex="0" data-word="{place}"><bdi>{html.escape(word) or "&nbsp;"}</bdi><small></small></span>'
        for place, word in enumerate(words)
    )
    return f'<p class="{side}"><b>{side}</b><span dir="{_direction(words)}">{spans}</span></p>'


def _direction(words: Sequence[str]) -> str:
    """Of a line of words: that of its first letter with one, as in Unicode's bidirectional algorithm."""
    strong = (unicodedata.bidirectional(character) for word in words for character in word)
    return "rtl" if next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L" else "ltr"


STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --paper: #ffffff; --soft: #6b7785; --line: #dfe5ec; --weight: 30, 111, 191; --chosen: #d9480f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --paper: #12161b; --soft: #8d99a6; --line: #2a323b; --weight: 74, 158, 255; --chosen: #ff8a4c; } }
body { margin: 2.5rem auto; padding: 0 1.25rem; max-width: 62rem; color: var(--ink); background: var(--paper); font: 1.125rem/1.5 system-ui, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 1.25rem; font-weight: 600; }
.how { margin: .25rem 0 1.5rem; color: var(--soft); font-size: .9rem; }
section { padding: 1rem 0; border-top: 1px solid var(--line); }
section p { display: grid; grid-template-columns: 4.2rem 1fr; align-items: baseline; margin: .4rem 0; }
section b { color: var(--soft); font-size: .8rem; font-weight: 500; }
.word { position: relative; display: inline-block; margin: .1rem 0 .9rem; padding: .1rem .35rem; border-radius: .35rem; cursor: default; outline: none; transition: background-color .12s; }
.word.chosen { box-shadow: inset 0 0 0 2px var(--chosen); }
.word:focus-visible { box-shadow: inset 0 0 0 2px var(--chosen); }
.word small { position: absolute; left: 0; right: 0; top: 100%; text-align: center; color: var(--soft); font-size: .65rem; line-height: 1; font-variant-numeric: tabular-nums; direction: ltr; }
"""

_SCRIPT = """
const pairs = JSON.parse(document.getElementById("weights").textContent);
for (const section of document.querySelectorAll("section")) {
  const weights = pairs[+section.dataset.pair];
  const words = { source: [...section.querySelectorAll(".source .word")], target: [...section.querySelectorAll(".target .word")] };
  let pinned = null;
  const clear = () => {
    for (const word of [...words.source, ...words.target]) {
      word.classList.remove("chosen");
      word.style.backgroundColor = "";
      word.querySelector("small").textContent = "";
    }
  };
  const show = (side, chosen) => {
    clear();
    words[side][chosen].classList.add("chosen");
    words[side === "target" ? "source" : "target"].forEach((word, other) => {
      const weight = side === "target" ? weights[chosen][other] : weights[other][chosen];
      word.style.backgroundColor = `rgba(var(--weight), ${Math.min(weight, 1) * 0.85})`;
      word.querySelector("small").textContent = weight >= 0.01 ? weight.toFixed(2).replace(/^0/, "") : "";
    });
  };
  const rest = () => (pinned ? show(...pinned) : clear());
  for (const side of ["source", "target"]) {
    words[side].forEach((word, place) => {
      word.addEventListener("mouseenter", () => show(side, place));
      word.addEventListener("mouseleave", rest);
      word.addEventListener("focus", () => show(side, place));
      word.addEventListener("blur", rest);
      word.addEventListener("click", () => {
        pinned = pinned && pinned[0] === side && pinned[1] === place ? null : [side, place];
        rest();
      });
    });
  }
  if (section.dataset.pair === "0" && words.target.length) show("target", 0);
}
"""

_HOW = "Point at a word, or move with Tab: the stronger the colour of a word on the other side, the larger its weight. A click keeps it."

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'{allowed}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="how">{how}</p>
{sections}
<script type="application/json" id="weights">{data}</script>
<script>{script}</script>
</body>
</html>
"""
