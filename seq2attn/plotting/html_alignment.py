"""Attention as one HTML file to explore: point at a word and see where its weights are on the other side. No
script or font from elsewhere.

At rest lines join what belongs together, and source words that were hardly read are underlined. Of several
heads a small map each stands above the words, to choose from. Knows weights and words; the file works without
a network, with the keyboard, in light and dark, and in any script the browser can draw.
"""

import html
import json
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from seq2attn import files
from seq2attn.errors import UsageError
from seq2attn.plotting.alignment import LITTLE, Alignment, count_line, hardly_read, mean

__all__ = ["Alignment", "render", "save"]

Pair = Alignment | Sequence[Alignment]  # the attention of one pair, or of each of several heads


def save(pairs: Sequence[Pair], path: Path, title: str = "Attention") -> None:
    """Write the page to `path` whole or not at all. Raises UsageError when a shape does not fit its words."""
    write(render(pairs, title), path)


def write(text: str, path: Path) -> None:
    """The text of a page to `path`, whole or not at all."""
    files.write(path, text.encode("utf-8", "replace"))


def render(pairs: Sequence[Pair], title: str = "Attention") -> str:
    """The page as text. A pair with no weights, which is an empty line of a file, is named by its number
    alone."""
    groups = [_views(pair) for pair in pairs]
    sections: list[str] = []
    weights: list[object] = []
    for views in groups:
        if len(pairs) > 1 and not np.size(views[0].attention):
            sections.append(f'<p class="empty">{_name(views[0])}: empty</p>')
            continue
        sections.append(_section(views, len(weights)))
        matrices = [np.round(np.asarray(view.attention, dtype=np.float64), 4).tolist() for view in views]
        weights.append(matrices[0] if len(views) == 1 else matrices)
    # numbers and brackets alone: nothing that could end the script element
    data = json.dumps(weights, separators=(",", ":"), allow_nan=False)
    return PAGE.format(
        title=html.escape(harmless(title)),
        allowed="",
        how=_HOW,
        style=STYLE + _STYLE,
        sections="\n".join(sections),
        data=data,
        script=LISTEN + _SCRIPT,
    )


def harmless(text: str) -> str:
    """`text` with an escape for what must not stand in a page: control characters, those that turn the
    direction of all that follows, and non-characters."""
    return "".join(c.encode("unicode_escape").decode("ascii") if _harms(c) else c for c in text)


def _harms(character: str) -> bool:
    code = ord(character)
    steers = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    no_character = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return steers or no_character or unicodedata.category(character) == "Cc"


def _views(pair: Pair) -> list[Alignment]:
    """One alignment, or the mean and then each of several."""
    if isinstance(pair, Alignment):
        return [pair]
    return list(pair) if len(pair) == 1 else [mean(pair)._replace(title="mean"), *pair]


def _name(alignment: Alignment) -> str:
    return "line" if alignment.line is None else f"line {alignment.line}"


def _section(views: Sequence[Alignment], number: int) -> str:
    first = views[0]
    rows, columns = len(first.target_words), len(first.source_words)
    for view in views:
        if np.shape(view.attention) != (rows, columns):
            raise UsageError(
                f"attention of shape {np.shape(view.attention)} for {rows} target and {columns} source words: "
                "it needs a row for each target word and a column for each source word"
            )
    hardly = hardly_read(first)
    heading = "" if first.line is None else f"<h2>{_name(first)}</h2>\n"
    if len(views) == 1 and first.title:
        heading += f"<h2>{html.escape(harmless(first.title))}</h2>\n"
    counted = count_line(first if len(views) == 1 else first._replace(title=""), named=False)  # of all heads
    notes = [note for note in (counted, first.score) if note]
    return (
        f'<section data-pair="{number}" aria-label="{_name(first) if first.line else "pair"}">\n{heading}{_heads(views)}<div class="pair">\n'
        f"{line('source', first.source_words, ends=first.ends, hardly=hardly)}\n"
        f"{line('target', first.target_words, ends=first.ends, first=False)}\n</div>\n"
        + "".join(f'<p class="note">{html.escape(harmless(note))}</p>\n' for note in notes)
        + '<p class="said" aria-live="polite"></p>\n</section>'
    )


