"""The layers inside `seq2attn.data`: a module imports only from the layers below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import seq2attn.data

FOLDER = Path(seq2attn.data.__file__).parent
# From the ground up. `text` and `images` are two parts of one layer, and do not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("formats",),
    (
        "corpus",
        "corpus_files",
        "bundled",
        "languages",
        "worker_processes",
        "splits",
        "marks",
        "tokenizer",
        "marian_tokenizer",
        "batches",
    ),
    ("more_subwords", "corpus_weights", "sampled_ids", "cleaning"),
    ("spool", "linking", "preparation", "vocabulary_size"),
    ("text", "images"),
    ("prepared", "table_folder", "hf_datasets", "sources", "prepared_corpus", "prepare"),
)
LEVEL = {part: number for number, layer in enumerate(LAYERS) for part in layer}


def part_of(path: Path) -> str:
    return path.relative_to(FOLDER).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> Iterator[str]:
    """The parts of `seq2attn.data` that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seq2attn.data"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name.split(".")[2] for name in names)


def test_imports_in_data_run_downwards() -> None:
    breaches = []
    for path in FOLDER.rglob("*.py"):
        part = part_of(path)
        if part == "__init__":
            continue
        for other in imported_parts(path):
            sibling = other != part and {part, other} == {"text", "images"}
            if LEVEL[other] > LEVEL[part] or sibling:
                breaches.append(f"{path.relative_to(FOLDER)} imports {other}")
    assert not breaches
