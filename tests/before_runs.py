"""Old runs, read with the names of today: do models still train, search and attend as they did?

    python tests/before_runs.py [NAME ...]     one line for each run in tests/before

It says for each run "identical" (to the last bit), "within bounds" and by how much, or what differs. The exit
status is 1 where any differs. The bounds are `LOSS`, `SCORE` and `WEIGHT` below.

`tests/before` holds small runs of every kind, trained before settings and parameters were renamed:

    NAME/                    the run; its weights are those of the training, made larger for sharp attention
    NAME.start.safetensors   the weights that its training started from, in half precision
    NAME.json                20 losses, sums of a fresh model's weights, outputs with scores
    NAME.npz                 attention: the mean as "greedy/pieces/0", layer 1 and head 2 as "greedy/L1H2/0"
    sentences.json           what the text models translate

`renamed` makes a run of today from an old one by `key_map`; the rest uses the program as anybody would. Texts
are the first lines of data/phrases, images and clips the first rows of data/scenes and data/clips.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from key_map import PARAMETERS, SETTINGS, VALUES
from safetensors.torch import load_file, save_file
from torch import Tensor

from seq2attn.data.batches import Pairs, Texts
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference import Captioner, Translator
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory, tensors
from seq2attn.training import events, trainer
from seq2attn.training.distributed import World

BEFORE = Path(__file__).parent / "before"
DATA = Path(__file__).parents[1] / "data"
NAMES = sorted(file.stem for file in BEFORE.glob("*.json") if file.stem != "sentences")

LOSS = 1e-5  # relative
SCORE = 3e-4  # processors without AVX-512 add in another order: up to 1.8e-4
WEIGHT = 5e-5  # up to 3.4e-5
SEARCHES = ("greedy", "beam4", "sampled", "forced")
ATTENTION = 3  # outputs of a text model whose attention is recorded
SLICES = 2  # of those, forced outputs whose layers and heads are recorded; of images, all that are recorded
FORCED = 6  # inputs whose references are forced


# An old run under the names of today ------------------------------------------------------------------------


def renamed_parameter(name: str) -> str:
    for pattern, replacement in PARAMETERS:
        name = re.sub(pattern, replacement, name)
    return name


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("model.encoder.size", 8) of each setting that is no section."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def renamed_settings(old: dict[str, Any]) -> dict[str, Any]:
    """The settings of config.json with the names and values of today, without those that are gone."""
    new: dict[str, Any] = {}
    for key, value in leaves(old):
        name = SETTINGS.get(key, key)
        if name is None:
            continue
        *sections, last = name.split(".")
        section = new
        for part in sections:
            section = section.setdefault(part, {})
        section[last] = VALUES.get((name, value), value) if isinstance(value, str) else value
    return new


def renamed(name: str, into: Path) -> directory.Run:
    """The old run, opened at `into`."""
    shutil.copytree(BEFORE / name, into)
    tree = json.loads((into / "config.json").read_text(encoding="utf-8"))
    tree["config"] = renamed_settings(tree["config"])
    (into / "config.json").write_text(json.dumps(tree), encoding="utf-8")
    weights = load_file(into / "model.safetensors")
    save_file({renamed_parameter(key): tensor for key, tensor in weights.items()}, into / "model.safetensors")
    return directory.open_run(into)


def first_weights(name: str) -> dict[str, Tensor]:
    """What training starts from."""
    tensors = load_file(BEFORE / f"{name}.start.safetensors")
    return {
        renamed_parameter(key): tensor.float() if tensor.dtype == torch.float16 else tensor
        for key, tensor in tensors.items()
    }


# Data -------------------------------------------------------------------------------------------------------


class TextRows(Texts):
    """Pairs of texts in memory."""

    def __init__(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> None:
        self.sources = [np.array(ids, np.int32) for ids in sources]
        self.targets = [np.array(ids, np.int32) for ids in targets]

    @property
    def source_lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.sources], np.int32)

    @property
    def target_lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.targets], np.int32)

    def ids(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [self.sources[row] for row in rows], [self.targets[row] for row in rows]


class ImageRows:
    """Images and their captions in memory: what `CaptionedImages` reads of a prepared split."""

    def __init__(self, files: Sequence[bytes], captions: Sequence[Sequence[list[int]]]) -> None:
        self.files = list(files)
        self.names = [str(number) for number in range(len(files))]
        self.target_ids = [np.array(ids, np.int32) for of_image in captions for ids in of_image]
        counts = [len(of_image) for of_image in captions]
        self.image_of = np.repeat(np.arange(len(files)), counts).astype(np.int32)
        self.first = np.searchsorted(self.image_of, np.arange(len(files) + 1))
        self.target_lengths = np.array([len(ids) for ids in self.target_ids], np.int32)

    def __len__(self) -> int:
        return len(self.target_ids)

    def content(self, image: int) -> list[bytes]:
        return [self.files[int(image)]]

    def frames_content(self) -> Iterator[memoryview]:
        yield from map(memoryview, self.files)


@cache
def lines(file: str) -> list[str]:
    return (DATA / "phrases" / file).read_text(encoding="utf-8").splitlines()


@cache
def rows(corpus: str, split: str, count: int) -> list[tuple[bytes, list[str]]]:
    """The first images or clips of a bundled corpus, each with its captions."""
    file = pq.ParquetFile(DATA / corpus / f"{split}.parquet")
    column = "clip" if corpus == "clips" else "image"
    return [
        (row[column]["bytes"], row["captions"])
        for row in next(file.iter_batches(batch_size=count)).to_pylist()
    ]


def image_rows(run: directory.Run, split: str) -> list[tuple[bytes, list[str]]]:
    clips = run.config.model.encoder.max_frames > 1
    count = {"train": 12 if clips else 16, "valid": 6 if clips else 12}[split]
    return rows("clips" if clips else "scenes", split, count)


def is_of_images(run: directory.Run) -> bool:
    return run.source_size == 0


def pairs(run: directory.Run, split: str) -> Pairs:
    """What a run trains on, or is validated on."""
    target = Tokenizer.load(run.target_tokenizer)
    if not is_of_images(run):
        source, count = Tokenizer.load(run.source_tokenizer), {"train": 256, "valid": 40}[split]
        return TextRows(
            source.encode_batch(lines(f"{split}.en")[:count]),
            target.encode_batch(lines(f"{split}.fr")[:count]),
        )
    files, captions = zip(*image_rows(run, split), strict=True)
    split_rows: Any = ImageRows(files, [target.encode_batch(of_image) for of_image in captions])
    settings = run.config.train if split == "train" else None
    encoder: Any = run.config.model.encoder
    return CaptionedImages(split_rows, ImageTransform.of(encoder), settings)


def inputs_and_references(run: directory.Run) -> tuple[list[Any], list[str]]:
    if not is_of_images(run):
        sentences = json.loads((BEFORE / "sentences.json").read_text(encoding="utf-8"))
        return sentences["sources"], sentences["references"]
    valid = image_rows(run, "valid")
    return [file for file, _ in valid], [captions[0] for _, captions in valid]


# What the program of today does -----------------------------------------------------------------------------


def fresh_model(run: directory.Run) -> Seq2Seq:
    """With the weights that training draws."""
    torch.manual_seed(run.config.train.seed)
    return build(run.config.model, run.source_size, run.target_size)


def sums(name: str, model: Seq2Seq) -> dict[str, Any]:
    """Sum and absolute sum of each tensor by its old name; a hash of all in the order of the old names."""
    named, digest, of_tensor = tensors.named_tensors(model), hashlib.sha256(), {}
    for key in sorted(load_file(BEFORE / f"{name}.start.safetensors")):
        tensor = named[renamed_parameter(key)].detach().contiguous()
        digest.update(tensor.numpy().tobytes())
        totals = tensor.double().sum(), tensor.double().abs().sum()
        of_tensor[key] = [float(f"{total:.9g}") for total in totals]
    return {"sha256": digest.hexdigest(), "sums": of_tensor}


def trained(name: str, run: directory.Run) -> dict[str, Any]:
    """Losses of the steps and of the validation, and a hash of the weights in the end."""
    model = fresh_model(run)
    tensors.load_tensors(model, first_weights(name), f"{name}.start.safetensors")
    losses, valid = [], []
    world = World(torch.device("cpu"))
    for event in trainer.train(
        model, run, pairs(run, "train"), pairs(run, "valid"), world=world, format="fp32"
    ):
        if isinstance(event, events.Update):
            losses.append(event.loss)
        elif isinstance(event, events.Validation):
            valid.append(event.loss)
    return {"losses": losses, "valid": valid, "final": sums(name, model)["sha256"]}


def means(outputs: Sequence[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The mean over layers and heads by its recorded name: by subwords and, of the first, between words."""
    for number, output in enumerate(outputs):
        yield f"pieces/{number}", output.subword_attention
        if number < SLICES:
            yield f"words/{number}", output.attention