def _heads(views: Sequence[Alignment]) -> str:
    """A small map of each, to choose from."""
    if len(views) == 1:
        return ""
    buttons = "".join(
        f'<button type="button" aria-pressed="{"false" if number else "true"}"><canvas></canvas><span>{html.escape(harmless(view.title))}</span></button>'
        for number, view in enumerate(views)
    )
    return f'<div class="heads" role="group" aria-label="layers and heads">{buttons}</div>\n'


def line(
    side: str, words: Sequence[str], ends: bool = False, hardly: Collection[int] = (), first: bool = True
) -> str:
    """A line of words to point at, named by its `side`; every word is text, whatever it holds. `first`: of
    the lines that the Tab key stops at once."""
    spans = " ".join(
        f'<span class="{_classes(place, len(words), ends, hardly)}" role="button" aria-pressed="false" tabindex="{"-1" if place or not first else "0"}"'
        f'{_HARDLY if place in hardly else ""} data-word="{place}"><bdi>{html.escape(harmless(word)) or "&nbsp;"}</bdi><small></small></span>'
        for place, word in enumerate(words)
    )
    return f'<p class="{side}"><b>{side}</b><span role="group" aria-label="{side}" dir="{_direction(words)}">{spans}</span></p>'


_HARDLY = f' title="hardly read: its weights add up to less than {LITTLE:g}"'


def _classes(place: int, count: int, ends: bool, hardly: Collection[int]) -> str:
    return "word" + (" hardly" if place in hardly else "") + (" end" if ends and place == count - 1 else "")


def _direction(words: Sequence[str]) -> str:
    """Of a line of words: that of its first letter with one, as in Unicode's bidirectional algorithm."""
    strong = (unicodedata.bidirectional(character) for word in words for character in word)
    return "rtl" if next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L" else "ltr"


STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --paper: #ffffff; --soft: #66727f; --line: #dfe5ec; --weight: 30, 111, 191; --chosen: #d9480f; --mark: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --paper: #12161b; --soft: #8d99a6; --line: #2a323b; --weight: 74, 158, 255; --chosen: #ff8a4c; --mark: #ff9f66; } }
body { margin: 2.5rem auto; padding: 0 1.25rem; max-width: 62rem; color: var(--ink); background: var(--paper); font: 1.125rem/1.5 system-ui, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 1.25rem; font-weight: 600; unicode-bidi: plaintext; overflow-wrap: anywhere; }
h2 { margin: 0 0 .4rem; font-size: .85rem; font-weight: 500; color: var(--soft); unicode-bidi: plaintext; overflow-wrap: anywhere; }
.how { margin: .25rem 0 1.5rem; color: var(--soft); font-size: .9rem; }
section { padding: 1rem 0; border-top: 1px solid var(--line); }
section p { display: grid; grid-template-columns: 4.2rem 1fr; align-items: baseline; margin: .4rem 0; }
section p > span { justify-self: start; }
section b { color: var(--soft); font-size: .8rem; font-weight: 500; }
.word { position: relative; display: inline-block; margin: .1rem 0 .9rem; padding: .1rem .35rem; border-radius: .35rem; cursor: pointer; outline: none; overflow-wrap: anywhere; transition: background-color .12s; }
.word.chosen { box-shadow: inset 0 0 0 2px var(--chosen); }
.word:focus-visible { box-shadow: inset 0 0 0 2px var(--chosen); }
.word small { position: absolute; left: 0; right: 0; top: 100%; text-align: center; color: var(--soft); font-size: .65rem; line-height: 1; font-variant-numeric: tabular-nums; direction: ltr; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
"""

_STYLE = """
.pair { position: relative; }
.pair svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.pair path { fill: none; stroke: rgb(var(--weight)); stroke-width: 2; }
.pair .source { margin-bottom: 1.6rem; }
.word.hardly bdi { text-decoration: underline dashed var(--mark) .11em; text-underline-offset: .22em; }
.word.end bdi { color: var(--soft); font-style: italic; }
section p.note, p.empty { display: block; margin: 0; color: var(--soft); font-size: .8rem; }
p.empty { padding: .5rem 0; border-top: 1px solid var(--line); }
.heads { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.2rem, 1fr)); gap: .5rem; margin: 0 0 1rem; }
.heads button { padding: .4rem; border: 1px solid var(--line); border-radius: .35rem; background: none; color: var(--soft); font: inherit; font-size: .72rem; text-align: left; cursor: pointer; }
.heads button[aria-pressed="true"] { border-color: var(--chosen); box-shadow: inset 0 0 0 1px var(--chosen); color: var(--ink); }
.heads canvas { display: block; width: 100%; aspect-ratio: 3 / 2; margin-bottom: .3rem; image-rendering: pixelated; }
"""

# Words to point at, with mouse and keyboard. `lines` are arrays of words; show(line, place) and rest() draw;
# across(line, place) is the [line, place]
# that the up and down arrows go to, or null.
LISTEN = """
const listen = (section, lines, show, rest, across) => {
  let pinned = null;
  const same = (line, place) => pinned && pinned[0] === line && pinned[1] === place;
  const press = () => lines.forEach((words, line) => words.forEach((word, place) => word.setAttribute("aria-pressed", !!same(line, place))));
  const back = () => (pinned ? show(...pinned) : rest());
  const pin = (line, place) => {
    pinned = same(line, place) ? null : [line, place];
    press();
    back();
  };
  const go = (line, place) => {
    for (const words of lines) for (const word of words) word.tabIndex = -1;
    lines[line][place].tabIndex = 0;
    lines[line][place].focus();
  };
  lines.forEach((words, line) => {
    const leftwards = words.length && getComputedStyle(words[0].parentNode).direction === "rtl";
    words.forEach((word, place) => {
      word.addEventListener("mouseenter", () => pinned || show(line, place));
      word.addEventListener("mouseleave", () => pinned || rest());
      word.addEventListener("focus", () => {
        if (!word.matches(":focus-visible")) return;
        if (pinned) [pinned = [line, place], press()];
        show(line, place);
      });
      word.addEventListener("blur", () => pinned || rest());
      word.addEventListener("click", () => pin(line, place));
      word.addEventListener("keydown", (event) => {
        const step = { ArrowRight: leftwards ? -1 : 1, ArrowLeft: leftwards ? 1 : -1 }[event.key];
        const to = { Home: 0, End: words.length - 1 }[event.key] ?? (step && Math.min(Math.max(place + step, 0), words.length - 1));
        if (event.key === "Enter" || event.key === " ") pin(line, place);
        else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
          const other = across(line, place, event.key === "ArrowUp");
          if (!other) return;
          go(...other);
        } else if (to !== undefined) go(line, to);
        else return;
        event.preventDefault();
      });
    });
  });
  section.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !pinned) return;
    pinned = null;
    press();
    rest();
  });
  return { back, pinned: () => pinned };
};
const short = (weight, least) => (weight >= least ? weight.toFixed(2).replace(/^0/, "") : "");
"""

_SCRIPT = """
const pairs = JSON.parse(document.getElementById("weights").textContent);
for (const section of document.querySelectorAll("section")) {
  const pair = pairs[+section.dataset.pair];
  const views = pair.length && Array.isArray(pair[0][0]) ? pair : [pair];
  const lines = [".source", ".target"].map((side) => [...section.querySelectorAll(side + " .word")]);
  const box = section.querySelector(".pair");
  const said = section.querySelector(".said");
  const svg = box.insertBefore(document.createElement("template"), box.firstChild);
  svg.outerHTML = '<svg aria-hidden="true"></svg>';
  const drawing = box.firstChild;
  let weights = views[0];
  let chosen = null;
  const weight = (line, place, other) => (line ? weights[place][other] : weights[other][place]);
  const draw = () => {
    const at = box.getBoundingClientRect();
    const paths = [];
    const wrapped = lines.some((words) => words.length && words.at(-1).offsetTop > words[0].offsetTop + 4); // lines cross words then
    const strength = chosen ? 0.9 : wrapped ? 0.22 : 0.5;
    weights.forEach((row, target) =>
      row.forEach((value, source) => {
        if (chosen ? chosen[1] !== (chosen[0] ? target : source) || value < 0.01 : value < 0.1) return;
        const [above, below] = [lines[0][source].getBoundingClientRect(), lines[1][target].getBoundingClientRect()];
        const [x, y, to, end] = [above.left + above.width / 2 - at.left, above.bottom - at.top + 11, below.left + below.width / 2 - at.left, below.top - at.top];
        const path = document.createElementNS(drawing.namespaceURI, "path");
        path.setAttribute("d", `M${x} ${y}C${x} ${(y + end) / 2} ${to} ${(y + end) / 2} ${to} ${end}`);
        path.setAttribute("stroke-opacity", Math.min(value, 1) * strength);
        paths.push(path);
      }),
    );
    drawing.replaceChildren(...paths);
  };
  const clear = () => {
    for (const word of lines.flat()) {
      word.classList.remove("chosen");
      word.style.backgroundColor = "";
      word.querySelector("small").textContent = "";
    }
  };
  const rest = () => {
    clear();
    chosen = null;
    said.textContent = "";
    draw();
  };
  const show = (line, place) => {
    clear();
    chosen = [line, place];
    const word = lines[line][place];
    word.classList.add("chosen");
    const strong = [];
    lines[1 - line].forEach((other, number) => {
      const value = weight(line, place, number);
      other.style.backgroundColor = `rgba(var(--weight), ${Math.min(value, 1) * 0.85})`;
      other.querySelector("small").textContent = short(value, 0.01);
      if (value >= 0.1) strong.push([value, other.querySelector("bdi").textContent]);
    });
    strong.sort((one, other) => other[0] - one[0]);
    said.textContent = `${word.querySelector("bdi").textContent}: ${strong.map(([value, text]) => `${text} ${value.toFixed(2)}`).join(", ")}`;
    draw();
  };
  const across = (line, place, up) => {
    if (up !== (line === 1) || !lines[1 - line].length) return null;
    let best = 0;
    lines[1 - line].forEach((_, number) => (best = weight(line, place, number) > weight(line, place, best) ? number : best));
    return [1 - line, best];
  };
  const pointer = listen(section, lines, show, rest, across);
  const buttons = [...section.querySelectorAll(".heads button")];
  const paint = () => {
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--weight");
    const highest = Math.max(...views.slice(1).flat(2), 0.01);
    buttons.forEach((button, number) => {
      const canvas = button.querySelector("canvas");
      [canvas.width, canvas.height] = [views[number][0].length * 4, views[number].length * 4];
      const pen = canvas.getContext("2d");
      views[number].forEach((row, y) =>
        row.forEach((value, x) => {
          pen.fillStyle = `rgba(${colour}, ${0.06 + (0.94 * Math.min(Math.max(value, 0), highest)) / highest})`;
          pen.fillRect(4 * x, 4 * y, 4, 4);
        }),
      );
    });
  };
  buttons.forEach((button, number) =>
    button.addEventListener("click", () => {
      weights = views[number];
      buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
      pointer.back();
    }),
  );
  if (buttons.length) {
    paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  }
  draw();
  new ResizeObserver(draw).observe(box);
}
"""

_HOW = (
    "Point at a word, or move with the arrow keys: the stronger the colour of a word on the other side, the larger its weight. "
    "A click pins a word until the next. Underlined: hardly read."
)

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
