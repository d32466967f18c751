"""Rules of the package's structure, read off the syntax tree: who imports whom, one place for each third
party, nothing unsafe, one module that writes files, a small core, and a command line that starts quickly.

A rule fails with the file and line that breaks it. It knows no more of a module than its imports and calls.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_trees import FILES, PACKAGE, ROOT, TREES, imports, line_of, part, place

# Part of the package -> the parts, or single modules, that it may import, from the ground up.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "progress": set(),
    "prefetch": set(),
    "strict_json": set(),
    "near": set(),
    "synonyms": set(),
    "ranks": {"errors"},
    "notes": {"ranks"},
    "locks": set(),
    "shared_cores": set(),
    "files": {"errors", "locks"},
    "kernels": set(),
    "search": {"kernels"},
    "own_code": {"errors"},
    "config": {"errors", "near", "synonyms"},
    "device_memory": {"errors"},
    "devices": {"config", "device_memory", "errors"},
    "cuda_graphs": set(),
    "samples": set(),
    "attention": {"kernels", "own_code", "config"},
    "copying": set(),
    "models": {"attention", "copying", "kernels", "own_code", "config", "errors"},
    "data": {"config", "errors", "files", "near", "progress", "strict_json", "version"},
    "runs": {
        *("models", "copying", "devices", "data.tokenizer"),
        *("config", "errors", "files", "locks", "notes", "strict_json", "version"),
    },
    "marian": {"data", "runs", "config", "errors", "strict_json", "version"},
    "training": {
        *("models", "attention", "kernels", "runs", "devices", "cuda_graphs", "data.batches"),
        *("data.tokenizer", "config", "device_memory", "errors", "files", "prefetch", "ranks"),
        "strict_json",
    },
    "plotting": {"data", "errors", "files", "near"},
    "explorer": {"errors"},
    "inference": {
        *("models", "own_code", "search", "runs", "devices", "device_memory", "data", "plotting"),
        *(
            "config",
            "cuda_graphs",
            "errors",
            "files",
            "kernels",
            "near",
            "notes",
            "shared_cores",
            "strict_json",
        ),
    },
    "evaluation": {
        *("inference", "training.objectives", "models.seq2seq", "runs.calibration", "data", "config"),
        *("errors", "progress", "version"),
    },
    "explaining": {
        *("inference", "evaluation", "attention", "copying", "models", "runs", "search", "data", "config"),
        *("explorer", "plotting", "errors", "files", "progress"),
    },
    "tasks": {
        *("explaining", "inference", "training", "evaluation", "data", "models", "own_code", "runs"),
        "marian",
        *(
            "devices",
            "config",
            "device_memory",
            "errors",
            "files",
            "notes",
            "progress",
            "ranks",
            "shared_cores",
        ),
        *("plotting", "strict_json", "version"),
    },
    "export": {
        *("explorer", "inference", "models", "attention", "runs", "data", "config", "errors", "files"),
        *("marian", "strict_json"),
    },
    "serving": {
        *("tasks.loading", "inference", "runs", "explaining", "data", "errors", "strict_json"),
        "version",
    },
    "cli": {
        *("tasks", "inference", "training", "evaluation", "explaining", "plotting", "export", "data"),
        "serving",
        *(
            "own_code",
            "runs",
            "devices",
            "config",
            "errors",
            "files",
            "near",
            "notes",
            "prefetch",
            "ranks",
            "strict_json",
        ),
        *("synonyms", "version"),
    },
    "__init__": {"tasks", "explaining", "inference", "runs", "data", "errors", "version"},
    "__main__": {"cli"},
}

# Third party -> the files or folders that may import it.
DOORS = {
    "typer": ("cli/",),
    "rich": ("cli/console.py",),
    "datasets": ("data/hf_datasets.py", "data/prepare.py", "data/text/"),
    "pyarrow": ("data/", "samples/"),
    "sentencepiece": ("data/tokenizer.py",),
    "sacrebleu": ("evaluation/",),
    "matplotlib": ("plotting/",),
    "PIL": ("data/images/", "samples/", "plotting/"),
    "pydantic": ("config/",),
    "safetensors": ("runs/headers.py", "runs/tensors.py", "models/vision/pretrained.py"),
    "ctranslate2": ("export/ctranslate2.py",),
    "eflomal": ("explaining/eflomal.py",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/server.py", "serving/connections.py"),
    "h11": ("serving/connections.py",),
    "huggingface_hub": ("tasks/hub.py",),
}

PRETRAINED = "models/vision/pretrained.py"
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("yaml", "load"), ("os", "system")}

# The most lines of code of each share of the core: no blank lines, comments or docstrings. They may only
# fall, but for the lines of a new score, normaliser or family of models: a change that makes the core smaller
# lowers its number here.
BUDGETS = {"text core": 2197, "kernels": 684, "vision": 523}
VISION = ("models/vision/", "models/encoders/image.py", "models/encoders/video.py")
TEXT_CORE = ("attention/", "models/", "search/", "training/trainer.py")


def permission(name: str, allowed: set[str]) -> str | None:
    """Which of the allowed parts an imported name of the package belongs to."""
    target = name.removeprefix("seq2attn.")
    return next((good for good in allowed if target == good or target.startswith(f"{good}.")), None)


def forbidden_imports(path: Path, tree: ast.AST) -> Iterator[str]:
    own = part(path)
    for name, line in imports(tree, path):
        if name.startswith("seq2attn.") and permission(name, MAY_IMPORT[own] | {own}) is None:
            yield f"{line_of(path, line)}: {own} imports {name}"


def test_import_table_names_every_part() -> None:
    assert {part(path) for path in FILES} == set(MAY_IMPORT)


def test_imports_follow_the_table() -> None:
    assert not [breach for path, tree in TREES.items() for breach in forbidden_imports(path, tree)]


def test_import_table_has_no_unused_permission() -> None:
    used = {
        (part(path), permission(name, MAY_IMPORT[part(path)]))
        for path, tree in TREES.items()
        for name, _ in imports(tree, path)
        if name.startswith("seq2attn.")
    }
    allowed = {(own, other) for own, others in MAY_IMPORT.items() for other in others}
    assert not [f"{own} -> {other}" for own, other in sorted(allowed - used)]


def test_import_table_runs_from_the_ground_up() -> None:
    floors = list(MAY_IMPORT)
    upward = {
        f"{own} -> {other}"
        for own, others in MAY_IMPORT.items()
        for other in others
        if floors.index(other.split(".")[0]) >= floors.index(own)
    }
    assert not upward


@pytest.mark.parametrize(
    "command",
    [
        "prepare",
        "train",
        "translate",
        "align",
        "caption",
        "evaluate",
        "audit",
        "back_translate",
        "calibrate",
        "plot_alignment",
        "plot_training",
        "serve",
        "export",
        "import_model",
        "push",
    ],
)
def test_commands_only_parse_call_and_print(command: str) -> None:
    """What a command does is in `tasks` and below, and its options are declared in a file of their own."""
    assert len((PACKAGE / "cli" / f"{command}.py").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("search/x.py", "from seq2attn.models import memory"),
        ("models/encoders/x.py", "from ...search import beam"),
        ("attention/x.py", "import seq2attn.cli.app"),
        ("training/x.py", "from seq2attn.data.sources import read"),
        ("errors.py", "from seq2attn import config"),
    ],
)
def test_import_table_forbids(file: str, text: str) -> None:
    assert list(forbidden_imports(PACKAGE / file, ast.parse(text)))


def test_import_table_allows_single_modules() -> None:
    text = "from seq2attn.data.batches import plan\nfrom seq2attn import config"
    assert not list(forbidden_imports(PACKAGE / "training/x.py", ast.parse(text)))


@pytest.mark.parametrize(("own", "other"), [("encoders", "decoders"), ("decoders", "encoders")])
def test_encoders_and_decoders_do_not_import_each_other(own: str, other: str) -> None:
    assert not [
        line_of(path, line)
        for path, tree in TREES.items()
        if own in path.relative_to(PACKAGE).parts
        for name, line in imports(tree, path)
        if name.startswith(f"seq2attn.models.{other}")
    ]


def door(file: str, package: str) -> str | None:
    """The row of DOORS that lets a file import a third party."""
    doors = DOORS.get(package, ())
    return next((row for row in doors if file == row or (row.endswith("/") and file.startswith(row))), None)


def test_third_parties_are_imported_in_their_places() -> None:
    assert not [
        f"{line_of(path, line)}: {name} belongs to {', '.join(DOORS[package])}"
        for path, tree in TREES.items()
        for name, line in imports(tree, path)
        if (package := name.split(".")[0]) in DOORS and door(place(path), package) is None
    ]


def test_places_of_third_parties_are_all_used() -> None:
    used = {
        (package, door(place(path), package))
        for path, tree in TREES.items()
        for name, _ in imports(tree, path)
        if (package := name.split(".")[0]) in DOORS
    }
    assert not sorted({(package, row) for package, rows in DOORS.items() for row in rows} - used)


@pytest.mark.parametrize("core", ["kernels", "attention", "copying", "models", "search"])
def test_core_imports_no_third_party_but_torch(core: str) -> None:
    known = {"torch", "seq2attn", *sys.stdlib_module_names}
    assert not [
        f"{line_of(path, line)}: {name}"
        for path, tree in TREES.items()
        if part(path) == core and place(path) != PRETRAINED
        for name, line in imports(tree, path)
        if name.split(".")[0] not in known
    ]


def loads_weights_alone(file: str, tree: ast.AST, node: ast.Attribute) -> bool:
    """Whether this is a call of torch.load for weights alone, in the one file that may: published weights may
    be checkpoints of torch's.
    """
    calls = (call for call in ast.walk(tree) if isinstance(call, ast.Call) and call.func is node)
    return file == PRETRAINED and any(
        word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
        for call in calls
        for word in call.keywords
    )


def unsafe(file: str, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What would run code from a file or a shell, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_CALLS:
                yield f"{name}()", node.lineno
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in UNSAFE_ATTRIBUTES:
                if (owner, name) != ("torch", "load") or not loads_weights_alone(file, tree, node):
                    yield f"{owner}.{name}", node.lineno
            case ast.keyword(arg="allow_pickle" | "shell", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield f"{node.arg}=", value.lineno


def test_package_imports_and_calls_nothing_unsafe() -> None:
    wrong = [
        f"{line_of(path, line)}: {name}"
        for path, tree in TREES.items()
        for name, line in imports(tree, path)
        if name.split(".")[0] in UNSAFE_MODULES
    ]
    wrong += [
        f"{line_of(path, line)}: {name}"
        for path, tree in TREES.items()
        for name, line in unsafe(place(path), tree)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("file", "text", "allowed"),
    [
        ("models/vision/pretrained.py", "torch.load(x, weights_only=True)", True),
        ("models/vision/pretrained.py", "torch.load(x)", False),
        ("models/vision/pretrained.py", "torch.load(x, weights_only=False)", False),
        ("models/vision/pretrained.py", "torch.load(x, weights_only=y)", False),
        ("models/vision/pretrained.py", "load = torch.load", False),
        ("training/trainer.py", "torch.load(x, weights_only=True)", False),
        ("training/trainer.py", "numpy.load(x, allow_pickle=True)", False),
        ("training/trainer.py", "eval(x)", False),
    ],
)
def test_torch_load_is_for_weights_alone_and_in_one_file(file: str, text: str, allowed: bool) -> None:
    assert list(unsafe(file, ast.parse(text))) == [] if allowed else list(unsafe(file, ast.parse(text)))


# Files and folders are written by `files` alone. Elsewhere: a lock's own file; work in a folder that `files`
# will put in its place (data/, export/); the lines of a log; an empty folder of a run, which holds what
# `files` writes; the generators of the bundled corpora, which no command runs.
WRITERS = {
    "files.py": {
        *("open", "mkdir", "rename", "replace", "link"),
        *("rmtree", "unlink", "rmdir", "chmod", "fchmod", "fchown"),
    },
    "locks.py": {"unlink"},
    "data/prepare.py": {"mkdir", "rmtree"},
    "data/text/prepare.py": {"unlink"},
    "data/text/repeats.py": {"unlink"},
    "data/linking.py": {"unlink"},
    "data/text/encoding.py": {"open", "mkdir", "rmtree"},
    "data/images/prepare.py": {"mkdir", "rename", "unlink"},
    "data/formats/lines.py": {"TemporaryFile"},
    "data/spool.py": {"unlink"},
    "data/hf_datasets.py": {"TemporaryDirectory"},
    "samples/phrases/corpus.py": {"mkdir", "write_text"},
    "samples/image_files.py": {"mkdir", "write_text", "write_bytes", "write_table"},
    "export/folder.py": {"copyfile"},
    "runs/directory.py": {"open", "mkdir", "rmtree", "unlink"},
    "training/resume.py": {"mkdir", "unlink"},
    "runs/claim.py": {"mkdir", "rmdir"},  # for the lock
    "cli/signals.py": {"open"},  # nowhere, in place of a terminal that is gone
    "inference/feature_cache.py": {"mkdir"},
    "inference/zip_writer.py": {"TemporaryFile"},  # which has no name
    "cli/output/overlays.py": {"mkdir"},
    "tasks/score_files.py": {"mkdir"},
    "tasks/chunks.py": {"mkdir"},
    "cli/output/result_files.py": {"unlink", "truncate"},
    "cli/app.py": {"open"},
}
WRITING = {
    *("rename", "renames", "link", "symlink", "mkdir", "makedirs", "rmdir", "unlink", "rmtree", "truncate"),
    *("write_text", "write_bytes", "write_table", "tofile", "savez", "savez_compressed", "touch"),
    *("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory"),
    *("copyfile", "copy", "copy2", "copytree", "move", "symlink_to", "hardlink_to"),
    *("chmod", "lchmod", "fchmod", "chown", "fchown"),
}
# Words that lists and tensors have too: they write only as functions of these modules.
COMMON = {"copy", "replace", "truncate", "move", "remove", "link", "save"}
OF_MODULES = {"os", "shutil", "tempfile", "path", "Path", "pq"}


def opens_to_write(call: ast.Call) -> bool:
    words = [*call.args, *(word.value for word in call.keywords if word.arg in ("mode", "flags"))]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    if any(re.fullmatch(r"[rwabxt+]+", mode) and set(mode) & set("wax+") for mode in modes):
        return True
    return re.search(r"O_(WRONLY|RDWR|CREAT)", ast.unparse(call)) is not None


def writes(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Calls that write, move or remove files, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                owner = value.id if isinstance(value, ast.Name) else ""
            case ast.Call(func=ast.Name(id=name)):
                owner = ""
            case _:
                continue
        if name == "open":
            if opens_to_write(node):
                yield name, node.lineno
        elif owner in OF_MODULES if name in COMMON else name in WRITING:
            yield name, node.lineno


def test_files_module_alone_writes_files() -> None:
    assert not [
        f"{line_of(path, line)}: {name}"
        for path, tree in TREES.items()
        for name, line in writes(tree)
        if name not in WRITERS.get(place(path), set())
    ], "write by seq2attn.files"


def test_exceptions_to_the_one_writer_are_all_used() -> None:
    used = {(place(path), name) for path, tree in TREES.items() for name, _ in writes(tree)}
    assert not sorted({(file, name) for file, names in WRITERS.items() for name in names} - used)


@pytest.mark.parametrize(
    "text",
    [
        "os.replace(a, b)",
        "path.rename(b)",
        "open(name, 'w')",
        "path.open('ab')",
        "path.open(mode='wb')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "path.write_text(x)",
        "tempfile.mkdtemp()",
        "shutil.move(a, b)",
        "np.savez(path, a=a)",
    ],
)
def test_calls_that_write_are_recognised(text: str) -> None:
    assert list(writes(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "open(name)",
        "path.open('rb')",
        "text.replace('a', 'b')",
        "os.open(path, os.O_RDONLY)",
        "tensor.copy_(x)",
        "array.copy()",
    ],
)
def test_calls_that_write_nothing_are_let_through(text: str) -> None:
    assert not list(writes(ast.parse(text)))


def module_names() -> set[str]:
    """Names of the package's classes that are nn.Modules, directly or not."""
    bases = {
        node.name: {
            base.attr if isinstance(base, ast.Attribute) else base.id
            for base in node.bases
            if isinstance(base, (ast.Attribute, ast.Name))
        }
        for path, tree in TREES.items()
        if part(path) in {"attention", "copying", "models"}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names = {"Module", "ModuleList", "Linear", "Embedding"}
    while more := {name for name, above in bases.items() if above & names} - names:
        names |= more
    return names


def test_modules_hold_weights_alone() -> None:
    """No cache, mask or state is put on a module after it is built: only __init__ says `self.x = ...`."""
    modules = module_names()
    assert {"Additive", "Cell", "RNNDecoder", "ScaledDot"} <= modules
    methods = [
        (path, method)
        for path, tree in TREES.items()
        if part(path) in {"attention", "copying", "models"}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name in modules
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name != "__init__"
    ]
    assert not [
        f"{line_of(path, node.lineno)}: self.{node.attr}"
        for path, method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id == "self"
    ]


# Which backbone or temporal layer the settings chose: one kind of each has self-attention to give.
ASK_OF_THEIR_PARTS = {"models/encoders/image.py", "models/encoders/video.py"}


def test_search_encoders_and_decoders_do_not_ask_for_types() -> None:
    assert not [
        line_of(path, node.lineno)
        for path, tree in TREES.items()
        if {"attention", "search", "encoders", "decoders"} & set(path.relative_to(PACKAGE).parts)
        if place(path) not in ASK_OF_THEIR_PARTS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"hasattr", "isinstance"}
    ]