def layers_and_heads(outputs: Sequence[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The weights by subwords of each layer and head, where there are several, by their recorded names."""
    for number, output in enumerate(outputs):
        weights = output.subword_attention_heads
        if weights is not None and weights.shape[:2] != (1, 1):
            for layer, head in np.ndindex(weights.shape[:2]):
                yield f"L{layer + 1}H{head + 1}/{number}", weights[layer, head]


def outputs_and_attention(run: directory.Run) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    kind = Captioner if is_of_images(run) else Translator
    system: Any = kind.load(run.path, device="cpu", precision="fp32")
    inputs, references = inputs_and_references(run)

    def search(inputs: Sequence[Any], attention: bool | str = False, **options: Any) -> list[Any]:
        method = system.caption if is_of_images(run) else system.translate
        return [ranked[0] for ranked in method(inputs, attention=attention, **options)]

    def force(count: int, attention: bool | str) -> list[Any]:
        return system.score_targets(inputs[:count], references[:count], attention=attention)

    outputs = {
        "greedy": search(inputs, True, beam=1),
        "beam4": search(inputs, beam=4),
        "sampled": search(inputs, sample=True, seed=5, temperature=0.9),
        "forced": force(FORCED, True),
    }
    number = SLICES if is_of_images(run) else ATTENTION
    arrays: dict[str, np.ndarray] = {}
    if outputs["greedy"][0].subword_attention is not None:
        with_heads = {"greedy": search(inputs[:1], "all", beam=1), "forced": force(SLICES, "all")}
        for key, of_kind in with_heads.items():
            named = [*means(outputs[key][:number]), *layers_and_heads(of_kind)]
            arrays |= {f"{key}/{name}": np.asarray(array, np.float32) for name, array in named}
    described: dict[str, Any] = {
        key: [
            [output.text, round(output.score, 8), round(output.log_probability, 8), output.finished]
            for output in of_kind
        ]
        for key, of_kind in outputs.items()
    }
    described["pieces"] = [
        " ".join(output.subwords if is_of_images(run) else output.target_subwords)
        for output in outputs["greedy"][:number]
    ]
    return described, arrays


def measure(name: str) -> dict[str, Any]:
    """All that is recorded of a run, measured with the program of today on one thread."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = renamed(name, Path(folder, "run"))
            outputs, arrays = outputs_and_attention(run)
            first = sums(name, fresh_model(run))
            shutil.rmtree(run.path)  # training starts with a new folder
            run.path.mkdir()
            directory.write_config(run)
            for file in BEFORE.glob(f"{name}/*.model"):
                shutil.copy(file, run.path)
            training = trained(name, run)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
    return {"first": first, "training": training, "outputs": outputs, "arrays": arrays}


# Comparing --------------------------------------------------------------------------------------------------


def recorded(name: str) -> dict[str, Any]:
    """As `measure` returns it."""
    tree = json.loads((BEFORE / f"{name}.json").read_text(encoding="utf-8"))
    file = BEFORE / f"{name}.npz"
    return {
        "first": tree["first"],
        "training": tree["training"],
        "outputs": {key: tree[key] for key in (*SEARCHES, "pieces")},
        "arrays": dict(np.load(file)) if file.exists() else {},
    }


def largest_difference(old: Any, new: Any, relative: bool = False) -> float:
    """Infinite where shapes differ, or where one is no number."""
    one, other = np.asarray(old, np.float64).ravel(), np.asarray(new, np.float64).ravel()
    if np.shape(old) != np.shape(new):
        return float("inf")
    apart = np.abs(one - other) / (np.maximum(np.abs(one), 1e-9) if relative else 1.0)
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What is beyond the bounds, in words."""
    for key in ("losses", "valid"):
        apart = largest_difference(old["training"][key], new["training"][key], relative=True)
        if apart > LOSS:
            yield f"{key} differ by {apart:.1e}"
    for key in SEARCHES:
        one, other = old["outputs"][key], new["outputs"][key]
        if [(text, finished) for text, _, _, finished in one] != [
            (text, finished) for text, _, _, finished in other
        ]:
            yield f"{key}: other outputs"
        elif (apart := largest_difference([row[1:3] for row in one], [row[1:3] for row in other])) > SCORE:
            yield f"{key}: scores differ by {apart:.1e}"
    if old["outputs"]["pieces"] != new["outputs"]["pieces"]:
        yield "greedy: other subwords"
    if missing := sorted(old["arrays"].keys() - new["arrays"].keys()):
        yield f"no attention for {', '.join(missing[:4])}"
    for key in old["arrays"].keys() & new["arrays"].keys():
        if (apart := largest_difference(old["arrays"][key], new["arrays"][key])) > WEIGHT:
            yield f"attention {key} differs by {apart:.1e}"
    if old["first"]["sums"] != new["first"]["sums"]:
        yield "a fresh model has other weights"


def verdict(old: dict[str, Any], new: dict[str, Any]) -> str:
    """ "identical" (to the last bit; of scores eight places are kept), within bounds, or what differs."""
    if reasons := list(differences(old, new)):
        return f"DIFFERS: {'; '.join(reasons)}"
    shared = old["arrays"].keys() & new["arrays"].keys()
    attention = max(
        (largest_difference(old["arrays"][key], new["arrays"][key]) for key in shared), default=0.0
    )
    exact = old["training"] == new["training"] and old["outputs"] == new["outputs"]
    if exact and attention == 0.0 and old["first"]["sha256"] == new["first"]["sha256"]:
        return "identical"
    losses = largest_difference(old["training"]["losses"], new["training"]["losses"], relative=True)
    return f"within bounds: losses by {losses:.1e}, attention by {attention:.1e}"


def main(names: Sequence[str]) -> int:
    began, failed = time.monotonic(), 0
    for name in names or NAMES:
        start = time.monotonic()
        try:
            line = verdict(recorded(name), measure(name))
        except Exception as error:  # noqa: BLE001 - the other runs are still compared
            line = f"DIFFERS: {type(error).__name__}: {error}"
        failed += line.startswith("DIFFERS")
        print(f"{name:20} {line} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{failed} of {len(names or NAMES)} differ, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
