"""Hints for unknown commands and options, and for missing or extra arguments, in one line.

Users of other toolkits find our names here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seq2attn import config, synonyms
from seq2attn.cli.mistaken import BUNDLED, DATA, either, is_run, quoted, reading_command, shell
from seq2attn.near import nearest

COMMANDS = {  # our commands, and the names in other toolkits
    "audit": "attribution captum faithfulness trust doctor diagnose gradients occlusion",
    "evaluate": "evaluation score test eval bleu sacrebleu validate benchmark compare metrics assess",
    "translate": "translation predict infer inference decode generate run sample interactive output "
    "hypothesize",
    "align": "aligner word-align fast_align fast-align awesome-align eflomal giza giza++ mgiza links symal",
    "caption": "captioning describe captions",
    "prepare": "preparation preprocess tokenize tokenise vocab build-vocab build_vocab binarize data "
    "learn-bpe spm-train dataset corpus",
    "train": "training fit learn finetune fine-tune resume continue retrain pretrain",
    "serve": "server api web demo gui rest http app ui browser explore explorer",
    "plot-alignment": "explain visualize visualise show attention heatmap draw view "
    "matrix saliency alignment image",
    "plot-training": "curve curves learning-curve learning-curves loss progress history",
    "export": "exporting convert onnx quantize ctranslate2 ct2 deploy package",
    "import": "import-model opus opus-mt marian from-pretrained pretrained huggingface transformers load",
    "push": "upload publish share hub",
}
SENTENCES = {
    **dict.fromkeys(("list", "presets", "models", "ls"), "`seq2attn train --list` lists the presets"),
    **dict.fromkeys(("config", "settings", "defaults"), "`seq2attn train PRESET --show` lists every setting"),
    "help": "`seq2attn --help` lists the commands",
    "version": "`seq2attn --version` prints it",
    **dict.fromkeys(
        ("download", "pull", "fetch"),
        "name a corpus of the Hugging Face hub as hf:OWNER/NAME in `seq2attn prepare` and `train --data`",
    ),
}


def command(word: str, commands: Sequence[str]) -> str:
    """The hint for an unknown command.

    It names commands that begin alike or, without any, our names for commands of other toolkits or, without
    any, similar spellings. Otherwise it says what the word is.
    """
    plain = word.lower()
    alike = [
        name for name in commands if len(plain) > 1 and (name.startswith(plain) or plain.startswith(name))
    ]
    if not alike:
        if plain in SENTENCES:
            return SENTENCES[plain]
        alike = [ours for ours, theirs in COMMANDS.items() if plain in theirs.split() and ours in commands]
    if alike := alike or nearest(word, commands):
        return f"Did you mean {either([f'{name!r}' for name in alike])}?"
    if word in config.presets():
        return f"{word} is a preset: seq2attn train {word}"
    if word.endswith(".toml"):
        return f"train with this file of settings: seq2attn train {shell(word)}"
    if word in BUNDLED:
        return f"{word} is a corpus: seq2attn train {BUNDLED[word]}--data {word}"
    if is_run(Path(word)):
        return f"{word} is a run: seq2attn {reading_command(Path(word))} {shell(word)}"
    if Path(word).exists():
        return f"to train on {word}: seq2attn train --data {shell(word)}"
    return f"there are {', '.join(commands)}"


OPTIONS = {  # (command or "" for any command, name in other toolkits) -> hint
    ("train", "preset"): "give the preset without an option: train {value}",
    ("train", "model"): "give the preset without an option: train {value}",
    ("train", "config"): "give the file of settings without an option: train {value}",
    ("train", "arch"): "give the preset without an option: train {value}",
    ("train", "limit"): "--max-steps says how long to train; a smaller corpus is prepared for --data",
    ("train", "run"): "the run's directory is --out {value}",
    ("train", "save"): "the run's directory is --out {value}",
    ("train", "savedir"): "the run's directory is --out {value}",
    ("train", "outputdir"): "the run's directory is --out {value}",
    ("train", "output"): "the run's directory is --out {value}",
    ("train", "corpus"): "the data is --data {value}",
    ("train", "dataset"): "the data is --data {value}",
    ("train", "src"): "the source side is --source {value}",
    ("train", "tgt"): "the target side is --target {value}",
    ("train", "sourcelang"): "the source side is --source {value}",
    ("train", "targetlang"): "the target side is --target {value}",
    ("prepare", "src"): "the source side is --source {value}",
    ("prepare", "tgt"): "the target side is --target {value}",
    ("prepare", "sourcelang"): "the source side is --source {value}",
    ("prepare", "targetlang"): "the target side is --target {value}",
    ("prepare", "data"): "give the corpus without an option: prepare {value} OUT",
    ("prepare", "input"): "give the corpus without an option: prepare {value} OUT",
    ("prepare", "out"): "give the folder to make without an option: prepare CORPUS {value}",
    ("prepare", "output"): "give the folder to make without an option: prepare CORPUS {value}",
    ("translate", "input"): "give files without an option: translate RUN {value}",
    (
        "translate",
        "source",
    ): "give files without an option: translate RUN {value}; text is piped: echo TEXT | seq2attn "
    "translate RUN",
    ("translate", "src"): "give files without an option: translate RUN {value}",
    ("translate", "file"): "give files without an option: translate RUN {value}",
    ("translate", "text"): "text is piped: echo TEXT | seq2attn translate RUN",
    ("translate", "sentence"): "text is piped: echo TEXT | seq2attn translate RUN",
    ("caption", "image"): "give images without an option: caption RUN {value}",
    ("caption", "input"): "give images without an option: caption RUN {value}",
    ("caption", "data"): "give images without an option: caption RUN {value}",
    ("evaluate", "test"): "a split is --split {value}, files are --source FILE --reference FILE",
    ("evaluate", "input"): "a file to translate is --source {value}",
    ("evaluate", "src"): "a file to translate is --source {value}",
    ("evaluate", "ref"): "reference translations are --reference {value}",
    ("evaluate", "hyp"): "the output of another system is --hypotheses {value}",
    ("evaluate", "metric"): "BLEU, chrF and TER are always printed",
    ("evaluate", "bleu"): "BLEU, chrF and TER are always printed",
    ("plot-alignment", "text"): "the text is --source {value}",
    ("plot-alignment", "sentence"): "the text is --source {value}",
    ("plot-alignment", "input"): "the text is --source {value}",
    ("plot-alignment", "attention"): "saved attention is --from {value}",
    ("", "model"): "give the run without an option, right after the command",
    ("", "run"): "give the run without an option, right after the command",
    ("", "checkpoint"): "give the run without an option, right after the command",
    ("", "ckpt"): "give the run without an option, right after the command",
    ("", "verbose"): "progress is printed unless --quiet is given; --debug prints tracebacks",
    ("", "v"): "progress is printed unless --quiet is given; --debug prints tracebacks; `seq2attn --version` "
    "prints the version",
    ("", "silent"): "--quiet prints no progress and no notes",
    ("", "overwrite"): "--force replaces the folder that a command makes",
}
for _name in ("gpu", "gpus", "cuda", "usegpu", "nogpu", "cpu", "nocuda", "usecuda"):
    OPTIONS["", _name] = "--device cuda or --device cpu chooses where to compute"


def option(typed: str, value: str | None, command: str, options: Mapping[str, Sequence[str]]) -> str | None:
    """The hint for an option that `command` does not have, or None.

    `options` are those of every command.
    """
    plain = typed.lstrip("-").lower().replace("-", "").replace("_", "")
    own = [name for name in options.get(command, ()) if name.startswith("--")]
    hint = OPTIONS.get((command, plain)) or OPTIONS.get(("", plain))
    if hint and not (hint.endswith("to compute") and "--device" not in own):
        return hint.format(value=shell(value) if value else "...")
    bare = typed.lstrip("-").lower()
    begins = [name for name in own if len(bare) > 2 and name[2:].startswith(bare)]
    if alike := begins or [f"--{name}" for name in nearest(bare, [name[2:] for name in own])]:
        return f"did you mean {either(alike)}?"
    if command == "train" and (hint := _as_setting(plain, value)):
        return hint
    known = synonyms.known_as(plain) if command != "train" else None
    if known and known.startswith(f"{synonyms.OUR_NAME}search."):
        ours = "--" + known.rpartition(".")[2].replace("_", "-")
        if ours in own:
            return f"did you mean {ours}?"
        return f"as a setting: --set {known.rpartition(' ')[2]}={value or 'VALUE'}"
    exact = f"--{bare.replace('_', '-')}"
    if others := [name for name, theirs in options.items() if exact in theirs and name != command]:
        return f"{exact} is an option of {either(others, 'and')}"
    if command and command != "train" and (hint := _as_setting(plain, value)):
        if hint.startswith("as a setting"):
            return f"it is a setting of training: `seq2attn train {hint.removeprefix('as a setting: ')}`"
        return hint
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
        return f"as settings, by --set: {either(names)}"
    known = synonyms.known_as(plain)
    if known is None or not known.startswith(synonyms.OUR_NAME):
        return known
    ours = known.removeprefix(synonyms.OUR_NAME)
    return (
        f"as settings, by --set: {ours}" if " " in ours else f"as a setting: --set {ours}={value or 'VALUE'}"
    )


def missing(argument: str, command: str) -> str | None:
    """The hint for a missing argument, or None."""
    if argument == "RUN":
        runs = (
            sorted(str(run) for run in Path("runs").iterdir() if is_run(run)) if Path("runs").is_dir() else []
        )
        are = "are" if len(runs) > 1 else "is"
        hint = f"there {are} {either(runs[:3], 'and')}" if runs else "`seq2attn train` makes one"
        return f"name the run right after {command}: {hint}"
    if argument == "CORPUS":
        return f"name the corpus and the folder to make, as in `seq2attn {command} phrases prepared/phrases`"
    if argument == "OUT":
        return "name the folder to make too"
    return None


def extra(words: str, command: str) -> str | None:
    """The hint for extra arguments, or None."""
    if command == "train":
        first = words.split()[0]
        if first in config.presets():
            return "give one preset at a time"
        if first in BUNDLED or first.startswith("hf:") or Path(words).exists() or Path(first).suffix in DATA:
            return f"give data with --data: --data {shell(words if Path(words).exists() else first)}"
    if command == "plot-alignment":
        return f"give the text with --source: --source {quoted(words)}"
    return None
