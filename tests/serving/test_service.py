"""A real server from its first request to its end: who leaves is forgotten, what has begun is answered."""

import http.client
import json
import socket
import threading
import time
import urllib.request
from typing import Any

import pytest
import tiny
from libretranslatepy import LibreTranslateAPI
from real_browser import chromium, needs_browser
from served import Capitals, Log, answer, connect, raw, running, service, wait_for

from seq2attn.data.tokenizer import EOS
from seq2attn.errors import UserError
from seq2attn.serving.server import bind, is_loopback, url


def request(text: str) -> bytes:
    body = json.dumps({"q": text, "source": "en", "target": "fr"}).encode()
    head = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_real_client_of_the_protocol_works() -> None:
    with running(service(Capitals(), Capitals("fr", "en"), keys=["secret"]), Log()) as (_, address):
        client = LibreTranslateAPI(address, "secret")
        assert client.translate("The dog sleeps.\n\nIt is late & dark.", "en", "fr") == (
            "THE DOG SLEEPS.\n\nIT IS LATE & DARK."
        )
        assert [language["code"] for language in client.languages()] == ["en", "fr"]
        with pytest.raises(urllib.request.HTTPError) as error:
            LibreTranslateAPI(address).translate("a", "en", "fr")
        assert error.value.code == 403
        error.value.close()


def test_a_real_client_detects_languages() -> None:
    english, french = tiny.translator(), tiny.translator()
    french.source_tokenizer, french.languages = tiny.tokenizer("target"), ("fr", "en")
    with running(service(english, french), Log()) as (_, address):
        assert LibreTranslateAPI(address).detect("où est la gare")[0]["language"] == "fr"


def test_what_a_client_that_left_has_asked_is_never_computed() -> None:
    capitals, log = Capitals(), Log()
    served = service(capitals)
    capitals.may_go.clear()
    with (
        running(served, log) as (_, address),
        connect(address) as first,
        connect(address) as second,
        connect(address) as third,
    ):
        first.sendall(request("one"))
        wait_for(lambda: capitals.calls)
        second.sendall(request("two"))
        third.sendall(request("three"))
        wait_for(lambda: served.batcher.waiting == 2)
        second.close()
        wait_for(lambda: log.lines)
        capitals.may_go.set()
        assert b'"ONE"' in answer(first)
        assert b'"THREE"' in answer(third)
    assert capitals.calls == [["one"], ["three"]]
    assert [line["status"] for line in log.lines] == [499, 200, 200]


def test_stop_answers_what_has_begun_and_closes_the_door() -> None:
    capitals, log = Capitals(), Log()
    served = service(capitals)
    capitals.may_go.clear()
    with running(served, log) as (server, address), connect(address) as first, connect(address) as second:
        first.sendall(request("one"))
        wait_for(lambda: capitals.calls)
        second.sendall(request("two"))
        wait_for(lambda: served.batcher.waiting == 1)
        server.stop()
        time.sleep(0.4)
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        capitals.may_go.set()
        for connection, text in ((first, b'"ONE"'), (second, b'"TWO"')):
            data = answer(connection)
            assert text in data
            assert b"\r\nconnection: close\r\n" in data
    assert [line["status"] for line in log.lines] == [200, 200]


