"""A run as a page: what it refuses, that it is written whole or not at all, and that nothing in a run becomes
HTML. What the page computes is in tests/explorer_model.
"""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import explained_models
import pytest
import tiny
import torch

from seq2attn import config
from seq2attn.cli import app as application
from seq2attn.errors import UserError
from seq2attn.explorer import bundle
from seq2attn.export import export_page, page, page_limits, page_run
from seq2attn.inference import Translator
from seq2attn.runs.directory import open_run

HOSTILE = "</script><script>alert(1)</script><!--<script>&amp;\"'\u2028"


class Elements(html.parser.HTMLParser):
    """The elements of a page in order, with the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def text(self, tag: str, **attributes: str) -> str:
        [one] = [
            text
            for (name, own), text in zip(self.tags, self.texts, strict=True)
            if name == tag and attributes.get("id") == own.get("id")
        ]
        return one


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tiny.save_run(tmp_path / "run", **explained_models.FAMILIES["luong"])


def export(*arguments: object) -> int:
    return application.run(["export", *map(str, arguments), "--format", "page"])


def test_page_holds_the_run_and_nothing_from_elsewhere(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert export(run, out) == 0
    printed, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(out))}: \d\.\d MB for page, float16\n", printed)
    assert err == f"next: open {out} in a browser\n"
    elements = Elements(out.read_text(encoding="utf-8"))
    about = json.loads(elements.text("script", id="run"))
    assert (about["run"], about["kind"], about["languages"]) == ("run", "rnn", ["en", "fr"])
    content = base64.b64decode(json.loads(elements.text("script", id="parameters")))
    numbers = torch.frombuffer(bytearray(content), dtype=torch.float16)
    model = Translator.load(run, device="cpu").members[0].model
    for name, shape, first in about["parameters"]:
        own = dict(model.named_parameters(remove_duplicate=False))[name]
        assert list(own.shape) == shape
        assert torch.equal(numbers[first : first + own.numel()].view(own.shape), own.half())
    assert len(numbers) == sum(parameter.numel() for parameter in model.parameters())
    addresses = [
        own[name] for _, own in elements.tags for name in ("src", "href", "srcset", "data") if name in own
    ]
    assert addresses == ["data:,"]


def test_page_runs_its_own_script_alone(run: Path, tmp_path: Path) -> None:
    export_page(run, tmp_path / "page.html")
    elements = Elements((tmp_path / "page.html").read_text(encoding="utf-8"))
    [policy] = [
        own["content"] for tag, own in elements.tags if own.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digest = base64.b64encode(hashlib.sha256(elements.text("script").encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_page_shows_nothing_of_a_run_as_html(run: Path) -> None:
    translator = Translator.load(run, device="cpu")
    about = page_run.description(open_run(run), translator) | {"run": HOSTILE, "languages": [HOSTILE, None]}
    about["tokenizers"][0]["pieces"][5] = HOSTILE
    plain = Elements(page.render(about | {"run": "x"}, b""))
    elements = Elements(page.render(about, b""))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in plain.tags]
    assert json.loads(elements.text("script", id="run")) == json.loads(json.dumps(about))


def test_page_is_replaced_with_force_only_and_only_if_it_is_one(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    for more, message in (
        ([], "exists: choose another name, or replace it with --force"),
        (["--force"], "is no page of `seq2attn export`, so --force does not replace it: choose another name"),
    ):
        assert export(run, out, *more) == 1
        assert capsys.readouterr() == ("", f"seq2attn: {out} {message}\n")
    assert export(run, run, "--force") == 1
    assert out.read_text() == "mine"
    out.unlink()
    assert export(run, out) == 0
    before = out.stat().st_ino
    assert export(run, out) == 1
    assert out.stat().st_ino == before
    assert export(run, out, "--force") == 0
    assert out.stat().st_ino != before
    assert sorted(file.name for file in tmp_path.iterdir() if "bin" not in file.name) == ["page.html", "run"]


def test_page_that_cannot_be_written_leaves_the_old_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page.html"
    export_page(run, out)
    before = out.read_bytes()
    monkeypatch.setattr(page_run, "half_precision", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_page(run, out, force=True)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("{run}", "{out}", "--quantization", "int8"),
            2,
            "--quantization int8: a page holds weights in half",
        ),
        (("{run},{run}", "{out}"), 1, "an ensemble cannot be in a page; name one run"),
        (("{run}", "{out}", "--quantization", "int4"), 2, "--quantization"),
    ],
)
def test_export_refuses_what_a_page_has_not(
    run: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "page.html"
    assert export(*(one.format(run=run, out=out) for one in arguments)) == code
    assert message in capsys.readouterr().err
    assert not out.exists()


IN_NO_PAGE = {
    **dict.fromkeys(
        ("caption-fixed", "caption-transformer", "selfattention-cnn", "video", "xu15-hard", "xu15-soft"),
        "model.encoder.kind",
    ),
    **dict.fromkeys(("gehring17", "gehring17-paper"), "model.encoder.kind"),
    "pointer": "model.pointer",
}


@pytest.mark.parametrize("preset", sorted(config.presets()))
def test_refuse_names_the_setting_and_the_way_out(preset: str) -> None:
    if preset not in IN_NO_PAGE:
        page_limits.refuse(config.load(preset), "run")
        return
    with pytest.raises(
        UserError, match=f'^run: {IN_NO_PAGE[preset]}=".*" cannot be in a page: a page '
    ) as refusal:
        page_limits.refuse(config.load(preset), "run")
    assert refusal.value.setting == IN_NO_PAGE[preset]


@pytest.mark.parametrize(
    ("attention", "named"),
    [
        ({"normaliser": "hard-sample", "at_inference": "sample"}, 'model.attention.at_inference="sample"'),
        ({"score": "mine:Score"}, 'model.attention.score="mine:Score"'),
        ({"normaliser": "mine:normalise"}, 'model.attention.normaliser="mine:normalise"'),
    ],
)
def test_refuse_names_attention_that_a_page_cannot_compute(attention: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"run: {named} cannot be in a page: a page ")):
        page_limits.refuse(tiny.settings(attention=attention), "run")


def test_refuse_size_has_a_bound_and_names_the_size() -> None:
    page_limits.refuse_size(page_limits.MOST, "run")
    with pytest.raises(
        UserError, match=r"run: its weights are 16\.1 MB in half precision, and .* at most 16 MB"
    ):
        page_limits.refuse_size(page_limits.MOST + 100_000, "run")


def test_export_says_that_a_page_is_large(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seq2attn.export.LARGE_PAGE", 1000)
    assert export(run, tmp_path / "page.html") == 0
    assert "in a browser; it is large to send" in capsys.readouterr().err


def test_modules_export_what_others_import() -> None:
    """In a page of one file a name that is missing would be undefined, without an error."""
    exports = {
        path: set(
            re.findall(r"^export (?:(?:async )?function|class|const) (\w+)", path.read_text(), re.MULTILINE)
        )
        for path in bundle.FOLDER.rglob("*.js")
    }
    missing = [
        f"{path.name}: {name} of {file}"
        for path in exports
        for names, file in re.findall(r'^import \{([^}]*)\} from "([^"]+)";', path.read_text(), re.MULTILINE)
        for name in re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?:,|$)", names.strip())
        if name not in exports[(path.parent / file).resolve()]
    ]
    assert len(exports) > 20
    assert not missing


def test_half_precision_refuses_numbers_that_it_cannot_hold(run: Path) -> None:
    model = Translator.load(run, device="cpu").members[0].model
    with torch.no_grad():
        model.decoder.output.weight[0, 0] = 7e4
    with pytest.raises(
        UserError, match=r"run: decoder\..*weight holds numbers beyond those of half precision"
    ):
        page_run.half_precision(model, "run")


def test_index_gives_tied_parameters_one_place(run: Path) -> None:
    model = Translator.load(run, device="cpu").members[0].model
    places = {name: first for name, _, first in page_run.index(model)}
    assert places["decoder.output.weight"] == places["decoder.target_embedding.weight"]
    assert len(set(places.values())) == len(places) - 1
    assert page_run.parameter_bytes(model) == len(page_run.half_precision(model, "run"))
