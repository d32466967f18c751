"""A folder of a `MarianMTModel` as a run: settings, tokenizers and weights. No pickle is read."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2attn import config, strict_json
from seq2attn.data.marian_tokenizer import MarianTokenizer
from seq2attn.errors import UserError
from seq2attn.marian import settings, vocabulary, weights
from seq2attn.marian.settings import Facts
from seq2attn.marian.vocabulary import Vocabulary
from seq2attn.runs import directory, headers, tensors
from seq2attn.runs.directory import Run
from seq2attn.version import __version__

WEIGHTS = "model.safetensors"
TEXTS = ("config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "target_vocab.json")
SUBWORDS = ("source.spm", "target.spm")
FILES = (*TEXTS, *SUBWORDS, WEIGHTS, "README.md")  # all that is read
MOST_BYTES = 1 << 26  # of each file but the weights
_PICKLES = ("pytorch_model.bin", "tf_model.h5", "model.npz")
_CONVERT = (
    'make it with transformers: python -c "from transformers import MarianMTModel as M; '
    "M.from_pretrained('{folder}').save_pretrained('{folder}')\""
)
_LICENCE = re.compile(r"^license:[ \t]*[\"']?([\w.+-]{1,40})", re.MULTILINE)
_LANGUAGE = re.compile(r"[\w.+-]{1,40}")


def import_folder(
    folder: Path,
    out: Path,
    origin: str,
    languages: tuple[str | None, str | None] = (None, None),
    command: str = "",
    force: bool = False,
) -> Run:
    """A new run at `out` of the model in `folder`. `origin` is its name for people.

    Languages that are None are those of its tokenizer_config.json. `force` replaces a run at `out`. Raises
    UserError, one line, for a folder that is incomplete, damaged, or of a model that this program does not
    have, before anything is written.
    """
    directory.refuse_existing(out, force)
    _refuse_incomplete(folder)
    facts, own_settings = settings.read(
        _json(folder, "config.json"), _json(folder, "generation_config.json", {}), str(folder)
    )
    sides = _vocabularies(folder, facts)
    tokenizers = [_tokenizer(folder / name, side) for name, side in zip(SUBWORDS, sides, strict=True)]
    own_settings = config.change(own_settings, [f'data.tokenizer="{tokenizers[0].kind}"'], str(folder))
    own = _weights(folder, facts, sides)
    contents = [tokenizer.content() for tokenizer in tokenizers]
    joint = facts.shared and contents[0] == contents[1]
    known = _json(folder, "tokenizer_config.json", {})
    run = directory.create(
        out,
        own_settings,
        source_size=tokenizers[0].size,
        target_size=tokenizers[1].size,
        languages=(
            languages[0] or _language(known.get("source_lang")),
            languages[1] or _language(known.get("target_lang")),
        ),
        tokenizers={"tokenizer.model": contents[0]}
        if joint
        else dict(zip(("source.model", "target.model"), contents, strict=True)),
        corpus=origin,
        force=force,
    )
    tensors.write_tensors(run.weights, own)
    directory.append_line(run.path / "provenance.jsonl", _provenance(folder, origin, command))
    return run


def _refuse_incomplete(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if not (folder / WEIGHTS).is_file():
        if (folder / f"{WEIGHTS}.index.json").is_file():
            raise UserError(f"{folder}: its weights are in several files: save them as one {WEIGHTS}")
        other = next((name for name in _PICKLES if (folder / name).exists()), None)
        why = f": {other} can run code, so it is not read" if other else ""
        raise UserError(f"{folder}: has no {WEIGHTS}{why}; {_CONVERT.format(folder=folder)}")
    for name in ("config.json", "vocab.json", *SUBWORDS):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: has no {name}: it is no whole folder of a MarianMTModel")


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file}: longer than {MOST_BYTES:,} bytes")
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def _json(folder: Path, name: str, missing: Any = None) -> Any:
    """The object in a file, or `missing` for a file that is not there."""
    file = folder / name
    if missing is not None and not file.exists():
        return missing
    try:
        tree = strict_json.parse(_content(file).decode())
    except ValueError as error:
        raise UserError(f"{file}: damaged ({str(error)[:200]})") from None
    if not isinstance(tree, dict):
        raise UserError(f"{file}: it holds no object")
    return tree


def _vocabularies(folder: Path, facts: Facts) -> tuple[Vocabulary, Vocabulary]:
    file = folder / "vocab.json"
    tree = _json(folder, file.name)
    start = facts.start if facts.shared else None
    source = vocabulary.read(tree, facts.sizes[0], facts.end, start, str(file))
    if facts.shared:
        return source, source
    other = folder / "target_vocab.json"
    if not other.exists():  # two embeddings of one list
        other = file
    tree = _json(folder, other.name)
    return source, vocabulary.read(tree, facts.sizes[1], facts.end, facts.start, str(other))


def _tokenizer(file: Path, side: Vocabulary) -> MarianTokenizer:
    try:
        return MarianTokenizer.convert(_content(file), side.names)
    except (ValueError, RuntimeError, OSError) as error:
        problem = str(error).splitlines()[0][:200] if str(error) else "damaged"
        raise UserError(f"{file}: no SentencePiece model that can be imported ({problem})") from None


def _weights(folder: Path, facts: Facts, sides: tuple[Vocabulary, Vocabulary]) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    stored, known = headers.read_shapes(file), weights.shapes(facts)
    for name in sorted(stored.keys() - set(weights.POSITIONS)):
        if stored[name] != known.get(name):
            problem = f"{name} has the shape {stored[name]}" if name in known else f"{name[:80]} is unknown"
            raise UserError(f"{file}: {problem}: it is no model of this config.json")
    if missing := sorted(weights.required(facts) - stored.keys()):
        raise UserError(f"{file}: has no {missing[0]}: it is no model of this config.json")
    if any(
        len(stored.get(name, [])) not in (0, 2) or stored.get(name, [0])[0] > 2**16
        for name in weights.POSITIONS
    ):
        raise UserError(f"{file}: its positions are no table of vectors")
    theirs = {name: tensor.float() for name, tensor in tensors.read_tensors(file).items()}
    for name in weights.POSITIONS:
        table = theirs.pop(name, None)
        if table is not None and not (
            table.shape[1] == facts.width
            and torch.allclose(table, weights.sinusoids(*table.shape), atol=1e-3)
        ):
            raise UserError(f"{file}: {name} is not sinusoidal: such a model cannot be imported")
    for name, tensor in theirs.items():
        if not tensor.isfinite().all():
            raise UserError(f"{file}: {name} holds numbers that are not finite")
    try:
        return weights.to_own(theirs, facts, sides)
    except ValueError as error:
        raise UserError(f"{file}: {error}: it is no model of this config.json") from None


def _language(name: object) -> str | None:
    return name if isinstance(name, str) and _LANGUAGE.fullmatch(name) else None


def _provenance(folder: Path, origin: str, command: str) -> Mapping[str, object]:
    """A line of provenance.jsonl: where the model is from, and what its files hold."""
    digests = {}
    for name in FILES:
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": 0,
        "command": strict_json.whole_text(command),
        "seq2attn": __version__,
        "torch": torch.__version__,
        "imported": {
            "from": strict_json.whole_text(origin),
            "licence": licence(folder / "README.md"),
            "files": digests,
        },
    }


def licence(card: Path) -> str | None:
    """The licence that the card of a model names in its first lines; None without one."""
    if not card.is_file() or card.stat().st_size > MOST_BYTES:
        return None
    head = card.read_text(encoding="utf-8", errors="replace").split("---")
    match = _LICENCE.search(head[1]) if len(head) > 2 and not head[0].strip() else None
    return match[1] if match else None
