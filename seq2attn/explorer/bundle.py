"""The explorer as one HTML file, which works without a server and without a network.

A module becomes a function that is called once, after those that it imports, and returns what it exports. So
no build tool is needed, and the file obeys a policy that allows no script but the one inside it. The modules
use a part of the language: `import { a, b as c } from "./x.js";`, `import * as x from "./x.js";` and `export`
before function, async function, class, or a const with one name. All else is refused.
"""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2attn.errors import UserError

FOLDER = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
_IMPORT = re.compile(
    r'^import\s+(?:\{(?P<names>[^}]*)\}|\*\s+as\s+(?P<whole>\w+))\s+from\s+"(?P<file>\.[^"]*)";[ \t]*$',
    re.MULTILINE,
)
_EXPORT = re.compile(r"^export\s+(?=(?:const|(?:async\s+)?function\*?|class)\s+(\w+))", re.MULTILINE)
_SEVERAL = re.compile(r"^export\s+const\s+\w+\s*=[^;\n(\[{`\"']*,\s*\w+\s*=", re.MULTILINE)
# the beginning of an element, control characters, marks of direction, and what is no character
_UNSAFE = re.compile(r"[<\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
_LEFT = re.compile(r"^(?:import|export)\b", re.MULTILINE)


def page(entry: str, data: Mapping[str, Any], folder: Path = FOLDER) -> str:
    """The page as text. `entry` is the module that starts it, by its path in `folder`.

    Each of `data` becomes an element with that id, whose text is the JSON of the value.
    """
    text = (folder / "index.html").read_text(encoding="utf-8")
    style = (folder / "explorer.css").read_text(encoding="utf-8")
    elements = "".join(
        f'<script type="application/json" id="{html.escape(name)}">{_json(value)}</script>\n'
        for name, value in data.items()
    )
    charset = '<meta charset="utf-8">'
    parts = {
        charset: f'{charset}\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<link rel="stylesheet" href="explorer.css">': f"<style>\n{style}</style>",
        '<script type="module" src="served_page.js"></script>\n': "",
        "</body>": f"{elements}<script>\n{script(entry, folder)}</script>\n</body>",
    }
    for old, new in parts.items():
        if text.count(old) != 1:
            raise ValueError(f"index.html: {old} is needed once")
        text = text.replace(old, new)
    return text


def script(entry: str, folder: Path = FOLDER) -> str:
    """The module and all that it imports as one script."""
    files: dict[Path, str] = {}
    _collect((folder / entry).resolve(), files, ())
    names = {path: f"m{number}" for number, path in enumerate(files)}
    parts = [f"const {names[path]} = {_function(path, text, names)};" for path, text in files.items()]
    # an end of the element in a text of the script would end the script
    return '"use strict";\n(() => {\n' + "\n".join(parts).replace("</script", "<\\/script") + "\n})();\n"


def _collect(path: Path, files: dict[Path, str], above: tuple[Path, ...]) -> None:
    """Put the text of the module behind those of the modules that it imports."""
    if path in above:
        raise UserError(f"{path}: it imports itself, by way of {above[-1].name}")
    if path in files:
        return
    text = path.read_text(encoding="utf-8")
    for match in _IMPORT.finditer(text):
        _collect((path.parent / match["file"]).resolve(), files, (*above, path))
    files[path] = text


def _function(path: Path, text: str, names: Mapping[Path, str]) -> str:
    if several := _SEVERAL.search(text):
        raise UserError(f"{path}: {several[0]!r}: export each name in a line of its own")
    exports = _EXPORT.findall(text)

    def imports(match: re.Match[str]) -> str:
        module = names[(path.parent / match["file"]).resolve()]
        pattern = match["whole"] or "{ " + re.sub(r"\s+as\s+", ": ", " ".join(match["names"].split())) + " }"
        return f"const {pattern} = {module};"

    body = _EXPORT.sub("", _IMPORT.sub(imports, text))
    if left := _LEFT.search(body):
        line = body[left.start() :].splitlines()[0]
        raise UserError(f"{path}: {line!r}: the page of one file knows no such import or export")
    returned = f"return {{ {', '.join(exports)} }};\n" if exports else ""
    return f"(() => {{ // {path.name}\n{body}{returned}}})()"


def _json(value: Any) -> str:
    """JSON that can end no element of the page, without characters that turn text or drive a terminal."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
