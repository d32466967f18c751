"""What captions looked at, as one HTML file to explore: point at a word and its weights light up the image,
or at the image and see which words
looked there. A clip shows its frames in a row, with bars. No script, font or image from elsewhere; knows
pixels, words and weights, no model.
"""

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import html_alignment, spotlight

_LONGEST, _LONGEST_FRAME = 768, 240  # pixels of the longer side that are kept
_CRISP = 160  # smaller images show their pixels


class Looked(NamedTuple):
    """An image (Y, X, 3) with `weights` (words, rows * columns) over the cells of `grid`, or a clip (F, Y,
    X, 3) with (words, F) and no grid. Pixels are uint8.
    """

    pixels: np.ndarray
    words: Sequence[str]
    weights: np.ndarray
    grid: tuple[int, int] | None
    name: str = ""


def save(images: Sequence[Looked], path: Path, title: str = "Attention") -> None:
    """Write the page to `path` (beside and renamed). Raises UsageError when a shape does not fit."""
    html_alignment.write(render(images, title), path)


def render(images: Sequence[Looked], title: str = "Attention") -> str:
    """The page as text."""
    sections = "\n".join(_section(image, number) for number, image in enumerate(images))
    numbers = [
        [
            *(image.grid or (0, 0)),
            spotlight.scale_max(image.weights),
            np.round(np.asarray(image.weights, dtype=np.float64), 5).tolist(),
        ]
        for image in images
    ]
    # numbers and brackets alone: nothing that could end the script element
    data = json.dumps(numbers, separators=(",", ":"), allow_nan=False)
    script = _SCRIPT.replace("BENT", str(spotlight.GAMMA)).replace(
        "WARM", ", ".join(map(str, spotlight.WARM))
    )
    return html_alignment.PAGE.format(
        title=escape(html_alignment.harmless(title)),
        allowed="; img-src data:",
        how=_HOW,
        style=html_alignment.STYLE + _STYLE,
        sections=sections,
        data=data,
        script=html_alignment.LISTEN + script,
    )


def _section(image: Looked, number: int) -> str:
    clip = image.grid is None
    pixels, weights = image.pixels, np.asarray(image.weights, dtype=np.float64)
    if pixels.ndim != 3 + clip or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise UsageError(
            f"pixels of shape {pixels.shape}, {pixels.dtype}: {'a clip is (F, Y, X, 3)' if clip else 'an image is (Y, X, 3)'}, uint8"
        )
    positions = len(pixels) if image.grid is None else image.grid[0] * image.grid[1]
    if weights.shape != (len(image.words), positions) or not np.isfinite(weights).all():
        raise UsageError(
            f"weights of shape {weights.shape} for {len(image.words)} words and {positions} {'frames' if clip else 'cells'}: "
            "they need a row of finite numbers for each word and a column for each position"
        )
    name = f"<h2>{escape(html_alignment.harmless(image.name))}</h2>\n" if image.name else ""
    shown = _frames(pixels) if clip else _stage(pixels)
    full = (
        f'<p class="how">{"full bar" if clip else "full light"}: weight {spotlight.scale_max(weights):g}</p>'
    )
    return f'<section data-image="{number}">\n{name}{shown}\n{html_alignment.line("caption", image.words)}\n{full}\n</section>'


def _stage(pixels: np.ndarray) -> str:
    high, wide = pixels.shape[:2]
    return f'<div class="stage" style="aspect-ratio: {wide} / {high}; max-width: {30 * wide / max(high, wide):.2f}rem">{_image(pixels, _LONGEST)}<canvas></canvas></div>'


def _frames(pixels: np.ndarray) -> str:
    figures = "".join(
        f"<figure>{_image(frame, _LONGEST_FRAME)}<figcaption>{number}<small></small></figcaption><i></i></figure>"
        for number, frame in enumerate(pixels, 1)
    )
    return f'<div class="strip">{figures}</div>'


def _image(pixels: np.ndarray, longest: int) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    crisp = ' class="crisp"' if max(image.size) < _CRISP else ""
    return (
        f'<img{crisp} alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode("ascii")}">'
    )


_HOW = (
    "Point at a word, or move with the arrow keys: the image is lit where it looked. "
    "Point at the image: the words that looked there. A click pins a word until the next."
)

