"""The card of a run, RUN/README.md: what it was made from, its scores with signatures, and how to use it.

`train` and `import` write it. It holds no path of the machine: of a corpus or a folder the last name alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seq2attn import files, strict_json
from seq2attn.data.bundled import NAMES as BUNDLED
from seq2attn.notes import note
from seq2attn.runs.card_file import MARK, NAME, is_own
from seq2attn.runs.directory import MAX_BYTES, Run, open_run
from seq2attn.tasks.hub import HUB
from seq2attn.version import __version__

_SCORES = {"bleu": "BLEU", "chrf": "chrF2", "ter": "TER", "cider": "CIDEr-D"}


def write(path: Path, tested: Mapping[str, tuple[str, ...]] | None = None) -> Path | None:
    """Write the card of the trained run at `path`, and return its file.

    `tested` are the lines of scores of each test split, where they are known; those in RUN/scores stand
    beside them. A README.md that the user has written stays: then the result is None.
    """
    file = path / NAME
    if file.exists() and not is_own(path):
        note(f"{file} is yours, so no card is written")
        return None
    files.write(file, text(open_run(path), tested or {}).encode())
    return file


def text(run: Run, tested: Mapping[str, tuple[str, ...]]) -> str:
    """The card as Markdown, with the head that the Hugging Face hub reads."""
    parts = [_head(run), "", MARK, "", f"# {_line(run.path.resolve().name)}", "", *_about(run), ""]
    parts += ["## Data", "", *_data(run), ""]
    scores = list(_scores(run.path, tested))
    if scores:
        parts += ["## Scores", "", *scores, ""]
    return "\n".join([*parts, "## Use", "", *_use(run)]) + "\n"


def public_name(corpus: str) -> str:
    """The name of a corpus or a model for others: without the folders of this machine."""
    return corpus if corpus in BUNDLED or corpus.startswith(HUB) else Path(corpus).name or "-"


def imported(path: Path) -> Mapping[str, Any] | None:
    """What provenance.jsonl says of the model that was imported; None for a run that began here."""
    for entry in _lines(path / "provenance.jsonl"):
        if isinstance(entry.get("imported"), dict):
            origin: Mapping[str, Any] = entry["imported"]
            return origin
    return None


def _head(run: Run) -> str:
    """The facts in YAML, of plain words alone."""
    origin = imported(run.path) or {}
    languages = [name for name in run.languages if name and re.fullmatch(r"[a-z]{2,3}", name)]
    lines = ["---", "library_name: seq2attn"]
    if languages:
        lines += ["language:", *(f"- {name}" for name in dict.fromkeys(languages))]
    if isinstance(origin.get("licence"), str) and re.fullmatch(r"[\w.+-]{1,40}", origin["licence"]):
        lines.append(f"license: {origin['licence']}")
    base = str(origin.get("from", "")).removeprefix(HUB).partition("@")[0]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        lines.append(f"base_model: {base}")
    task = "translation" if run.config.model.modality.has_vocabulary else "image-to-text"
    return "\n".join([*lines, f"pipeline_tag: {task}", "---"])


def _about(run: Run) -> Iterator[str]:
    model = run.config.model
    source, target = (name or "-" for name in run.languages)
    kinds = f"{model.encoder.kind} encoder, {model.decoder.kind} decoder"
    kinds += f", attention by {model.attention.score}" if model.attends else ", no attention"
    if model.modality.has_vocabulary:
        yield f"A translator from `{_line(source)}` to `{_line(target)}`: {kinds}."
    else:
        yield f"It describes pictures in `{_line(target)}`: {kinds}."
    if run.config.about:
        yield _line(run.config.about)
    yield f"Made with [seq2attn](https://pypi.org/project/seq2attn) {__version__}."


def _data(run: Run) -> Iterator[str]:
    origin = imported(run.path)
    if origin is not None:
        licence = origin.get("licence") or "not named in its files: ask its authors"
        name = _line(public_name(str(origin.get("from"))))
        yield f"- Imported from `{name}`; licence: {_line(str(licence))}."
    trainings = [entry["data"] for entry in _lines(run.path / "provenance.jsonl") if "data" in entry]
    for name in dict.fromkeys(str(data["corpus"]) for data in trainings if isinstance(data, dict)):
        yield f"- Trained on `{_line(public_name(name))}`. The licence of the data is that of their authors."
    if trainings and isinstance(trainings[-1], dict) and isinstance(trainings[-1].get("training"), str):
        yield f"- Fingerprint of the training pairs: `{_line(trainings[-1]['training'])}`."
    yield f"- Vocabulary: {run.source_size:,} tokens of the source, {run.target_size:,} of the target."


def _scores(path: Path, tested: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The scores by split: those of the test at the end of a training, and those of `evaluate`."""
    for split, lines in tested.items():
        for line in lines:
            yield f"- {_line(split)}: {_line(line)}"
    for file in sorted((path / "scores").glob("*.json")) if (path / "scores").is_dir() else ():
        tree = next(iter(_trees(file)), None)
        if tree is None or tree.get("set") or not isinstance(tree.get("split"), str):
            continue
        signatures = tree.get("signatures")
        for key, name in _SCORES.items():
            if isinstance(value := tree.get(key), int | float) and isinstance(signatures, dict):
                yield f"- {_line(tree['split'])}: {name} {value:.2f} `{_line(str(signatures.get(key, '')))}`"
        alignment = tree.get("alignment")
        if isinstance(alignment, dict) and isinstance(rate := alignment.get("aer"), int | float):
            yield f"- {_line(tree['split'])}: alignment error rate of the attention {100 * rate:.1f} %"


def _use(run: Run) -> Iterator[str]:
    text = run.config.model.modality.has_vocabulary
    shell = 'echo "TEXT" | seq2attn translate RUN' if text else "seq2attn caption RUN PICTURE"
    call = (
        'print(model.translate(["TEXT"])[0][0].text)'
        if text
        else 'print(model.caption(["PICTURE"])[0][0].text)'
    )
    yield from ("RUN is the folder of this file.", "", "```bash", "pip install seq2attn", shell, "```", "")
    yield from ("```python", "import seq2attn", "", 'model = seq2attn.load("RUN")', call, "```")


def _line(text: str) -> str:
    """A text as one line that cannot become markup."""
    printable = "".join(c if c.isprintable() else " " for c in strict_json.whole_text(text))
    return re.sub("[`<>\\[\\]]", "", printable)[:300]


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines. What is damaged is left out: nothing depends on it."""
    if file.is_file() and file.stat().st_size <= MAX_BYTES:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            yield from _parsed(line)


def _trees(file: Path) -> Iterator[dict[str, Any]]:
    if file.is_file() and file.stat().st_size <= MAX_BYTES:
        yield from _parsed(file.read_text(encoding="utf-8", errors="replace"))


def _parsed(content: str) -> Iterator[dict[str, Any]]:
    try:
        tree = strict_json.parse(content, constants=True)
    except ValueError:
        return
    if isinstance(tree, dict):
        yield tree
