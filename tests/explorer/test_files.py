"""The files of the explorer: both languages say the same things, modules import what there is, text never
becomes HTML, and one file holds the whole page.
"""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from seq2attn.errors import UserError
from seq2attn.explorer.bundle import FOLDER, page, script

# the engine that runs a model in the page has tests of its own
MODULES = sorted(path for path in FOLDER.rglob("*.js") if "model" not in path.relative_to(FOLDER).parts)
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in MODULES if path.parent.name == "texts"}
CODE = {path: path.read_text(encoding="utf-8") for path in MODULES if path.parent.name != "texts"}


def entries(text: str) -> dict[str, str]:
    return dict(re.findall(r'^  (\w+): "(.*)",$', text, re.MULTILINE))


def test_languages_have_the_same_texts() -> None:
    english, chinese = entries(TEXTS["en"]), entries(TEXTS["zh"])
    assert list(english) == list(chinese)
    assert len(english) == TEXTS["en"].count("\n  ")  # no entry has another form
    for key in english:
        places = [sorted(re.findall(r"\{\w+\}", text)) for text in (english[key], chinese[key])]
        assert places[0] == places[1], key
        assert re.search("[\u4e00-\u9fff]", chinese[key]) or key == "log_p", key


def test_texts_are_all_used_and_all_there() -> None:
    keys = set(entries(TEXTS["en"]))
    code = "\n".join(CODE.values())
    html = (FOLDER / "index.html").read_text(encoding="utf-8")
    calls = r'(?:\bt|hint|this\.say)\("(\w+)"'
    direct = set(re.findall(calls, code)) | set(re.findall(r'data-(?:text|label|hint)="(\w+)"', html))
    direct |= {key for key in keys if f'"{key}"' in code}
    families = {key for key in keys for name in re.findall(r"`(\w+_)\$\{", code) if key.startswith(name)}
    families |= {key for key in keys for name in re.findall(r"\$\{side\}(_\w+)`", code) if key.endswith(name)}
    assert not direct - keys
    assert not keys - direct - families


def test_text_is_never_set_as_html() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    )
    assert not [path.name for path, text in CODE.items() if forbidden.search(text)]


def test_modules_load_nothing_from_elsewhere() -> None:
    files = [*MODULES, FOLDER / "index.html", FOLDER / "explorer.css"]
    assert not [
        path.name
        for path in files
        if re.search(r'https?://(?!www\.w3\.org/2000/svg")', path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("entry", ["served_page.js", "recorded_page.js"])
def test_script_of_one_file_holds_every_module_once(entry: str) -> None:
    text = script(entry)
    assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)
    names = re.findall(r"\(\(\) => \{ // (\S+)$", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"dom.js", "app.js", "panel.js", "en.js", "zh.js", entry} <= set(names)
    assert names.index("dom.js") < names.index("matrix.js") < names.index("panel.js") < names.index(entry)


def test_page_of_one_file_escapes_its_data() -> None:
    class Elements(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.scripts: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            names = dict(attributes)
            assert not ({"src", "onload", "onclick"} & set(names))
            assert tag != "link" or names["href"] == "data:,"
            if tag == "script":
                self.scripts.append(names.get("type") or "")

    text = page("recorded_page.js", {"answers": [{"text": "</script><script>alert(1)</script>\u2028"}]})
    elements = Elements()
    elements.feed(text)
    assert elements.scripts == ["application/json", ""]
    assert text.count("</script>") == 2
    assert "default-src 'none'" in text


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.js").write_text(text)


def test_bundle_joins_modules_in_the_order_of_their_imports(tmp_path: Path) -> None:
    main = 'import { a as b,\n  c } from "./one.js";\nimport * as two from "./two.js";\n'
    main += 'result = [b, c(2), two.d, "</script>"];'
    one = 'import { d } from "./two.js";\nexport const a = d + 1;\nexport function c(x) {\n  return x * d;\n}'
    two = "export const d = 20;\nconst hidden = 1;\nexport class Unused {}\nexport async function later() {}"
    write(tmp_path, main=main, one=one, two=two)
    text = script("main.js", tmp_path)
    assert "</script" not in text
    if node := shutil.which("node"):
        program = f"var result;\n{text}\nconsole.log(JSON.stringify(result))"
        done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == '[21,40,20,"</script>"]'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import x from "./one.js";', "knows no such import"),
        ("export default 3;", "knows no such import"),
        ("export const a = 1, b = 2;", "export each name in a line of its own"),
        ('import "./one.js";', "knows no such import"),
        ('export { a } from "./one.js";', "knows no such import"),
        ('import { main } from "./main.js";', "it imports itself"),
    ],
)
def test_bundle_refuses_what_it_does_not_know(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, main=text, one="export const a = 1;")
    with pytest.raises(UserError, match=message):
        script("main.js", tmp_path)