_STYLE = """
h2 { margin: 0 0 .6rem; font-size: .95rem; font-weight: 500; overflow-wrap: anywhere; }
section .how { display: block; margin: 0; font-size: .75rem; }
.stage { position: relative; overflow: hidden; border-radius: .35rem; }
.stage img, .stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage img { transition: filter .12s; }
.stage.dark img { filter: grayscale(1) brightness(.28); }
.crisp { image-rendering: pixelated; }
.strip { display: flex; gap: .25rem; margin-bottom: .6rem; }
.strip figure { flex: 1 1 0; min-width: 0; max-width: 12rem; margin: 0; }
.strip img { display: block; width: 100%; border-radius: .2rem; transition: opacity .12s; }
.strip figcaption { display: flex; justify-content: space-between; color: var(--soft); font-size: .65rem; font-variant-numeric: tabular-nums; }
.strip i { display: block; height: 3.5rem; background: linear-gradient(rgb(var(--weight)), rgb(var(--weight))) top / 100% calc(var(--part, 0) * 100%) no-repeat; }
"""

_SCRIPT = """
const images = JSON.parse(document.getElementById("weights").textContent);
for (const section of document.querySelectorAll("section")) {
  const [rows, columns, highest, weights] = images[+section.dataset.image];
  const words = [...section.querySelectorAll(".word")];
  const figures = [...section.querySelectorAll("figure")];
  const stage = section.querySelector(".stage");
  const image = section.querySelector("img");
  const canvas = section.querySelector("canvas");
  const part = (weight) => Math.min(Math.max(weight, 0) / highest, 1);
  const light = (weight) => part(weight) ** BENT;
  const clear = () => {
    for (const word of words) {
      word.classList.remove("chosen");
      word.style.backgroundColor = "";
      word.querySelector("small").textContent = "";
    }
    for (const figure of figures) {
      figure.style.setProperty("--part", 0);
      figure.querySelector("img").style.opacity = "";
      figure.querySelector("small").textContent = "";
    }
    if (canvas) {
      stage.classList.remove("dark");
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
  };
  const lay = (row) => {
    const cells = document.createElement("canvas");
    [cells.width, cells.height] = [columns + 2, rows + 2]; // the outer cells twice: level up to the edge
    const data = new ImageData(columns + 2, rows + 2);
    for (let y = 0; y < rows + 2; y++) {
      for (let x = 0; x < columns + 2; x++) {
        const cell = Math.min(Math.max(y - 1, 0), rows - 1) * columns + Math.min(Math.max(x - 1, 0), columns - 1);
        data.data[4 * (y * (columns + 2) + x) + 3] = Math.round(255 * light(row[cell]));
      }
    }
    cells.getContext("2d").putImageData(data, 0, 0);
    const times = Math.max(1, Math.round(640 / Math.max(image.naturalWidth, image.naturalHeight)));
    const [wide, high] = [(canvas.width = image.naturalWidth * times), (canvas.height = image.naturalHeight * times)];
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(cells, -wide / columns, -high / rows, wide + (2 * wide) / columns, high + (2 * high) / rows);
    pen.globalCompositeOperation = "source-in";
    pen.imageSmoothingEnabled = !image.classList.contains("crisp");
    pen.drawImage(image, 0, 0, wide, high);
    pen.globalCompositeOperation = "source-atop";
    pen.fillStyle = "rgba(WARM, 0.2)";
    pen.fillRect(0, 0, wide, high);
    stage.classList.add("dark");
  };
  const show = (chosen) => {
    clear();
    words[chosen].classList.add("chosen");
    if (canvas) lay(weights[chosen]);
    figures.forEach((figure, frame) => {
      const weight = weights[chosen][frame];
      figure.style.setProperty("--part", part(weight));
      figure.querySelector("img").style.opacity = 0.3 + 0.7 * light(weight);
      figure.querySelector("small").textContent = short(weight, 0.005);
    });
  };
  const seen = (position) => {
    clear();
    words.forEach((word, row) => {
      const weight = weights[row][position];
      word.style.backgroundColor = `rgba(var(--weight), ${light(weight) * 0.85})`;
      word.querySelector("small").textContent = short(weight, 0.005);
    });
  };
  const pointer = listen(section, [words], (line, place) => show(place), clear, () => null);
  const look = (position) => pointer.pinned() || seen(position);
  figures.forEach((figure, frame) => {
    figure.addEventListener("mouseenter", () => look(frame));
    figure.addEventListener("mouseleave", pointer.back);
  });
  if (canvas) {
    canvas.addEventListener("mousemove", (event) => {
      const cell = (at, length, count) => Math.min(Math.max(Math.floor((at / length) * count), 0), count - 1);
      look(cell(event.offsetY, canvas.clientHeight, rows) * columns + cell(event.offsetX, canvas.clientWidth, columns));
    });
    canvas.addEventListener("mouseleave", pointer.back);
  }
  if (words.length) image.decode().then(() => pointer.pinned() || show(0));
}
"""
