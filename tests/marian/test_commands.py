"""`seq2attn import`, `export --format transformers` and `push`, typed; and the card of a run. The hub is a
server of the tests.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import marian_folders
import pytest
import tiny

import seq2attn
from seq2attn.cli import app as application
from seq2attn.errors import UsageError, UserError
from seq2attn.runs import directory
from seq2attn.tasks import card, hub, pushing

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = application.run(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def opus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = marian_folders.make(tmp_path_factory.mktemp("hub") / "opus-mt-en-fr")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    return folder


def test_import_translate_and_export_by_command(call: Call, opus: Path, tmp_path: Path) -> None:
    code, out, err = call("import", opus, tmp_path / "run", "--target", "br")
    assert code == 0, err
    assert out.startswith(f"{tmp_path / 'run'}: en to br, 95 tokens, ")
    assert f"seq2attn translate {tmp_path / 'run'}" in err
    [[output]] = seq2attn.load(tmp_path / "run").translate(["the dog"], beam=1, max_length=5)
    peer = marian_folders.Peer(opus)
    assert len(output.tokens) == len(peer.greedy(["the dog"], 5)[0])
    code, out, err = call("export", tmp_path / "run", tmp_path / "out", "--format", "transformers")
    assert code == 0, err
    assert "for transformers, float32" in out
    assert "MarianMTModel" in err
    code, _, err = call("import", opus, tmp_path / "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "a run is here already" in err


def test_other_formats_refuse_what_they_cannot_hold(call: Call, opus: Path, tmp_path: Path) -> None:
    seq2attn.import_model(opus, tmp_path / "run")
    code, _, err = call("export", tmp_path / "run", tmp_path / "page.html", "--format", "page")
    assert code == 1
    assert "was imported, and a page does not have the rules" in err
    code, _, err = call(
        "export", tmp_path / "run", tmp_path / "out", "--format", "transformers", "--quantization", "int8"
    )
    assert code == 2
    assert "transformers gets them in single precision" in err
    seq2attn.export.export(tmp_path / "run", tmp_path / "ct2") if has_ctranslate2() else None


def has_ctranslate2() -> bool:
    try:
        import ctranslate2  # noqa: F401
    except ImportError:
        return False
    import seq2attn.export  # noqa: F401

    return True


def test_audit_takes_an_imported_run(call: Call, opus: Path, tmp_path: Path) -> None:
    seq2attn.import_model(opus, tmp_path / "run")
    (tmp_path / "corpus").mkdir()
    for side, lines in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
        for split in ("train", "valid", "test"):
            (tmp_path / "corpus" / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines[:3]))
    code, _, err = call(
        "prepare",
        tmp_path / "corpus",
        tmp_path / "prepared",
        "--keep",
        "all",
        "--source",
        "en",
        "--target",
        "fr",
    )
    assert code == 0, err
    code, out, err = call("audit", tmp_path / "run", "--data", tmp_path / "prepared", "--limit", "2")
    assert code == 0, err
    assert out.count("\n") > 6  # a line for each of three layers and two heads


def test_card_says_where_the_model_is_from(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    content = (run.path / "README.md").read_text()
    assert content.startswith("---\nlibrary_name: seq2attn\nlanguage:\n- en\n- fr\nlicense: cc-by-4.0\n")
    assert "Imported from `opus-mt-en-fr`; licence: cc-by-4.0." in content
    assert str(tmp_path) not in content
    assert str(opus.parent) not in content


def test_card_has_scores_signatures_and_alignment_error(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    (run.path / "scores").mkdir()
    report = {
        "split": "test",
        "data": "/home/me/secret",
        "bleu": 41.234,
        "signatures": {"bleu": "nrefs:1|case:mixed"},
        "alignment": {"aer": 0.125},
    }
    (run.path / "scores" / "test.json").write_text(json.dumps(report))
    (run.path / "scores" / "other.json").write_text(json.dumps(report | {"set": {"model.dropout": 0}}))
    (run.path / "scores" / "damaged.json").write_text("{")
    card.write(run.path, {"test_long": ("BLEU = 12.00 (13a)",)})
    content = (run.path / "README.md").read_text()
    assert content.count("- test: BLEU 41.23 `nrefs:1|case:mixed`") == 1
    assert "- test: alignment error rate of the attention 12.5 %" in content
    assert "- test_long: BLEU = 12.00 (13a)" in content
    assert "secret" not in content


def test_card_of_the_user_stays(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    assert card.write(run.path) == run.path / "README.md"
    (run.path / "README.md").write_text("mine")
    assert card.write(run.path) is None
    assert (run.path / "README.md").read_text() == "mine"
    seq2attn.import_model(opus, run.path, force=True)
    assert (run.path / "README.md").read_text() == "mine"


def test_card_of_an_old_run_goes_with_it(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    directory.create(
        run.path,
        run.config,
        source_size=9,
        target_size=9,
        languages=run.languages,
        tokenizers={},
        corpus="other",
        force=True,
    )
    assert not (run.path / "README.md").exists()


def test_card_has_no_markup_of_others(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run", source="a](x)<b>`\n# c")
    content = (run.path / "README.md").read_text()
    assert "<b>" not in content
    assert "\n# c" not in content


def test_import_of_the_hub_reads_what_it_has_downloaded(
    opus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Any] = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        requests.append((name, revision, allow_patterns))
        return str(opus)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    run = seq2attn.import_model("hf:Helsinki-NLP/opus-mt-en-fr@refs/pr/3", tmp_path / "run")
    [(name, revision, patterns)] = requests
    assert (name, revision) == ("Helsinki-NLP/opus-mt-en-fr", "refs/pr/3")
    assert "model.safetensors" in patterns
    assert not any(pattern.endswith(".bin") for pattern in patterns)
    assert run.corpus == "hf:Helsinki-NLP/opus-mt-en-fr@refs/pr/3"
    assert "base_model: Helsinki-NLP/opus-mt-en-fr\n" in (run.path / "README.md").read_text()


@pytest.mark.parametrize("name", ["hf:opus", "hf:a/b/c", "hf:../b", "hf:", "hf:a b/c"])
def test_names_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        seq2attn.import_model(name, tmp_path / "run")


def test_hub_that_cannot_be_reached_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(UserError) as error:
        seq2attn.import_model("hf:a/b", tmp_path / "run")
    assert str(error.value) == "hf:a/b: no route to the hub"


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks for an upload: a repository, how to send each file, and a commit."""

    calls: list[tuple[str, Any]]

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        lines = [json.loads(line) for line in self.rfile.read(size).splitlines() if line.strip()]
        type(self).calls.append((self.path, lines))
        if self.path.endswith("/preupload/main"):
            sent = lines[0]["files"]
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in sent]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            address = f"http://{self.headers['Host']}/me/translator/commit/{'0' * 40}"
            self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": address, "hookOutput": ""})
        else:
            self.answer({"url": f"http://{self.headers['Host']}/me/translator", "name": "me/translator"})

    def do_GET(self) -> None:
        type(self).calls.append((self.path, None))
        self.answer({"sha": "0" * 40, "id": "a/b", "siblings": []})

    def answer(self, tree: dict[str, Any]) -> None:
        content = json.dumps(tree).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    import huggingface_hub

    Hub.calls = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as own:
        thread = threading.Thread(target=own.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{own.server_port}"
        real = huggingface_hub.HfApi
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: real(endpoint=address, token="hf_none"))
        yield Hub
        own.shutdown()
        thread.join()


