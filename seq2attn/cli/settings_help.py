"""What each setting is: the comment that stands beside it in `config.py`, and what may be chosen. It reads
that file as text, and knows no command.
"""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Mapping

from seq2attn import config
from seq2attn.config import Config


def explained(chosen: Config) -> Mapping[str, str]:
    """Setting -> one line on what it is, of every setting of these kinds of encoder and decoder; empty where
    nothing is said of it.
    """
    comments = _comments()
    kinds = {
        name: [str(kind) for other, kind, _ in config.fields() if other == name]
        for name in ("model.encoder.kind", "model.decoder.kind")
    }
    lines = {}
    for name in config.flat(chosen):
        section: object = chosen
        *parents, last = name.split(".")
        for parent in parents:
            section = getattr(section, parent)
        assert isinstance(section, config.Section)
        values = kinds.get(name) or [
            str(value) for value in config.choices(type(section).model_fields[last].annotation)
        ]
        comment = next(
            (
                comments[kind.__name__, last]
                for kind in type(section).__mro__
                if (kind.__name__, last) in comments
            ),
            "",
        )
        lines[name] = "; ".join(filter(None, (" | ".join(values), re.sub(r"\bNone\b", "not set", comment))))
    return lines


def _comments() -> dict[tuple[str, str], str]:
    """(Class, field) -> the comment beside the field; none at all where the program was installed without its
    sources.
    """
    try:
        source = inspect.getsource(config)
    except OSError:
        return {}
    at = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for section in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        for field in section.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = [
                    at[line]
                    for line in range(field.lineno, (field.end_lineno or field.lineno) + 1)
                    if line in at
                ]
                found[section.name, field.target.id] = " ".join(said)
    return found