def test_many_clients_have_their_own_answers_and_share_batches() -> None:
    capitals = Capitals()
    served = service(capitals)
    results: dict[str, Any] = {}

    def ask(address: str, number: int) -> None:
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=30)
        for turn in range(5):
            text = f"text {number} {turn}"
            fields = json.dumps({"q": text, "source": "en", "target": "fr"})
            connection.request("POST", "/translate", fields, {"Content-Type": "application/json"})
            results[text] = json.load(connection.getresponse())["translatedText"]
        connection.close()

    with running(served, Log()) as (_, address), connect(address) as first:
        capitals.may_go.clear()
        first.sendall(request("first"))
        wait_for(lambda: capitals.calls)
        threads = [threading.Thread(target=ask, args=(address, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: served.batcher.waiting == 8)
        capitals.may_go.set()
        for thread in threads:
            thread.join()
        assert b'"FIRST"' in answer(first)
    assert results == {f"text {n} {turn}": f"TEXT {n} {turn}" for n in range(8) for turn in range(5)}
    assert len(capitals.calls[1]) == 8  # those that came while the first was computed


def test_a_connection_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.serving.connections.MOST_CONNECTIONS", 2)
    log = Log()
    with running(service(Capitals()), log) as (_, address):
        with connect(address), connect(address), connect(address) as third:
            assert answer(third).startswith(b"HTTP/1.1 503 ")
            wait_for(lambda: [line["status"] for line in log.lines] == [503])
        wait_for(lambda: b"200" in raw(address, request("a").replace(b"Host", b"Connection: close\r\nHost")))


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.serving.server.KEEP_ALIVE", 1)
    capitals, log = Capitals(), Log()
    monkeypatch.setattr(capitals, "languages", ("en" * 10_000_000, "fr"))
    with running(service(capitals), log) as (server, address), connect(address) as connection:
        connection.sendall(b"GET /languages HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: log.lines)
        assert server.server_state.connections
        wait_for(lambda: not server.server_state.connections)


def test_a_search_ends_when_nobody_waits_for_it() -> None:
    """A model that never ends its output, and an output of 100,000 tokens: minutes of work."""
    translator, log = tiny.translator(), Log()
    translator.models[0].decoder.output.bias.data[EOS] = -1e9
    search = translator.config.search.model_copy(update={"max_length": 100_000})
    translator.config = translator.config.model_copy(update={"search": search})
    ensemble = translator.ensemble
    began = time.monotonic()
    with running(service(translator, Capitals("fr", "en"), seconds=0.3), log) as (_, address):
        connection = connect(address)
        connection.sendall(request("the dog"))
        assert answer(connection).startswith(b"HTTP/1.1 504 ")
        assert time.monotonic() - began < 10
        other = request("a").replace(b'"en"', b'"xx"').replace(b'"fr"', b'"en"').replace(b'"xx"', b'"fr"')
        wait_for(lambda: b'"A"' in raw(address, other.replace(b"Host", b"Connection: close\r\nHost")))
        connection.sendall(request("the cat"))  # the end of the server does not wait for this one either
        time.sleep(0.1)
        connection.close()
    assert translator.ensemble is ensemble


def test_a_client_that_asks_and_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requests wait in one connection, each for room for its answer."""
    monkeypatch.setattr("seq2attn.serving.server.KEEP_ALIVE", 1)
    capitals, log = Capitals(), Log()
    monkeypatch.setattr(capitals, "languages", ("en" * 100_000, "fr"))
    with running(service(capitals), log) as (server, address), connect(address) as connection:
        connection.sendall(b"GET /languages HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        wait_for(lambda: log.lines)
        wait_for(lambda: not server.server_state.connections)


def test_a_client_that_reads_slowly_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.serving.server.KEEP_ALIVE", 0.4)
    monkeypatch.setattr("seq2attn.serving.connections.LEAST_READ", 1000)
    capitals = Capitals()
    monkeypatch.setattr(capitals, "languages", ("en" * 2_000_000, "fr"))
    with running(service(capitals), Log()) as (_, address), connect(address) as connection:
        connection.sendall(b"GET /languages HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = b""
        for _ in range(12):  # longer than an idle connection stays open
            time.sleep(0.1)
            data += connection.recv(1 << 17)
        while len(data) < 8_000_000:
            part = connection.recv(1 << 17)
            assert part, len(data)
            data += part


def test_bodies_have_a_bound_together() -> None:
    capitals, log = Capitals(), Log()
    served = service(capitals, memory=1, upload=1, characters=1000)  # room for two bodies of 1 MiB
    head = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    large = head + b"Content-Length: 1000000\r\n\r\n" + b" " * 999_999
    with running(served, log) as (server, address):
        room: Any = server._gate._app
        with connect(address) as one, connect(address) as two, connect(address) as three:
            for number, connection in enumerate((one, two, three)):
                connection.sendall(large)
                if number < 2:
                    wait_for(lambda: room.size >= 999_999 * (number + 1))  # noqa: B023
            assert answer(three).startswith(b"HTTP/1.1 503 ")
        wait_for(lambda: not room.size)
        assert b'"A"' in raw(address, request("a").replace(b"Host", b"Connection: close\r\nHost"))


def test_bind_says_what_is_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UserError, match=r"port .* in use"):
        bind("127.0.0.1", other.getsockname()[1])
    with pytest.raises(UserError, match=r"^host no\.such\.host\.invalid: "):
        bind("no.such.host.invalid", 0)


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_url_and_loopback_are_those_of_the_socket(host: str, loopback: bool) -> None:
    with bind(host, 0) as sock:
        assert url(sock) == f"http://{host}:{sock.getsockname()[1]}/"
        assert is_loopback(sock) == loopback


@pytest.mark.slow
@needs_browser
def test_the_page_works_under_the_policy_of_the_server() -> None:
    """In Chromium, with a model: nothing is written to the console, and `<script>` in a text is text."""
    translator = tiny.translator()
    search = translator.config.search.model_copy(update={"max_length": 6})
    translator.config = translator.config.model_copy(update={"search": search})
    complaints: list[str] = []
    with running(service(translator), Log()) as (_, address), chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.fill("#text", "the small <script>alert(1)</script>")
        page.locator("#panels").get_by_text("<script>alert(1)</script>").first.wait_for(state="attached")
    assert not complaints