# What sources are is asked of the task, the corpus, or a column of the modality's row. Elsewhere nobody asks
# whether they are images, but for these files, each with its number of questions. They may only become fewer.
MAY_ASK = ("tasks/", "data/images/", "config/modality.py", "config/schema.py")
STILL_ASK = {
    "data/sources.py": 2,  # decides what a corpus is of
    "data/prepare.py": 2,  # only corpora of text are joined, and have a clean table
    "models/vision/pretrained.py": 1,  # only a backbone has published weights
    "cli/plot_images.py": 1,  # draws images of prepared data, and refuses texts with its own way out
    "cli/plot_options.py": 1,  # the options of the command name the modality
}
OF_ONE_MODALITY = {"IMAGES", "TEXT", "ImageCorpus", "Corpus", "Captioner", "Translator"}


def is_of_one_modality(expression: ast.AST) -> bool:
    """Whether an expression names images or text as what sources are."""
    for node in ast.walk(expression):
        match node:
            case ast.Name(id=name) if name in OF_ONE_MODALITY:
                return True
            case ast.Attribute(attr=name) if name in OF_ONE_MODALITY | {"images"}:
                return True
            case ast.Constant(value="image" | "images"):
                return True
    return False


def questions(tree: ast.AST) -> Iterator[int]:
    """The lines that ask whether sources are images or text."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot()]):
                asks = is_of_one_modality(left) or is_of_one_modality(node.comparators[0])
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]):
                asks = is_of_one_modality(kind)
            case ast.Call(func=ast.Attribute(attr="get"), args=[key, *_]):
                asks = is_of_one_modality(key)
            case ast.If(test=test) | ast.IfExp(test=test):
                asks = isinstance(test, ast.Attribute) and is_of_one_modality(test)
            case _:
                continue
        if asks:
            yield node.lineno


def test_questions_whether_sources_are_images_become_fewer() -> None:
    count = {
        place(path): len(lines)
        for path, tree in TREES.items()
        if not place(path).startswith(MAY_ASK) and (lines := list(questions(tree)))
    }
    assert count == STILL_ASK, "ask the task or the modality instead; if there are fewer, lower the number"


@pytest.mark.parametrize(
    "text",
    [
        "run.config.model.modality == IMAGES",
        "modality != config.TEXT",
        'encoder.kind == "image"',
        "isinstance(corpus, ImageCorpus)",
        "isinstance(reader, (Captioner, Other))",
        'report.get("images", False)',
        "x if config.model.images else y",
        "config.model.images != of_image",
    ],
)
def test_questions_whether_sources_are_images_are_recognised(text: str) -> None:
    assert list(questions(ast.parse(text)))


def test_files_have_docstrings() -> None:
    assert not [str(path) for path, tree in TREES.items() if tree.body and not ast.get_docstring(tree)]


def test_file_names_are_specific() -> None:
    drawers = {"utils", "util", "helpers", "common", "base", "registry", "misc"}
    assert not [place(path) for path in FILES if {*path.relative_to(PACKAGE).with_suffix("").parts} & drawers]


def test_source_has_no_marks_of_unfinished_work() -> None:
    assert not [
        line_of(path, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line)
    ]


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    prose: set[int] = set()
    for node in ast.walk(TREES[path]):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        number not in prose and bool(line.strip()) and not line.strip().startswith("#")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    )


def share(file: str) -> str | None:
    """Which budget the lines of a file count in."""
    if file.startswith(VISION):
        return "vision"
    return "kernels" if file.startswith("kernels/") else "text core" if file.startswith(TEXT_CORE) else None


@pytest.mark.parametrize("name", BUDGETS)
def test_core_is_small_enough_to_read_in_one_evening(name: str) -> None:
    sizes = {place(path): lines_of_code(path) for path in FILES if share(place(path)) == name}
    assert sum(sizes.values()) <= BUDGETS[name], f"{sum(sizes.values())} lines of code: {sizes}"


HEAVY = (
    "torch",
    "numpy",
    "datasets",
    "pyarrow",
    "sentencepiece",
    "sacrebleu",
    "matplotlib",
    "PIL",
    "ctranslate2",
)
HELP = [
    "",
    "--help",
    "train --help",
    "prepare --help",
    "translate --help",
    "caption --help",
    "evaluate --help",
    "audit --help",
    "back-translate --help",
    "calibrate --help",
    "plot-alignment --help",
    "export --help",
    "import --help",
    "push --help",
    "train --list",
    "train bahdanau15 --show",
]
WRONG = [
    "translat",
    "train --no-such-option",
    "train bahdanau14",
    "train bahdanau15 --set model.drpout=0.1",
    "train bahdanau15 --set model.dropout=high",
    "train bahdanau15 --max-steps many",
    "translate",
    "caption",
    "caption run a.png --n-best 9",
    "plot-alignment run --image a.png --source a",
    "calibrate",
    "calibrate run --limit 0",
    "audit",
    "audit run --limit 0",
    "audit run -o page.txt",
    "prepare",
    "export",
    "export run out --format onnx",
    "import",
    "push run",
]

# Imports the command line once; each line is then run by a child of that interpreter, which prints JSON.
PROBE = """
import contextlib, io, json, os, sys
import seq2attn.cli.app as app
heavy, lines = json.loads(sys.argv[1])
for line in lines:
    sys.stdout.flush()
    if os.fork() == 0:
        sys.argv = ["seq2attn", *line.split()]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as text:
            try:
                code = app.main()
            except SystemExit as leave:
                code = leave.code
        loaded = [name for name in heavy if name in sys.modules]
        print(json.dumps([line, code or 0, loaded, text.getvalue()]), flush=True)
        os._exit(0)
    os.wait()
"""


Answers = dict[str, tuple[int, list[str], str]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """By command line: its exit status, the heavy modules that it imported, and what it printed on stderr."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([HEAVY, HELP + WRONG])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=True,
    )
    return {line: tuple(answer) for line, *answer in map(json.loads, run.stdout.splitlines())}


@pytest.mark.parametrize("line", HELP)
def test_help_imports_nothing_heavy(answers: Answers, line: str) -> None:
    code, heavy, text = answers[line]
    assert code == 0, text
    assert not heavy


@pytest.mark.parametrize("line", WRONG)
def test_usage_errors_come_before_heavy_imports(answers: Answers, line: str) -> None:
    code, heavy, text = answers[line]
    assert code == 2
    assert text.strip()
    assert "Traceback" not in text
    assert not heavy


def test_training_imports_no_screen_no_metric_and_no_reader_of_corpora() -> None:
    code = """
import sys, pkgutil, importlib, seq2attn.training as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"seq2attn.training.{module.name}")
print(*sorted({"rich", "typer", "sacrebleu", "datasets", "pyarrow", "matplotlib"} & set(sys.modules)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ""
