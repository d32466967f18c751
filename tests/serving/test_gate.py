"""Who may ask, what the log and the counters hold, and the headers of every answer."""

import re

import pytest
from served import Capitals, Log, client, service

PAIR = {"source": "en", "target": "fr"}


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80", "LOCALHOST"])
def test_gate_answers_to_its_own_names(host: str) -> None:
    with client(service(Capitals()), hosts=("localhost", "127.0.0.1", "[::1]")) as c:
        assert c.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]"])
def test_gate_refuses_other_hosts(host: str) -> None:
    log = Log()
    with client(service(Capitals()), log, hosts=("localhost", "127.0.0.1", "[::1]")) as c:
        assert c.get("/health", headers={"host": host}).status_code == 421
    assert [line["status"] for line in log.lines] == [421]


def test_gate_answers_any_host_where_it_listens_to_others() -> None:
    with client(service(Capitals())) as c:
        assert c.get("/health", headers={"host": "example.org"}).status_code == 200


def test_gate_lets_no_other_page_read_answers_unless_allowed() -> None:
    asks = {"origin": "https://a.example", "access-control-request-method": "POST"}
    with client(service(Capitals())) as c:
        assert "access-control-allow-origin" not in c.get("/health", headers=asks).headers
        assert c.options("/translate", headers=asks).status_code == 405
    with client(service(Capitals()), origins=["https://a.example"]) as c:
        answer = c.options("/translate", headers=asks)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, asks["origin"])
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        other = {**asks, "origin": "https://b.example"}
        assert "access-control-allow-origin" not in c.get("/health", headers=other).headers
        assert c.options("/translate", headers=other).status_code == 405
        assert c.get("/health").headers["vary"] == "Origin"
    with client(service(Capitals()), origins=["*"]) as c:
        assert c.get("/health", headers=asks).headers["access-control-allow-origin"] == "*"


def test_gate_sends_headers_of_safety_with_every_answer() -> None:
    with client(service(Capitals())) as c:
        for answer in (c.get("/health"), c.get("/nowhere"), c.post("/translate", json={})):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_gate_logs_one_line_without_texts() -> None:
    log = Log()
    with client(service(Capitals(), keys=["secret"]), log) as c:
        c.post("/translate?api_key=secret", json={"q": "my text", **PAIR, "api_key": "secret"})
        c.get("/caf%C3%A9%1b%5b31m%7f")
    first, second = log.lines
    assert (first["method"], first["path"], first["status"]) == ("POST", "/translate", 200)
    assert first["received"] > 20
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert not {"secret", "my text", "MY TEXT"} & set(map(str, first.values()))
    assert second["path"] == "/caf\u00e9\x1b[31m\x7f"  # escaped in the line, as `Log` has checked
    assert log.failures == 1


def test_gate_tells_of_a_defect_and_goes_on() -> None:
    log, errors = Log(), []
    with client(service(Capitals()), log, report=errors.append) as c:
        answer = c.post("/translate", json={"q": "defect", **PAIR})
        assert answer.status_code == 500
        assert "a defect" not in answer.json()["error"].removeprefix("internal error: a defect")
        assert c.post("/translate", json={"q": "a", **PAIR}).status_code == 200
    assert log.lines[0]["problem"] == "ValueError"
    assert [str(error) for error in errors] == ["a defect"]


def test_keys_are_needed_where_something_is_computed() -> None:
    capitals = Capitals()
    with client(service(capitals, keys=["right", "other"])) as c:
        for fields in ({}, {"api_key": "wrong"}, {"api_key": ""}, {"api_key": 3}, {"api_key": "righ"}):
            assert c.post("/translate", json={"q": "a", **PAIR, **fields}).status_code == 403
        for path in ("/translate", "/detect", "/explain"):
            assert c.post(path, json={"q": "a", "text": "a"}).status_code == 403
        wrong = {"authorization": "Bearer wrong"}
        fields = {"q": "a", **PAIR, "api_key": "right"}
        assert c.post("/translate", json=fields, headers=wrong).status_code == 403
        assert c.get("/metrics").status_code == 403
        assert not capitals.calls
        for key in ("right", "other"):
            assert c.post("/translate", data={"q": "a", **PAIR, "api_key": key}).status_code == 200
            bearer = {"authorization": f"Bearer {key}"}
            assert c.post("/translate", json={"q": "a", **PAIR}, headers=bearer).status_code == 200
            assert c.get("/metrics", headers=bearer).status_code == 200
        for path in ("/languages", "/health", "/frontend/settings", "/runs", "/openapi.json"):
            assert c.get(path).status_code == 200
        assert c.get("/frontend/settings").json()["keyRequired"] is True


def test_metrics_count_requests_and_items() -> None:
    with client(service(Capitals())) as c:
        for q in ("a", "a\nb"):
            c.post("/translate", json={"q": q, **PAIR})
        c.post("/translate", json={})
        for number in range(3):
            c.get(f"/unknown/{number}")
        text = c.get("/metrics").text
    lines = text.splitlines()
    assert 'seq2attn_requests_total{route="/translate",status="200"} 2' in lines
    assert 'seq2attn_requests_total{route="/translate",status="400"} 1' in lines
    assert 'seq2attn_requests_total{route="other",status="404"} 3' in lines
    assert 'seq2attn_items_total{run="a"} 3' in lines
    assert 'seq2attn_batches_total{run="a"} 2' in lines
    assert 'seq2attn_request_seconds_bucket{route="/translate",le="+Inf"} 3' in lines
    assert "seq2attn_queue_items 0" in lines
    sample = re.compile(r'[a-z0-9_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? [0-9.e+-]+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    buckets = [int(line.split()[1]) for line in lines if "seconds_bucket" in line and "translate" in line]
    assert buckets == sorted(buckets)
