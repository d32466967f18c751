"""Every door through which a file or a word of somebody else's comes in: a sound sample behind it, and the
command that opens it.

A sample is a folder, made once. `Loader.files` says which of its files are changed, and as what. Knows
nothing of how they are changed.
"""

import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tiny
import tiny_images
from PIL import Image

from seq2attn.config import DataConfig, ModelConfig
from seq2attn.data.prepare import prepare
from seq2attn.inference.confidence import NAMES
from seq2attn.runs import calibration

PAIRS = list(zip(tiny.ENGLISH, tiny.FRENCH, strict=True))
SPARE = (
    "--set",
    "train.log_every=1",
    "--set",
    "train.validate_every=2",
    "--set",
    "train.validate_sentences=2",
    "--set",
    "model.embedding=8",
)
SMALL = (
    *SPARE,
    "--set",
    "model.encoder.size=4",
    "--set",
    "model.decoder.size=8",
    "--set",
    "search.max_length=4",
    "--set",
    "search.beam=1",
)
TRAIN = (
    "train",
    "first-try",
    "--data",
    "data",
    "--out",
    "run",
    "--max-steps",
    "2",
    "--precision",
    "fp32",
    *SMALL,
)
RESUME = ("train", "--resume", "--out", "run", "--data", "data", "--max-steps", "4")


@dataclass(frozen=True)
class Loader:
    make: Callable[[Path], None]  # the sample, into an empty folder
    arguments: Sequence[str]
    # path in the sample, or a pattern -> kind of hostile.mutate
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""  # a file of the sample


def text(folder: Path) -> None:
    for split, pairs in (("train", PAIRS), ("valid", PAIRS[:3]), ("test", PAIRS[3:6])):
        for ending, side in (("en", 0), ("fr", 1)):
            (folder / f"{split}.{ending}").write_text(
                "".join(pair[side] + "\n" for pair in pairs), encoding="utf-8"
            )


