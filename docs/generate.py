"""Writes the parts of the documentation that follow from the code.

They are the commands, the settings, the presets, the Python API, and who may import whom.

    python docs/generate.py            writes them into their pages
    python docs/generate.py --check    names the pages that are out of date, and exits with status 1

A page holds such a part between `<!-- generated: NAME -->` and `<!-- end: NAME -->`; the rest of the page is
written by hand. The quick tests run the check.
"""

import ast
import html
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import typer
from api_reference import reference

from seq2attn import config
from seq2attn.cli import app
from seq2attn.config.fields import declared
from seq2attn.config.marks import TRAINING_ONLY, Condition
from seq2attn.models.seq2seq import build
from seq2attn.tasks import presets

ROOT = Path(__file__).parents[1]
PAGES = ("docs/commands.md", "docs/settings.md", "docs/models.md", "docs/python.md", "CONTRIBUTING.md")
VOCABULARY = 8000  # tokens of the models whose parameters are counted
SECTIONS = {  # of the settings: a name's beginning -> its heading
    "data": "Data: how a raw corpus is prepared",
    "model": "Model",
    "model.encoder rnn": "Recurrent encoder",
    "model.encoder conv": "Convolutional encoder",
    "model.encoder transformer": "Transformer encoder",
    "model.encoder image": "Encoder of images and clips",
    "model.decoder rnn": "Recurrent decoder",
    "model.decoder conv": "Convolutional decoder",
    "model.decoder transformer": "Transformer decoder",
    "model.attention": "Attention",
    "train": "Training",
    "train.reinforce": "REINFORCE, for sampled hard attention",
    "train.self_critical": "Self-critical training",
    "search": "Search",
}
URL = re.compile(r"https?://[^\s,;]+")


def commands() -> Iterator[str]:
    """Each command: its usage, its description, its arguments and options."""
    group = typer.main.get_command(app.app)
    parent = typer.Context(group, info_name="seq2attn")
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=name, parent=parent, help_option_names=["-h", "--help"])
        usage = " ".join(["seq2attn", name, *command.collect_usage_pieces(context)])
        yield from (f"## {name}", "", "```", usage, "```", "")
        for paragraph in command.help.split("\n\n"):
            yield from (cell(paragraph), "")
        records = [(param, param.get_help_record(context)) for param in command.get_params(context)]
        for kind, title in (("argument", "Argument"), ("option", "Option")):
            yield from (f"| {title} | |", "| --- | --- |")
            for param, record in records:
                if param.param_type_name == kind and record is not None:
                    yield f"| {code(record[0])} | {cell(record[1])} |"
            yield ""


def settings() -> Iterator[str]:
    """Each section of settings: names, defaults, meanings."""
    sections: dict[str, list[str]] = {name: [] for name in SECTIONS}
    for one in declared():
        if one.is_section or "." not in one.name:
            continue
        section = one.name.rpartition(".")[0]
        key = f"{section} {one.kind}" if one.kind else section
        if one.name.endswith(".kind"):
            continue
        default = one.field.default
        value = "not set" if default is None else code(json.dumps(default))
        notes = [mark.note for mark in one.marks if isinstance(mark, Condition) and mark.note]
        values = [str(choice) for choice in config.choices(one.field.annotation)]
        text = one.field.description or ""
        if not all(f"{choice}: " in text for choice in values):
            text += f" One of {', '.join(values)}."
        if TRAINING_ONLY in one.marks and section.startswith("model"):
            notes.append("Acts in training only.")
        sections[key].append(f"| `{one.name}` | {value} | {cell(' '.join([text, *notes]))} |")
    for name, rows in sections.items():
        kind = name.partition(" ")[2]
        yield from (f"## {SECTIONS[name]}", "")
        if kind and rows:
            yield from (f"With `{name.split()[0]}.kind={kind}`.", "")
        yield from ("| Setting | Default | Meaning |", "| --- | --- | --- |", *rows, "")


def models() -> Iterator[str]:
    """Each preset, group by group: what it is, parameters, paper, measured scores."""
    heads = {name: presets.head(path) for name, path in config.presets().items()}
    for group, subtitle in presets.GROUPS.items():
        yield from (f"### {group[:1].upper()}{group[1:]}", "")
        if subtitle:
            yield from (f"{subtitle[:1].upper()}{subtitle[1:]}.", "")
        yield from (
            "| Preset | What it is | Parameters | Paper | Measured |",
            "| --- | --- | ---: | --- | --- |",
        )
        for name in sorted(heads, key=lambda name: (not name.startswith("first"), name)):
            if heads[name].group == group:
                about = config.load(name).about
                paper, measured = (entry(heads[name].comment, key) for key in ("Paper", "Measured"))
                url = URL.search(paper)
                short = re.split(r"(?<=\d{4}),", paper, maxsplit=1)[0]
                link = f"[{cell(short)}]({url[0]})" if url else cell(short)
                cells = (f"`{name}`", cell(about), f"{parameters(name):,}", link, cell(measured))
                yield f"| {' | '.join(cells)} |"
        yield ""


def parameters(name: str) -> int:
    """The parameters of a preset's model with one vocabulary of `VOCABULARY` tokens."""
    settings = config.load(name).model
    with torch.device("meta"):  # shapes without memory
        model = build(settings, 0 if settings.images else VOCABULARY, VOCABULARY, draw=False)
    return sum(weight.numel() for weight in model.parameters())


def imports() -> Iterator[str]:
    """Who may import whom, from the table that a test holds."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    [table] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and "MAY_IMPORT" in ast.unparse(node).split("=")[0]
    ]
    yield from ("| Part | May import |", "| --- | --- |")
    # to import the test would parse the whole package
    for part, others in eval(compile(ast.Expression(table), "MAY_IMPORT", "eval")).items():
        yield f"| `{part}` | {', '.join(f'`{other}`' for other in sorted(others)) or 'nothing of ours'} |"


def python() -> Iterator[str]:
    """Each name of the Python API: its signature and its docstring."""
    return reference(cell, code)


def entry(comment: list[str], key: str) -> str:
    """The text behind `# KEY: ` in a preset's header, with its continued lines."""
    text = "\n".join(comment).replace("\n#     ", " ")
    return next((line.partition(": ")[2] for line in text.splitlines() if line.startswith(f"# {key}: ")), "")


def cell(text: str) -> str:
    """Text as Markdown shows it, in one line of a table."""
    text = " ".join(text.split())
    quoted = re.sub(r"(?<!`)([\w./-]*\*[\w./*-]*\w|<[^>]+>)(?!`)", r"`\1`", text)
    return quoted.replace("|", r"\|")


def code(text: str) -> str:
    """Code in a cell of a table. Code hosts and the site escape a bar in code in different ways."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "settings": settings,
    "models": models,
    "python": python,
    "imports": imports,
}


def filled(page: str) -> str:
    """The page with its generated parts as the code has them now."""
    for name, lines in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        if begin in page:
            before, rest = page.split(begin)
            page = f"{before}{begin}\n" + "\n".join(lines()).strip("\n") + f"\n\n{end}{rest.split(end)[1]}"
    return page


def stale() -> list[Path]:
    """The pages that `main` would change."""
    paths = [ROOT / name for name in PAGES]
    return [path for path in paths if filled(path.read_text(encoding="utf-8")) != path.read_text("utf-8")]


def main(arguments: list[str]) -> int:
    pages = stale()
    for path in pages:
        if "--check" not in arguments:
            path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in pages:
        print(f"{path.relative_to(ROOT)}: {'out of date' if '--check' in arguments else 'written'}")
    return int("--check" in arguments and bool(pages))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
