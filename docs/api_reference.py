"""The reference of the Python API: signatures, docstrings and comments of what `seq2attn` exports."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import seq2attn

GROUPS = {
    "Data": ("prepare", "Prepared", "back_translate", "BackTranslation"),
    "Training": ("train", "training_session", "Training", "Run", "presets", "Preset"),
    "Models of others, and yours for others": ("import_model", "push"),
    "Translating and describing": (
        "load",
        "Translator",
        "Captioner",
        "SearchOptions",
        "Translation",
        "Caption",
    ),
    "Figures": ("plot", "plot_training"),
    "Evaluation": (
        "evaluate",
        "Report",
        "Reports",
        "Mean",
        "audit",
        "AuditReport",
        "calibrate",
        "CalibrationReport",
    ),
    "Word alignments": ("align",),
    "Experiments on attention": ("compare", "Experiment", "Comparison"),
    "Explanations": ("explain", "Explanation", "write_page"),
    "Errors": ("UserError", "UsageError"),
}
EVENTS = ("Update", "Validation", "Saved", "Finished")  # of `seq2attn.training.events`
# What other parts of the package call, and no user.
INNER = {
    "may_fork",
    "encode",
    "encode_sources",
    "encoder_input",
    "inference_mode",
    "of",
    "excluded",
    "resolved",
}
WIDTH = 90  # columns of a signature; a longer one has a line for each argument

Cell = Callable[[str], str]


def reference(cell: Cell, code: Cell) -> Iterator[str]:
    """Every name of `seq2attn.__all__`. `cell` writes text and `code` writes code into a cell of a table."""
    grouped = {name for names in GROUPS.values() for name in names}
    if others := grouped ^ {name for name in seq2attn.__all__ if not name.startswith("__")}:
        raise ValueError(f"GROUPS and seq2attn.__all__ differ: {', '.join(sorted(others))}")
    events = importlib.import_module("seq2attn.training.events")
    for group, names in GROUPS.items():
        yield from (f"## Reference: {group.lower()}", "")
        for name in names:
            yield from described(name, getattr(seq2attn, name), cell, code)
        if group == "Training":
            yield from of_events(events, cell, code)


def of_events(events: ModuleType, cell: Cell, code: Cell) -> Iterator[str]:
    yield from ("### Events", "", "The classes are in `seq2attn.training.events`.", "")
    for name in EVENTS:
        event = getattr(events, name)
        yield from (f"#### {name}", "", *markdown(documentation(event)), "")
        yield from fields(event, cell, code)


def described(name: str, what: Any, cell: Cell, code: Cell) -> Iterator[str]:
    yield from (f"### {name}", "")
    if not inspect.isclass(what):
        yield from ("```py", signature(name, what), "```", "", *markdown(documentation(what)), "")
        return
    yield from (*markdown(documentation(what)), "")
    if dataclasses.is_dataclass(what):
        yield from fields(what, cell, code)
    for member, value in members(what):
        if isinstance(value, property):
            yield f"`{name}.{member}`: {' '.join(markdown(documentation(value)))}"
        else:
            title = f"{'' if member.startswith('__') else f'{name}.'}{member}"
            title = title.replace("__getitem__", f"{name}[...]")
            function = inspect.unwrap(getattr(value, "__func__", value))
            yield from (f"#### {title}", "", "```py", signature(member, function), "```", "")
            yield from markdown(documentation(function))
        yield ""


def documentation(what: Any) -> str:
    """Its own docstring. A dataclass without one has a signature in its place, which says nothing."""
    return inspect.cleandoc(what.__doc__ or "")


def members(what: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties with a docstring, inherited ones of this package included."""
    seen: set[str] = set()
    for owner in what.__mro__:
        if not owner.__module__.startswith("seq2attn."):
            continue
        for name, value in vars(owner).items():
            function = getattr(value, "__func__", value)
            is_member = isinstance(value, property) or inspect.isfunction(function)
            public = not name.startswith("_") or name == "__getitem__"
            if is_member and public and name not in seen | INNER and function.__doc__:
                seen.add(name)
                yield name, value


def signature(name: str, function: Any) -> str:
    """The call of a function as its source has it, without `self`."""
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    arguments = node.args
    for argument in (*arguments.args, *arguments.kwonlyargs, arguments.kwarg):
        if argument is not None and argument.annotation is not None:
            argument.annotation = unquoted(argument.annotation)
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        del arguments.args[0]
    returns = ast.unparse(unquoted(node.returns)) if node.returns is not None else ""
    if function is seq2attn.training_session:  # a context manager
        returns = "ContextManager[Training]"
    parts = list(split_arguments(arguments))
    text = f"{name}({', '.join(parts)}) -> {returns}"
    if len(text) <= WIDTH:
        return text
    lines = [f"    {part}," for part in parts]
    return "\n".join([f"{name}(", *lines, f") -> {returns}"])


def split_arguments(arguments: ast.arguments) -> Iterator[str]:
    """Each argument as text."""
    defaults: list[ast.expr | None] = [None] * (len(arguments.args) - len(arguments.defaults))
    for argument, default in zip(arguments.args, defaults + list(arguments.defaults), strict=True):
        yield with_default(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield with_default(argument, default)
    if arguments.kwarg is not None:
        yield f"**{ast.unparse(arguments.kwarg)}"


def with_default(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "")


def unquoted(annotation: ast.expr) -> ast.expr:
    """The annotation without quotes."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval").body
    return annotation


def fields(what: type, cell: Cell, code: Cell) -> Iterator[str]:
    """A table of the fields of a dataclass, with what a comment or a docstring beside each says."""
    yield from ("| Field | Type | |", "| --- | --- | --- |")
    source = textwrap.dedent(inspect.getsource(what))
    lines = source.splitlines()
    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            kind = code(ast.unparse(unquoted(node.annotation)))
            yield f"| `{ast.unparse(node.target)}` | {kind} | {cell(said(node, after, lines))} |"
    yield ""


def said(node: ast.AnnAssign, after: ast.stmt | None, lines: list[str]) -> str:
    """The docstring under a field, or else the comments above it and behind it."""
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        return inspect.cleandoc(str(after.value.value))
    assert node.end_lineno is not None
    above, number = list[str](), node.lineno - 2
    while lines[number].strip().startswith("#"):
        above.insert(0, lines[number].strip("# "))
        number -= 1
    behind = lines[node.end_lineno - 1].partition("  # ")[2]
    return " ".join([*above, behind]).strip()


def markdown(text: str) -> Iterator[str]:
    """A docstring as Markdown: its code in blocks, and no letter that means something else there."""
    for number, paragraph in enumerate(re.split(r"\n\n+(?=\S)", text)):
        if number:
            yield ""
        prose = [line for line in paragraph.splitlines() if not line.startswith("    ")]
        indented = [line for line in paragraph.splitlines() if line.startswith("    ") or not line]
        words = re.split(r"(`[^`]*`)", "\n".join(line for line in prose if line))
        yield "".join(word if word.startswith("`") else re.sub(r"([*<\[])", r"\\\1", word) for word in words)
        if any(indented):
            yield from ("", "```py", textwrap.dedent("\n".join(indented)).strip("\n"), "```")