def table(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        records = [
            {"en": f"{source} {number}", "fr": f"{target} {number}", "id": number}
            for number, (source, target) in enumerate(PAIRS)
        ]
        ending = Path(name).suffix
        if ending == ".parquet":
            pa.parquet.write_table(pa.Table.from_pylist(records), folder / name)
            return
        rows = [["en", "fr", "id"], *([str(value) for value in record.values()] for record in records)]
        content = {
            ".tsv": lambda: "".join("\t".join(row) + "\n" for row in rows),
            ".csv": lambda: "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows),
            ".jsonl": lambda: "".join(json.dumps(record) + "\n" for record in records),
            ".json": lambda: json.dumps(records),
            ".gz": lambda: "".join("\t".join(row) + "\n" for row in rows),
        }[ending]().encode()
        (folder / name).write_bytes(gzip.compress(content) if ending == ".gz" else content)

    return make


def folder_of_tables(folder: Path) -> None:
    table("corpus/train.csv")(folder)
    files = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.csv\n"
    (folder / "corpus" / "README.md").write_text(f"---\n{files}---\n# A corpus\n")
    (folder / "outside.csv").write_text("en,fr\nout,side\n")


def images(form: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        corpus = folder / "corpus"
        names = [f"{number}.png" for number in range(6)]
        for number, name in enumerate(names):
            tiny_images.draw(corpus / name, number)
        captions = [f"a thing number {number} on a ground" for number in range(6)]
        splits = ["train"] * 4 + ["valid", "test"]
        rows = list(zip(names, captions, splits, strict=True))
        if form == "flickr":
            (corpus / "toy.token.txt").write_text(
                "".join(f"{name}#0\t{caption}\n" for name, caption, _ in rows)
            )
            for split in ("train", "dev", "test"):
                named = [name for name, _, of in rows if of == {"dev": "valid"}.get(split, split)]
                (corpus / f"toy.{split}Images.txt").write_text("".join(name + "\n" for name in named))
        elif form == "karpathy":
            entries = [
                {"filename": n, "split": s.replace("valid", "val"), "sentences": [{"raw": c}], "imgid": i}
                for i, (n, c, s) in enumerate(rows)
            ]
            (corpus / "dataset_toy.json").write_text(json.dumps({"images": entries}))
        elif form == "jsonl":
            box = [[2, 1, 1, 9, 9]]
            entries = [{"file_name": n, "captions": [c], "split": s, "boxes": [box]} for n, c, s in rows]
            (corpus / "metadata.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        elif form == "csv":
            (corpus / "captions.txt").write_text(
                "image,caption\n" + "".join(f"{name},{caption}\n" for name, caption, _ in rows)
            )
        else:
            about = [{"id": number, "file_name": name} for number, name in enumerate(names)]
            said = [
                {"image_id": number, "id": number, "caption": caption}
                for number, caption in enumerate(captions)
            ]
            (corpus / "captions_train2017.json").write_text(
                json.dumps({"images": about, "annotations": said})
            )

    return make


def prepared_text(folder: Path) -> None:
    (folder / "corpus").mkdir()
    text(folder / "corpus")
    prepare(
        str(folder / "corpus"),
        folder / "data",
        DataConfig(source="en", target="fr", vocab_size=60),
        shrink=True,
    )


def prepared_images(folder: Path) -> None:
    images("jsonl")(folder)
    prepare(str(folder / "corpus"), folder / "data", DataConfig(vocab_size=60), shrink=True)


def run(folder: Path) -> None:
    tiny.save_run(folder / "run")
    (folder / "in.txt").write_text("the small dog\n")


def ready_run(folder: Path) -> None:
    run(folder)
    ones = (1.0,) * len(NAMES)
    learned = calibration.Calibration(NAMES, ones, ones, ones, 0.0, 100)
    calibration.save(folder / "run", learned, calibration.checksum(folder / "run"))


def image_run(folder: Path) -> None:
    tiny_images.save_run(folder / "run")
    tiny_images.draw(folder / "a.png", 1)


def still(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        image_run(folder)
        with Image.open(folder / "a.png") as image:
            frames = (
                [image.convert("RGB").rotate(90 * number) for number in range(3)]
                if ending in ("gif", "tiff", "webp")
                else []
            )
            more: dict[str, object] = {"save_all": True, "append_images": frames} if frames else {}
            image.convert("RGB").save(folder / f"in.{ending}", **more)
        (folder / "in.txt").write_text(f"in.{ending}\na.png\n")

    return make


def lines(*content: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        run(folder)
        (folder / "in.txt").write_text("".join(line + "\n" for line in content), encoding="utf-8")
        (folder / "texts.txt").write_text("the dog\nthe cat\na house\n", encoding="utf-8")

    return make


def outputs(folder: Path) -> None:
    for name, texts in (("hypotheses", tiny.FRENCH[:5]), ("references", tiny.FRENCH[1:6])):
        (folder / f"{name}.txt").write_text("".join(line + "\n" for line in texts), encoding="utf-8")


def gold(folder: Path) -> None:
    run(folder)
    for name, content in (
        ("source", tiny.ENGLISH[:4]),
        ("reference", tiny.FRENCH[:4]),
        ("gold", ["0-0 1-1", "0-0 2?1", "", "3-3"]),
    ):
        (folder / f"{name}.txt").write_text("".join(line + "\n" for line in content), encoding="utf-8")


def attention(folder: Path) -> None:
    weights = [[0.9, 0.1], [0.2, 0.8]]
    one = {
        "line": 0,
        "rank": 0,
        "source_words": ["a", "cat"],
        "target_words": ["un", "chat"],
        "attention": weights,
    }
    pieces = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]]  # with the end tokens
    one |= {
        "subword_attention": pieces,
        "source_subwords": ["▁a", "▁cat"],
        "target_subwords": ["▁un", "▁chat"],
    }
    (folder / "in.jsonl").write_text(
        json.dumps(one, ensure_ascii=False) + "\n" + json.dumps(one | {"line": 1}) + "\n", encoding="utf-8"
    )
    arrays = {f"0/{key}": np.array(value) for key, value in one.items() if key not in ("line", "rank")}
    np.savez(folder / "in.npz", allow_pickle=False, **arrays)


def settings(folder: Path) -> None:
    tree = (
        'about = "mine"',
        "[train]",
        "lr = 0.001",
        "max_steps = 5",
        "[model]",
        "embedding = 16",
        "[model.encoder]",
        "layers = 1",
        "size = 8",
    )
    (folder / "in.toml").write_text(
        "\n".join(
            (
                *tree,
                "[model.decoder]",
                "size = 16",
                "[model.attention]",
                'score = "additive"',
                "[search]",
                "beam = 2",
            )
        )
        + "\n"
    )


def published(folder: Path) -> None:
    """torchvision's names and shapes of the first stage of a resnet18, with numbers of our own."""
    prepared_images(folder)
    import torch
    from safetensors.torch import save_file

    from seq2attn.models.seq2seq import build

    torch.manual_seed(1)
    encoder = {
        "kind": "image",
        "backbone": "resnet18",
        "stages": 1,
        "norm": "batch",
        "size": 8,
        "image_size": 32,
        "weights": "in.safetensors",
    }
    of = ModelConfig.model_validate({"encoder": encoder, "decoder": {"size": 8}})
    weights = {
        name: tensor.clone()
        for name, tensor in build(of, 0, 9).encoder.get_submodule("backbone").state_dict().items()
    }
    save_file(weights, folder / "in.safetensors")
    file = io.BytesIO()
    torch.save(weights, file)
    (folder / "in.pth").write_bytes(file.getvalue())


IMAGES = (
    *(
        "train",
        "xu15-soft",
        "--data",
        "data",
        "--out",
        "run",
        "--max-steps",
        "1",
        "--precision",
        "fp32",
        *SPARE,
        "--set",
        "model.decoder.size=8",
    ),
    *("--set", "model.encoder.image_size=32", "--set", "search.max_length=4"),
)
IMAGE_MODEL = (*IMAGES, "--set", "model.encoder.blocks=[1,1]", "--set", "model.encoder.channels=8")
PUBLISHED = (
    *(
        *IMAGES,
        "--set",
        "model.encoder.backbone=resnet18",
        "--set",
        "model.encoder.norm=batch",
        "--set",
        "model.encoder.stages=1",
    ),
    *("--set", "model.encoder.blocks=[1,1,1]", "--set", "model.encoder.channels=32"),
)


def _prepare(name: str, *more: str) -> tuple[str, ...]:
    return ("prepare", name, "out", "--vocab-size", "60", *more)


SIDES = ("--source", "en", "--target", "fr")
ASIDE = (*SIDES, "--valid", "2", "--test", "2")

LOADERS: dict[str, Loader] = {
    "text": Loader(text, _prepare(".", *SIDES), {"train.*": "text", "test.fr": "text"}),
    **{
        f"table-{e.rpartition('.')[2]}": Loader(table(e), _prepare(e, *ASIDE), {e: k})
        for e, k in (
            ("in.tsv", "text"),
            ("in.csv", "text"),
            ("in.jsonl", "lines"),
            ("in.json", "json"),
            ("in.parquet", "binary"),
            ("in.tsv.gz", "binary"),
        )
    },
    "folder-of-tables": Loader(
        folder_of_tables, _prepare("corpus", *ASIDE), {"corpus/README.md": "text", "corpus/train.csv": "text"}
    ),
    "flickr": Loader(
        images("flickr"), _prepare("corpus"), {"corpus/*.txt": "text", "corpus/1.png": "binary"}
    ),
    "karpathy": Loader(images("karpathy"), _prepare("corpus"), {"corpus/*.json": "json"}),
    "image-folder": Loader(images("jsonl"), _prepare("corpus"), {"corpus/metadata.jsonl": "lines"}),
    "captions-csv": Loader(
        images("csv"), _prepare("corpus", "--valid", "1", "--test", "1"), {"corpus/captions.txt": "text"}
    ),
    "coco": Loader(
        images("coco"), _prepare("corpus", "--valid", "1", "--test", "1"), {"corpus/*.json": "json"}
    ),
    "prepared": Loader(
        prepared_text, TRAIN, {"data/prepared.json": "json", "data/*.model": "binary", "data/*/*": "binary"}
    ),
    "prepared-images": Loader(
        prepared_images,
        IMAGE_MODEL,
        {"data/prepared.json": "json", "data/*.model": "binary", "data/*/*": "binary"},
    ),
    "run": Loader(
        run,
        ("translate", "run", "in.txt"),
        {"run/config.json": "json", "run/model.safetensors": "safetensors", "run/*.model": "binary"},
    ),
    "confidence": Loader(
        ready_run, ("translate", "run", "in.txt", "--confidence"), {"run/confidence.json": "json"}
    ),
    "image-run": Loader(
        image_run,
        ("caption", "run", "a.png"),
        {"run/config.json": "json", "run/model.safetensors": "safetensors", "run/*.model": "binary"},
    ),
    "state": Loader(
        run,
        RESUME,
        {
            "run/training/state.json": "json",
            "run/training/*.safetensors": "safetensors",
            "run/metrics.jsonl": "lines",
        },
    ),
    "stream": Loader(lines("the small dog", "", "a cat"), ("translate", "run"), {"in.txt": "text"}, "in.txt"),
    "stream-jsonl": Loader(
        lines('{"text": "the small dog", "id": 1}', '{"text": "a cat"}'),
        ("translate", "run", "--format", "jsonl", "--alignments"),
        {"in.txt": "lines"},
        "in.txt",
    ),
    "prefix": Loader(
        lines("le", "", "un"), ("translate", "run", "texts.txt", "--prefix", "in.txt"), {"in.txt": "text"}
    ),
    **{
        f"image-{ending}": Loader(
            still(ending), ("caption", "run", f"in.{ending}"), {f"in.{ending}": "binary"}
        )
        for ending in ("png", "jpeg", "gif", "tiff", "webp", "bmp")
    },
    "paths": Loader(still("png"), ("caption", "run"), {"in.txt": "text"}, "in.txt"),
    "outputs": Loader(
        outputs,
        ("evaluate", "--hypotheses", "hypotheses.txt", "--reference", "references.txt"),
        {"hypotheses.txt": "text", "references.txt": "text"},
    ),
    "gold": Loader(
        gold,
        ("evaluate", "run", "--source", "source.txt", "--reference", "reference.txt", "--gold", "gold.txt"),
        {"gold.txt": "text", "source.txt": "text"},
    ),
    "attention-jsonl": Loader(
        attention, ("plot-alignment", "--from", "in.jsonl", "-o", "out.html"), {"in.jsonl": "lines"}
    ),
    "attention-drawn": Loader(attention, ("plot-alignment", "--from", "in.jsonl"), {"in.jsonl": "lines"}),
    "attention-npz": Loader(
        attention, ("plot-alignment", "--from", "in.npz", "-o", "out.html"), {"in.npz": "zip"}
    ),
    "settings": Loader(settings, ("train", "in.toml", "--show"), {"in.toml": "toml"}),
    "weights-safetensors": Loader(
        published,
        (*PUBLISHED, "--set", "model.encoder.weights=in.safetensors"),
        {"in.safetensors": "safetensors"},
    ),
    "weights-pth": Loader(
        published, (*PUBLISHED, "--set", "model.encoder.weights=in.pth"), {"in.pth": "zip"}
    ),
}


@cache
def words() -> dict[str, tuple[str, ...]]:
    """Commands with a mark where a hostile word stands."""
    return {
        **{
            f"translate {name}": ("translate", "run", "in.txt", name, "HOSTILE")
            for name in (
                "--beam",
                "--length-penalty",
                "--n-best",
                "--max-length",
                "--min-length",
                "--no-repeat-ngram",
                "--temperature",
                "--top-k",
                "--top-p",
                "--batch-tokens",
                "--samples",
                "--seed",
                "--mbr",
                "--device",
                "--precision",
                "--format",
                "--prefix",
                "--attention",
                "-o",
                "--set",
            )
        },
        **{
            f"translate --set {key}": ("translate", "run", "in.txt", "--set", f"{key}=HOSTILE")
            for key in (
                "search.beam",
                "search.max_length",
                "search.length_penalty",
                "model.attention.temperature",
                "model.encoder.layers",
            )
        },
        **{
            f"train --set {key}": (*TRAIN, "--set", f"{key}=HOSTILE")
            for key in (
                "model.embedding",
                "model.encoder.size",
                "model.encoder.layers",
                "model.attention.heads",
                "train.batch_tokens",
                "train.lr",
                "train.max_minutes",
                "train.ema",
                "train.average",
                "train.seed",
                "train.accumulate",
                "search.beam",
                "data.vocab_size",
                "model.dropout",
                "train.warmup",
            )
        },
        "prepare corpus": ("prepare", "HOSTILE", "out"),
        "prepare out": ("prepare", "corpus", "HOSTILE", *SIDES),
        "prepare source": ("prepare", "corpus", "out", "--source", "HOSTILE", "--target", "fr"),
        "prepare sizes": ("prepare", "corpus", "out", *SIDES, "--vocab-size", "HOSTILE"),
        "prepare length": ("prepare", "corpus", "out", *SIDES, "--max-length", "HOSTILE"),
        "prepare ratio": ("prepare", "corpus", "out", *SIDES, "--max-ratio", "HOSTILE"),
        "train out": ("train", "first-try", "--data", "data", "--out", "HOSTILE", "--max-steps", "1", *SMALL),
        "train data": (
            "train",
            "first-try",
            "--data",
            "HOSTILE",
            "--out",
            "run2",
            "--max-steps",
            "1",
            *SMALL,
        ),
        "train preset": ("train", "HOSTILE", "--data", "data", "--out", "run2", "--max-steps", "1"),
        "translate run": ("translate", "HOSTILE", "in.txt"),
        "translate file": ("translate", "run", "HOSTILE"),
        "evaluate split": ("evaluate", "run", "--data", "data", "--split", "HOSTILE"),
        "plot source": ("plot-alignment", "run", "--source", "HOSTILE"),
        "plot target": ("plot-alignment", "run", "--source", "the small dog", "--target", "HOSTILE"),
        "plot file": ("plot-alignment", "run", "--source", "the dog", "-o", "HOSTILE.html"),
        "command": ("HOSTILE",),
    }


def everything(folder: Path) -> None:
    """What the commands of `words` stand on."""
    prepared_text(folder)
    run(folder)


WORDS = (
    *(
        "",
        " ",
        "-1",
        "0",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-999",
        "9" * 40,
        "1" + "0" * 18,
        "2147483648",
        "9223372036854775808",
        "0.5",
        "true",
        "null",
        "[]",
    ),
    *(
        "[1]",
        "{}",
        '"',
        "'",
        "x" * 5000,
        "a/b",
        "../x",
        "/",
        "/dev/full",
        "/dev/zero",
        "/proc/self/mem",
        "/etc/passwd",
        ".",
        "..",
        "~",
        "*",
        "%s%n",
        "\x1b[2J",
    ),
    *(
        "\udcff",
        "x\udcffw",
        "\u202e",
        "e\u0301",
        "😀",
        "\u200b",
        "a,b",
        "hf:",
        "hf:a/b",
        "http://127.0.0.1:9/x",
        "runs\n",
        "a=b",
        "[" * 2000,
        "corpus",
    ),
)
