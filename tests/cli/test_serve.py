"""`serve` from its arguments to its end: what it prints, what it refuses, and that signals end it whole."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from libretranslatepy import LibreTranslateAPI

from seq2attn.cli import app as application
from seq2attn.cli import serve as serve_command
from seq2attn.cli import serve_options

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def serve(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["serve", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return serve


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_run(tmp_path_factory.mktemp("runs") / "small")


def test_serve_refuses_in_one_line(call: Call, run: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for code, part, arguments in [
            (1, "no such run", [tmp_path / "missing"]),
            (2, "both runs are named small", [run, run]),
            (2, "is no name of a run", [f"a b={run}"]),
            (1, f"--port {port}: ", [run, "--port", port]),
            (1, "--host no.such.host.invalid: ", [run, "--host", "no.such.host.invalid"]),
            (2, "--allow-origin example.org", [run, "--allow-origin", "example.org"]),
            (2, "--allow-origin https://a.b/c", [run, "--allow-origin", "https://a.b/c"]),
            (2, "--api-key: the key is empty", [run, "--api-key", " "]),
            (2, "--max-queue", [run, "--max-queue", 0]),
            (2, "missing argument", []),
        ]:
            result = call(*arguments)
            assert (result[0], result[1], part in result[2], result[2].count("\n")) == (code, "", True, 1), (
                result
            )


def test_serve_says_what_to_install(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.cli.serve.find_spec", lambda name: None if name == "uvicorn" else name)
    expected = "seq2attn: serve needs uvicorn: install with `pip install 'seq2attn[serve]'`\n"
    assert call(run) == (1, "", expected)
    monkeypatch.undo()
    monkeypatch.setattr("seq2attn.cli.serve.version", lambda name: "0.60.1")
    expected = expected.replace("uvicorn", f"uvicorn {serve_command.UVICORN}, and this is 0.60.1")
    assert call(run) == (1, "", expected)


def test_serve_asks_for_the_uvicorn_that_it_knows() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    [bounds] = [
        need for need in project["project"]["optional-dependencies"]["serve"] if need.startswith("uvicorn")
    ]
    major, minor = serve_command.UVICORN.split(".")
    assert bounds == f"uvicorn>={major}.{minor},<{major}.{int(minor) + 1}"


def test_keys_come_from_options_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve_options.KEYS_VARIABLE, " two  three ")
    assert serve_options.keys(["one"]) == ["one", "two", "three"]
    monkeypatch.delenv(serve_options.KEYS_VARIABLE)
    assert serve_options.keys(None) == []


def test_origins_are_scheme_and_host() -> None:
    assert serve_options.origins(["https://A.example:8000", "http://[::1]:3", "*"]) == [
        "https://a.example:8000",
        "http://[::1]:3",
        "*",
    ]


def test_serve_prints_its_address_and_ends_at_a_signal(
    call: Call, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: a client waits for the address, asks, and sends SIGTERM."""
    answers: list[Any] = []
    monkeypatch.setattr("seq2attn.cli.console.result", lambda text="": answers.append(text))

    def ask() -> None:
        while not answers:
            time.sleep(0.01)
        try:
            client = LibreTranslateAPI(answers[0], "secret")
            answers.extend([client.languages(), client.translate("the small dog", "en", "fr")])
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    code, _, err = call(f"named={run}", "--port", 0, "--api-key", "secret", "--quiet", "--device", "cpu")
    thread.join()
    assert code == 0
    assert answers[1] == [
        {"code": "en", "name": "English", "targets": ["fr"]},
        {"code": "fr", "name": "French", "targets": []},
    ]
    assert answers[2] == tiny.translator().translate(["the small dog"])[0][0].text
    assert err == ""


@pytest.fixture
def process(run: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "seq2attn", "serve", str(run), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        try:
            yield child, address
        finally:
            child.kill()


def post(address: str, path: str, fields: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        address + path, json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_finishes_what_it_has_begun(
    process: tuple["subprocess.Popen[str]", str], number: signal.Signals
) -> None:
    """Eight clients ask again and again; a signal comes; each has an answer, or no connection any more."""
    child, address = process
    client = LibreTranslateAPI(address)
    expected = tiny.translator().translate(["we do not eat red apples"])[0][0].text
    assert client.translate("we do not eat red apples", "en", "fr") == expected
    assert client.languages()[0]["code"] == "en"
    done, broken = [], []

    def ask() -> None:
        while True:
            try:
                fields = {"q": "we do not eat red apples", "source": "en", "target": "fr"}
                done.append(post(address, "translate", fields)["translatedText"])
            except OSError as error:
                reason = getattr(error, "reason", error)
                if not isinstance(reason, ConnectionRefusedError):
                    broken.append(repr(error))
                return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(done) < 16:
        time.sleep(0.01)
    child.send_signal(number)
    for thread in threads:
        thread.join(60)
    assert child.wait(60) == 0
    assert child.stderr is not None
    lines = [json.loads(line) for line in child.stderr.read().splitlines() if line.startswith("{")]
    statuses = [line["status"] for line in lines if line["path"] == "/translate"]
    assert set(done) == {expected}
    assert statuses == [200] * (len(done) + 1)  # each request in the log was answered
    assert not [each for each in broken if "Reset" not in each]