def test_push_uploads_the_run_without_state_logs_and_paths(
    server: type[Hub], call: Call, opus: Path, tmp_path: Path
) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    for name in ("training", "scores", "tensorboard"):
        (run.path / name).mkdir()
        (run.path / name / "state.json").write_text(str(tmp_path))
    (run.path / "metrics.jsonl").write_text("{}\n")
    tree = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(
        json.dumps(tree | {"corpus": str(tmp_path / "corpora" / "mine.tsv")})
    )
    code, out, err = call("push", run.path, "me/translator")
    assert code == 0, err
    assert out.strip().endswith("/me/translator")
    [commit] = [lines for path, lines in server.calls if "/commit/" in path]
    sent = {line["value"]["path"]: line["value"]["content"] for line in commit if line["key"] == "file"}
    assert set(sent) == {"config.json", "model.safetensors", "source.model", "target.model", "README.md"}
    contents = {name: base64.b64decode(content) for name, content in sent.items()}
    assert contents["model.safetensors"] == run.weights.read_bytes()
    assert json.loads(contents["config.json"])["corpus"] == "mine.tsv"
    assert not [name for name, content in contents.items() if str(tmp_path).encode() in content]
    assert any(path.endswith("/repos/create") for path, _ in server.calls)


def test_pushed_files_are_a_run(opus: Path, tmp_path: Path) -> None:
    run = seq2attn.import_model(opus, tmp_path / "run")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in pushing.contents(run).items():
        (copy / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    one, two = (seq2attn.load(path).translate(["the dog"], beam=1, max_length=5) for path in (run, copy))
    assert one[0][0].tokens == two[0][0].tokens


def test_push_refuses_other_names(opus: Path, tmp_path: Path) -> None:
    for name in ("translator", "a/b/c", "../x", "a/.."):
        with pytest.raises(UsageError, match="OWNER/NAME"):
            seq2attn.push(tmp_path / "run", name)
    with pytest.raises(UserError, match="no such run"):
        seq2attn.push(tmp_path / "none", "a/b")
    assert hub.HUB == "hf:"
