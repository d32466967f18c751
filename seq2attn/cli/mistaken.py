"""What somebody may have meant whose words fit nowhere: a text where a file is wanted, data where a preset
is, a command of another toolkit.

It looks at names and at what stands on the disk, opens nothing heavy, and says one line with the way out.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from seq2attn import config, synonyms
from seq2attn.cli import presets
from seq2attn.errors import UsageError, UserError
from seq2attn.near import nearest

# corpora, and the preset that they are first tried with
BUNDLED = {"phrases": "", "scenes": "xu15-soft ", "clips": "video "}
DATA = (
    ".tsv",
    ".csv",
    ".jsonl",
    ".json",
    ".parquet",
    ".txt",
    ".gz",
    ".bz2",
    ".xz",
    ".zip",
    ".xlsx",
    ".ods",
    ".arrow",
)
SETTINGS = (".yaml", ".yml", ".json", ".ini", ".cfg", ".py", ".conf")  # of other toolkits
IN_A_RUN = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "tokenizer.model",
    "source.model",
    "target.model",
    "training",
    "scores",
    "tensorboard",
)
KINDS = {
    "model.attention.score": "a score",
    "model.attention.normaliser": "a normaliser",
    "model.attention.window": "a window",
    "model.attention.history": "a term of the score",
    "model.encoder.kind": "a kind of encoder",
    "model.decoder.kind": "a kind of decoder",
    "model.encoder.cell": "a cell",
    "model.encoder.backbone": "a backbone",
    "data.tokenizer": "a tokenizer",
    "train.optimizer": "an optimizer",
    "train.schedule": "a schedule",
}
LONGEST_ENDING = 7  # letters of the ending of a file
EXPLAINED = 3  # presets that are named as examples


# Commands

COMMANDS = {  # of other toolkits, and what is ours
    "evaluate": "evaluation score test eval bleu sacrebleu validate benchmark compare metrics assess",
    "translate": "translation predict infer inference decode generate run sample interactive output hypothesize",
    "caption": "captioning describe captions",
    "prepare": "preparation preprocess tokenize tokenise vocab build-vocab build_vocab binarize data learn-bpe spm-train dataset import corpus",
    "train": "training fit learn finetune fine-tune resume continue retrain pretrain",
    "plot-alignment": "explain explore explorer visualize visualise show attention heatmap draw view matrix saliency align alignment image",
    "export": "exporting convert onnx quantize ctranslate2 ct2 deploy package",
}
SERVER = ("serve", "server", "api", "web", "demo", "gui", "rest", "http", "app", "ui")
SENTENCES = {
    **dict.fromkeys(
        SERVER,
        "there is no server yet: pipe lines into translate, or export a Transformer to an engine that serves",
    ),
    **dict.fromkeys(("list", "presets", "models", "ls"), "`seq2attn train --list` shows the presets"),
    **dict.fromkeys(("config", "settings", "defaults"), "`seq2attn train PRESET --show` lists every setting"),
    "help": "`seq2attn --help` lists the commands",
    "version": "`seq2attn --version` says it",
    **dict.fromkeys(
        ("download", "pull", "fetch"),
        "data of the Hugging Face hub are named hf:OWNER/NAME in `seq2attn prepare` and `train --data`",
    ),
    **dict.fromkeys(
        ("push", "upload", "publish"),
        "a run is a folder that can be copied as it is: there is no command for it",
    ),
}


def command(word: str, commands: Sequence[str]) -> str:
    """What to say of a command that there is not. Commands that begin so come first, then what others call
    ours, then near spellings.
    """
    plain = word.lower()
    if begins := [
        name for name in commands if len(plain) > 1 and (name.startswith(plain) or plain.startswith(name))
    ]:
        return f"Did you mean {_or([f'{name!r}' for name in begins])}?"
    if plain in SENTENCES:
        return SENTENCES[plain]
    meant = [ours for ours, theirs in COMMANDS.items() if plain in theirs.split() and ours in commands]
    if meant := meant or nearest(word, commands):
        return f"Did you mean {_or([f'{name!r}' for name in meant])}?"
    if word in config.presets():
        return f"{word} is a preset: seq2attn train {word}"
    if word.endswith(".toml"):
        return f"a file of settings goes with train: seq2attn train {shown(word)}"
    if word in BUNDLED:
        return f"{word} is a corpus: seq2attn train {BUNDLED[word]}--data {word}"
    if is_run(Path(word)):
        return f"{word} is a run: seq2attn {_reader(Path(word))} {shown(word)}"
    if Path(word).exists():
        return f"to train on {word}: seq2attn train --data {shown(word)}"
    return f"there are {', '.join(commands)}"


# Options

OPTIONS = {  # (command, or "" for any; what others call it) -> what to say
    ("train", "preset"): "the preset goes without an option: train {value}",
    ("train", "model"): "the preset goes without an option: train {value}",
    ("train", "config"): "a file of settings goes without an option: train {value}",
    ("train", "arch"): "the preset goes without an option: train {value}",
    ("train", "limit"): "--max-steps says how long to train; a smaller corpus is prepared for --data",
    ("train", "run"): "the run's directory is --out {value}",
    ("train", "save"): "the run's directory is --out {value}",
    ("train", "savedir"): "the run's directory is --out {value}",
    ("train", "outputdir"): "the run's directory is --out {value}",
    ("train", "output"): "the run's directory is --out {value}",
    ("train", "corpus"): "data are --data {value}",
    ("train", "dataset"): "data are --data {value}",
    ("train", "src"): "the source side is --source {value}",
    ("train", "tgt"): "the target side is --target {value}",
    ("train", "sourcelang"): "the source side is --source {value}",
    ("train", "targetlang"): "the target side is --target {value}",
    ("prepare", "src"): "the source side is --source {value}",
    ("prepare", "tgt"): "the target side is --target {value}",
    ("prepare", "sourcelang"): "the source side is --source {value}",
    ("prepare", "targetlang"): "the target side is --target {value}",
    ("prepare", "data"): "the corpus goes without an option: prepare {value} OUT",
    ("prepare", "input"): "the corpus goes without an option: prepare {value} OUT",
    ("prepare", "out"): "the folder to make goes without an option: prepare CORPUS {value}",
    ("prepare", "output"): "the folder to make goes without an option: prepare CORPUS {value}",
    ("translate", "input"): "files go without an option: translate RUN {value}",
    (
        "translate",
        "source",
    ): "files go without an option: translate RUN {value}; text is piped: echo TEXT | seq2attn translate RUN",
    ("translate", "src"): "files go without an option: translate RUN {value}",
    ("translate", "file"): "files go without an option: translate RUN {value}",
    ("translate", "text"): "text is piped: echo TEXT | seq2attn translate RUN",
    ("translate", "sentence"): "text is piped: echo TEXT | seq2attn translate RUN",
    ("caption", "image"): "images go without an option: caption RUN {value}",
    ("caption", "input"): "images go without an option: caption RUN {value}",
    ("caption", "data"): "images go without an option: caption RUN {value}",
    ("evaluate", "test"): "a split is --split {value}, files are --source FILE --reference FILE",
    ("evaluate", "input"): "a file to translate is --source {value}",
    ("evaluate", "src"): "a file to translate is --source {value}",
    ("evaluate", "ref"): "right translations are --reference {value}",
    ("evaluate", "hyp"): "another system's output is --hypotheses {value}",
    ("evaluate", "metric"): "BLEU, chrF and TER are always shown",
    ("evaluate", "bleu"): "BLEU, chrF and TER are always shown",
    ("plot-alignment", "text"): "the text is --source {value}",
    ("plot-alignment", "sentence"): "the text is --source {value}",
    ("plot-alignment", "input"): "the text is --source {value}",
    ("plot-alignment", "attention"): "saved attention is --from {value}",
    ("", "model"): "the run goes without an option, right after the command",
    ("", "run"): "the run goes without an option, right after the command",
    ("", "checkpoint"): "the run goes without an option, right after the command",
    ("", "ckpt"): "the run goes without an option, right after the command",
    ("", "verbose"): "what happens is shown unless --quiet is given; --debug shows tracebacks",
    (
        "",
        "v",
    ): "what happens is shown unless --quiet is given; --debug shows tracebacks; `seq2attn --version` says the version",
    ("", "silent"): "--quiet leaves out progress and notes",
    ("", "overwrite"): "--force replaces what stands there, where a command makes a folder",
}
for _name in ("gpu", "gpus", "cuda", "usegpu", "nogpu", "cpu", "nocuda", "usecuda"):
    OPTIONS["", _name] = "--device cuda or --device cpu says where to compute"


def option(typed: str, value: str | None, named: str, options: Mapping[str, Sequence[str]]) -> str | None:
    """What to say of an option that a command, `named`, has not; `options` are those of every command.
    Nothing where nothing is like it.
    """
    plain = typed.lstrip("-").lower().replace("-", "").replace("_", "")
    mine = [name for name in options.get(named, ()) if name.startswith("--")]
    told = OPTIONS.get((named, plain)) or OPTIONS.get(("", plain))
    if told and not (told.endswith("to compute") and "--device" not in mine):
        return told.format(value=shown(value) if value else "...")
    bare = typed.lstrip("-").lower()
    begins = [name for name in mine if len(bare) > 2 and name[2:].startswith(bare)]
    if meant := begins or [f"--{name}" for name in nearest(bare, [name[2:] for name in mine])]:
        return f"did you mean {_or(meant)}?"
    if named == "train" and (said := _as_setting(plain, value)):
        return said
    if named != "train" and (said := synonyms.known_as(plain)) and said.startswith("here it is search."):
        ours = "--" + said.rpartition(".")[2].replace("_", "-")
        return (
            f"did you mean {ours}?"
            if ours in mine
            else f"as a setting: --set {said.rpartition(' ')[2]}={value or 'VALUE'}"
        )
    exact = f"--{bare.replace('_', '-')}"
    if others := [name for name, theirs in options.items() if exact in theirs and name != named]:
        return f"{exact} is an option of {_or(others, 'and')}"
    if named != "train" and named and (said := _as_setting(plain, value)):
        return (
            f"it is a setting of training: `seq2attn train {said.removeprefix('as a setting: ')}`"
            if said.startswith("as a setting")
            else said
        )
    return None


def _as_setting(plain: str, value: str | None) -> str | None:
    names = list(
        dict.fromkeys(
            name for name, _, _ in config.fields() if name.rpartition(".")[2].replace("_", "") == plain
        )
    )
    if len(names) == 1:
        return f"as a setting: --set {names[0]}={value or 'VALUE'}"
    if names:
        return f"as settings, by --set: {_or(names)}"
    said = synonyms.known_as(plain)
    if said is None or not said.startswith("here it is "):
        return said
    ours = said.removeprefix("here it is ")
    return (
        f"as a setting: --set {ours}={value or 'VALUE'}"
        if " " not in ours
        else f"as settings, by --set: {ours}"
    )


# Arguments


def missing(argument: str, command: str) -> str | None:
    """What to say of an argument that a command has not been given."""
    if argument == "RUN":
        runs = (
            sorted(str(run) for run in Path("runs").iterdir() if is_run(run)) if Path("runs").is_dir() else []
        )
        here = (
            f"there {'are' if len(runs) > 1 else 'is'} {_or(runs[:EXPLAINED], 'and')}"
            if runs
            else "`seq2attn train` makes one"
        )
        return f"name the run right after {command}: {here}"
    if argument == "CORPUS":
        return f"name the corpus and the folder to make, as in `seq2attn {command} phrases prepared/phrases`"
    if argument == "OUT":
        return "name the folder to make too"
    return None


def extra(words: str, command: str) -> str | None:
    """What to say of arguments that are too many."""
    if command == "train":
        first = words.split()[0]
        if first in config.presets():
            return "one preset is trained at a time"
        if first in BUNDLED or first.startswith("hf:") or Path(words).exists() or Path(first).suffix in DATA:
            return f"data go with --data: --data {shown(words if Path(words).exists() else first)}"
    if command == "plot-alignment":
        return f"put the text behind --source: --source {quoted(words)}"
    return None


# Presets


def refuse_no_preset(word: str) -> None:
    """Raise UsageError where `word` is neither a preset nor a file of settings, with what it is instead."""
    path = Path(word)
    if word in config.presets() or (path.is_file() and path.suffix == ".toml"):
        return
    if said := _instead_of_a_preset(word, path):
        raise UsageError(said if said.startswith((word, str(path))) else f"{word}: {said}")


def _instead_of_a_preset(word: str, path: Path) -> str | None:
    if word.startswith("hf:") or word in BUNDLED:
        return f"{word} is a corpus: seq2attn train {BUNDLED.get(word, '')}--data {word}"
    if path.is_dir():
        return _folder_instead(path)
    if path.name in IN_A_RUN and is_run(path.parent):
        return f"{word} is a part of a run: go on with it by `seq2attn train --resume --out {shown(path.parent)}`, or translate with it"
    if path.name == "prepared.json":
        return f"{word} belongs to a prepared folder: seq2attn train --data {shown(path.parent)}"
    if path.suffix in DATA:
        columns = "" if path.suffix == ".txt" else " --source COLUMN --target COLUMN"
        return f"{word} is data: seq2attn train --data {shown(word)}{columns}" + (
            "" if path.exists() else f" (and there is no file {word})"
        )
    if path.suffix in SETTINGS:
        return f"{word}: settings are read from TOML, which `seq2attn train PRESET --show` writes"
    if path.is_file():
        if _is_toml(path):
            return None
        split = re.fullmatch(r"(train|valid|val|dev|test).*\.[a-z]{2,3}", path.name)
        return f"{word} is no file of settings (TOML); if it is data: seq2attn train --data {shown(path.parent if split else word)}"
    names = config.presets()
    begins = sorted(
        (name for name in names if len(word) > 1 and name.startswith(word.lower())),
        key=lambda name: (len(name), name),
    )
    if near := begins[:EXPLAINED] or nearest(word, names):
        return f"neither a preset nor a file; did you mean {_or(near)}?"
    if said := _value(word):
        return f"{word} is {said}"
    if any(presets.listed(names, word)):
        return f"neither a preset nor a file; `seq2attn train --list {shown(word)}` shows the presets that are described so"
    return None


def _folder_instead(path: Path) -> str:
    if is_run(path):
        return f"{path} is a run: go on with it by `seq2attn train --resume --out {shown(path)}`, or use it: seq2attn {_reader(path)} {shown(path)}"
    if is_prepared(path):
        return f"{path} is prepared data: seq2attn train --data {shown(path)}"
    return f"{path} is a folder: if it holds data, seq2attn train --data {shown(path)}"


def _is_toml(path: Path) -> bool:
    try:
        config.load(str(path))
    except UserError as error:
        return "not a TOML file" not in str(error)
    return True


def _value(word: str) -> str | None:
    """What setting has a value of this name, and which presets have it."""
    typed = word.lower()
    for key, kind in KINDS.items():
        values = [
            str(value)
            for name, _, field in config.fields()
            if name == key
            for value in config.choices(field.annotation)
        ]
        values += [
            str(kind) for name, kind, _ in config.fields() if name == key and key.endswith(".kind") and kind
        ]
        values += config.BACKBONES if key == "model.encoder.backbone" else []
        if typed not in values:
            continue
        groups = list(presets.GROUPS)
        order = sorted(
            config.presets(),
            key=lambda name: (typed not in name, groups.index(presets.head(config.presets()[name]).group)),
        )
        having = [name for name in order if config.flat(config.load(name)).get(key) == typed]
        first = None if key.endswith(".kind") else _fit_for(key, typed)
        ways = [f"train {name}" for name in having[:1]] + (
            [f"train {first} --set {key}={typed}"] if first else []
        )
        return (
            f"{kind}: {', or '.join(ways)}"
            if ways
            else f"{kind}, a value of {key}; `seq2attn train xu15-soft --show` says what it goes with"
        )
    return None


def _fit_for(key: str, value: str) -> str | None:
    """A small preset on which that setting can be tried."""
    for name in ("scaled-dot", "keyed-bilinear", "first-try"):
        try:
            if config.flat(config.load(name, [f"{key}={value}"])) != config.flat(config.load(name)):
                return name
        except UserError:
            continue
    return None


# Runs


def is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def is_prepared(path: Path) -> bool:
    return (path / "prepared.json").is_file()


def refuse_no_run(names: str) -> None:
    """Raise UserError where one of the runs, joined by commas, is none, with what it is instead; what is
    wrong inside a run is said by who opens it.
    """
    parts = [name.strip() for name in names.split(",") if name.strip()]
    for name in [names] if Path(names).is_dir() or any(" " in part for part in parts) else parts:
        path = Path(name)
        if is_run(path):
            continue
        if said := _instead_of_a_run(name, path):
            raise UserError(said)


def _instead_of_a_run(name: str, path: Path) -> str | None:
    if (path.name in IN_A_RUN or path.suffix == ".safetensors") and (
        above := next((p for p in path.parents if is_run(p)), None)
    ):
        return f"{name} is a part of a run: name its folder, {above}"
    if name in config.presets() and not path.exists():
        return (
            f"{name} is a preset, not a run: train it first (seq2attn train {name}), then name the run that it makes"
            + run_near(name)
        )
    if name in BUNDLED and not path.exists():
        return f"{name} is a corpus, not a run" + (
            run_near(name) or f": seq2attn train {BUNDLED[name]}--data {name} makes one"
        )
    if path.is_dir():
        if is_prepared(path):
            return f"{name} is prepared data, not a run: seq2attn train --data {shown(name)} makes one"
        inside = sorted(file.name for file in path.iterdir() if file.is_dir() and is_run(file))
        return (
            f"{name}: not a run directory: it has no config.json, but runs in it; name one, as {path / inside[0]}"
            if inside
            else None
        )
    if path.is_file():
        return None
    if is_text(name) and (" " in name.strip() or not name.isascii() or name.endswith((".", "!", "?"))):
        return f"{quoted(name)}: no such run: the run comes first, and text is piped: echo {quoted(name)} | seq2attn translate RUN"
    return f"{name}: no such run directory{run_near(name) or '; `seq2attn train` makes one'}"


def run_near(name: str | Path) -> str:
    """A run that stands near by under such a name."""
    name, path = str(name), Path(name)
    around = [folder for folder in (path.parent, Path("runs")) if folder.is_dir()]
    runs = {str(run): run.name for folder in around for run in folder.iterdir() if is_run(run)}
    same = [run for run, own in runs.items() if own == path.name and run != name]
    begins = [
        run for run, own in runs.items() if own.startswith(f"{path.name}-") or own.endswith(f"-{path.name}")
    ]
    near = [run for own in nearest(path.name, runs.values()) for run, other in runs.items() if other == own]
    meant = same or near or begins
    return f"; did you mean {_or(meant[:EXPLAINED])}?" if meant else ""


def _reader(run: Path) -> str:
    try:
        kind = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]["model"]["encoder"][
            "kind"
        ]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        kind = ""
    return "caption" if kind == "image" else "translate"


# Data


def refuse_no_data(word: str) -> None:
    """Raise UsageError where data are wanted and `word` is something else that is known."""
    path = Path(word)
    if path.name == "prepared.json" and path.is_file():
        raise UsageError(f"{word}: name the prepared folder, {path.parent}")
    if is_run(path) and not is_prepared(path):
        raise UsageError(
            f"{word} is a run, not data: name what it is trained on, a corpus or a prepared folder"
        )
    if path.exists() or word.startswith("hf:"):
        return
    if word in config.presets():
        raise UsageError(f"{word} is a preset, not data: seq2attn train {word} --data CORPUS")
    if "/" not in word and (near := nearest(word, BUNDLED)) and word not in BUNDLED:
        raise UsageError(f"{word}: no such file or folder; did you mean {_or(near)}?")


# Texts and files


def refuse_no_file(name: str, way: str) -> None:
    """Raise UsageError where a file is wanted, there is none of that name, and it is a text; `way` says what
    to do with the text, `{text}`.
    """
    if is_text(name):
        raise UsageError(f"{quoted(name)}: no such file. {way.format(text=quoted(name))}")


def is_text(name: str) -> bool:
    """Whether a name of which there is no file is words rather than a path."""
    if name == "-" or not name.strip() or _exists(name):
        return False
    ending = Path(name.rstrip().rsplit(None, 1)[-1]).suffix[1:]
    return not ("/" in name or (ending.isascii() and ending.isalnum() and len(ending) <= LONGEST_ENDING))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name
        return False


def quoted(text: str) -> str:
    return f'"{text}"' if not any(c in text for c in '"\\$`!') else shlex.quote(text)


def shown(name: object) -> str:
    return shlex.quote(str(name))


def _or(names: Sequence[str], word: str = "or") -> str:
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
