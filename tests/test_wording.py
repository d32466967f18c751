"""Rules of wording, read off the syntax tree: names say what a thing is, errors name arguments, not flags."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from source_trees import ROOT, TREES, line_of, part, place

# Participles say that something happened, not what the thing is. The numbers are how often each is still the
# name of a variable, argument, attribute, function or class. They may only fall: whoever removes one lowers
# its number.
PARTICIPLES = {
    "seq2attn": {
        "found": 0,
        "chosen": 0,
        "made": 0,
        "taken": 0,
        "seen": 0,
        "kept": 0,
        "shown": 0,
        "asked": 0,
        "wanted": 0,
        "drawn": 0,
        "said": 0,
    },
    "tests": {
        "found": 103,
        "chosen": 32,
        "made": 15,
        "taken": 3,
        "seen": 9,
        "kept": 11,
        "shown": 3,
        "asked": 0,
        "wanted": 3,
        "drawn": 4,
        "said": 11,
    },
}
# Files below the command line whose texts may hold dashes: what puts the flags into errors, the arguments of
# scripts of their own, and properties of CSS.
SPEAK_OF_FLAGS = (
    "errors.py",
    "samples/",
    "plotting/html_alignment.py",
    "plotting/html_overlay.py",
    "tasks/next_commands.py",
)


def names(tree: ast.AST) -> Iterator[str]:
    """Of variables, arguments, attributes, functions and classes, where they are bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name


def participles(trees: list[ast.AST], words: set[str]) -> Counter[str]:
    """How often each word is a name, underscores and suffixes for shapes (`chosen_BT`) left out."""
    bare = (re.sub(r"_[A-Z0-9]+$", "", name.strip("_")).lower() for tree in trees for name in names(tree))
    return Counter(name for name in bare if name in words)


@pytest.mark.parametrize("folder", PARTICIPLES)
def test_names_are_no_participles(folder: str) -> None:
    budget = PARTICIPLES[folder]
    every = [path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py"))]
    # most files have none of the words, and it takes long to parse them
    trees = [ast.parse(text) for text in every if any(word in text.lower() for word in budget)]
    counts = participles(trees, set(budget))
    assert not {word: count for word, count in counts.items() if count > budget[word]}


def test_participles_are_counted_wherever_a_name_is_bound() -> None:
    text = "def made(found, _seen=1):\n  found_BT = x.found = 1\n"
    text += "class Kept: shown: int = made(taken=2)\nfinder = 1"
    counts = participles([ast.parse(text)], set(PARTICIPLES["tests"]))
    assert counts == {"made": 1, "found": 3, "seen": 1, "kept": 1, "shown": 1}


def texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """String constants with their lines; of an f-string the whole, with {} for its expressions."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts):
                yield (
                    "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts),
                    node.lineno,
                )
            case ast.Constant(value=str(text)) if id(node) not in inside:
                yield text, node.lineno


def flags(text: str) -> list[str]:
    """Flags that a text speaks of, but for those of a whole command: `seq2attn train --list`."""
    return re.findall(r"--[a-z][a-z-]*", re.sub(r"`seq2attn [^`]*`", "", text))


def test_texts_below_the_command_line_name_arguments_not_flags() -> None:
    assert not [
        f"{line_of(path, line)}: {' '.join(flags(text))}"
        for path, tree in TREES.items()
        if part(path) != "cli" and not place(path).startswith(SPEAK_OF_FLAGS)
        for text, line in texts(tree)
        if flags(text)
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('"choose another --out"', ["--out"]),
        ('f"{name} --set {key}={value}"', ["--set"]),
        ('f"finish it with `seq2attn train --out {path} --resume`"', []),
        ('"a -- b, a-b, --"', []),
    ],
)
def test_flags_are_recognised(code: str, expected: list[str]) -> None:
    assert [flag for text, _ in texts(ast.parse(code)) for flag in flags(text)] == expected
