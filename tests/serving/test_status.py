"""The pages that compute nothing, the description of the API, the files of the explorer, and /explain."""

from pathlib import Path

import pytest
import tiny
from served import Capitals, client, service
from starlette.testclient import TestClient

from seq2attn.explaining.explanation import explain
from seq2attn.serving import pages
from seq2attn.serving.application import api
from seq2attn.serving.limits import Limits
from seq2attn.serving.openapi import description
from seq2attn.serving.runs import ServedRuns


def test_description_has_every_route_and_method() -> None:
    routes = {
        (route.path, method.lower())
        for route in api(service(Capitals()))
        for method in route.methods or ()
        if method != "HEAD"
    }
    paths = description(Limits())["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == routes


def test_health_and_runs_name_the_runs() -> None:
    with client(service(tiny.translator(), Capitals(None, "de"))) as c:
        assert c.get("/health").json() == {"status": "ok", "version": "0.1.0", "runs": ["a", "b"]}
        first, second = c.get("/runs").json()
        assert c.head("/health").text == ""
        assert c.get("/openapi.json").json()["openapi"] == "3.1.0"
    assert first["languages"] == ["en", "fr"]
    assert (first["name"], first["kind"], first["model"], first["attends"]) == ("a", "text", "rnn", True)
    assert second["languages"] == [None, "de"]


def test_explain_answers_as_the_function_does() -> None:
    translator = tiny.translator()
    fields = {"beam": 2, "mask": [1], "parts": ["candidates", "beam"]}
    with client(service(tiny.translator(2), translator)) as c:
        answer = c.post("/explain", json={"run": "b", "text": "the small dog", **fields})
    assert answer.status_code == 200
    expected = explain(translator, "the small dog", run="b", **fields).to_dict()
    assert answer.json()["target"]["ids"] == expected["target"]["ids"]
    assert set(answer.json()) == set(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": 1},
        {"text": "a\x00"},
        {"text": "a", "beam": 0},
        {"text": "a", "prefix": "no"},
        {"text": "a", "nothing": 1},
        {"text": "a", "run": ["b"]},
        {"text": "a", "source": "b"},
        {"text": "a", "predictor": "b"},
        {"text": "a" * 20_001},
    ],
)
def test_explain_refuses(fields: dict[str, object]) -> None:
    with client(service(tiny.translator())) as c:
        answer = c.post("/explain", json=fields)
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text
    assert "\n" not in answer.json()["error"]


def test_pages_serve_their_files_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "explorer"
    (folder / "parts").mkdir(parents=True)
    (folder / "index.html").write_text("<p>")
    (folder / "parts" / "a b.js").write_text("1")
    (folder / "secret.py").write_text("")
    (tmp_path / "above.html").write_text("")
    routes = pages.routes(folder)
    assert [route.path for route in routes] == ["/", "/index.html", "/parts/a b.js"]
    from starlette.routing import Router

    c = TestClient(Router(routes, redirect_slashes=False))
    page = c.get("/")
    assert (page.text, page.headers["content-type"]) == ("<p>", "text/html; charset=utf-8")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    script = c.get("/parts/a%20b.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    for path in (
        "/secret.py",
        "/parts",
        "/parts/",
        "/parts/../above.html",
        "/%2e%2e/above.html",
        "/above.html",
    ):
        assert c.get(path).status_code == 404


def test_pages_of_no_folder_are_none(tmp_path: Path) -> None:
    assert pages.routes(tmp_path / "missing") == []


def test_a_served_run_computes_a_single_sentence_alone(tmp_path: Path) -> None:
    [run] = ServedRuns.load({"mine": str(tiny.save_run(tmp_path / "run"))}, device="cpu")
    sizes: list[int] = []
    encode = run.predictor.encode
    run.predictor.encode = lambda sources, seeds: (sizes.append(len(sources[0])), encode(sources, seeds))[1]
    run.predictor.translate(["the dog sleeps"])
    assert sizes == [1]
