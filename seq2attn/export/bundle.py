"""Modules of JavaScript as one script, for a page that loads nothing. This module knows no page.

Each module becomes a function that runs once, so that no name of one meets a name of another. Our modules write
imports as `import { a, b as c } from "./x.js";` and exports as `export function f`, class or const.
"""

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)


def bundle(entry: Path) -> str:
    """The module at `entry`, with all that it imports, as one script.

    Raises ValueError, which names the file, for an import or export of another form, for a name that a module
    does not export, for modules that import each other, and for text that would end the script's element.
    """
    parts: list[str] = []
    names: dict[Path, str] = {}
    exports: dict[Path, set[str]] = {}

    def add(path: Path, above: tuple[Path, ...] = ()) -> None:
        if path in above:
            raise ValueError(f"{path}: it imports itself, through other modules")
        if path in names:
            return
        text = path.read_text(encoding="utf-8")
        if _ENDS_SCRIPT.search(text):
            raise ValueError(f"{path}: its text would end the script of a page")

        def imports(match: re.Match[str]) -> str:
            other = (path.parent / match[2]).resolve()
            add(other, (*above, path))
            pairs = [part.split() for part in match[1].split(",") if part.strip()]
            if unknown := {pair[0] for pair in pairs} - exports[other]:
                raise ValueError(f"{path}: {other.name} does not export {', '.join(sorted(unknown))}")
            return f"const {{ {', '.join(': '.join(pair[::2]) for pair in pairs)} }} = {names[other]};\n"

        exports[path] = {match[2] for match in _EXPORT.finditer(text)}
        body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(imports, text))
        if wrong := re.search(r"^(import|export)\b.*", body, re.MULTILINE):
            raise ValueError(f"{path}: a page cannot hold the line {wrong[0]!r}")
        names[path] = f"module{len(names)}"
        result = f"return {{ {', '.join(sorted(exports[path]))} }};"
        parts.append(f"const {names[path]} = (() => {{\n{body}{result}\n}})();\n")

    add(entry.resolve())
    return "\n".join(parts)
