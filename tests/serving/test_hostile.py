"""What attackers and broken clients send to a real server: each gets a 4xx and one line in the log, soon."""

import http.client
import io
import struct
import time
import zlib
from collections.abc import Iterator

import pytest
from served import Capitals, Log, answer, connect, raw, read, running, service, wait_for

HEAD = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = b'{"q":"a","source":"en","target":"fr"}'


def with_length(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def status(data: bytes) -> int:
    assert data.startswith(b"HTTP/1.1 "), data[:80]
    return int(data[9:12])


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Log, str]]:
    log = Log()
    with running(service(Capitals(), receiving=0.4), log) as (_, address):
        yield log, address


@pytest.fixture
def log(server: tuple[Log, str]) -> Log:
    server[0].lines.clear()
    return server[0]


@pytest.fixture
def address(server: tuple[Log, str]) -> str:
    return server[1]


def check_one_line(log: Log, expected: int) -> None:
    wait_for(lambda: log.lines)
    time.sleep(0.05)  # a second line would come at once
    assert [line["status"] for line in log.lines] == [expected]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (with_length(b"not JSON"), 400),
        (with_length(b"[" * 500_000), 400),
        (with_length(b'{"q":' + b'{"a":' * 100_000), 400),
        (with_length(b'{"q":[' + b'"a",' * 9_999 + b'"a"],"source":"en","target":"fr"}'), 400),
        (with_length(b'{"q":"a\\u0000b","source":"en","target":"fr"}'), 400),
        (with_length(b'{"q":"a\x00b","source":"en","target":"fr"}'), 400),
        (with_length(b'{"q":' + b"9" * 100_000 + b"}"), 400),
        (with_length(GOOD, HEAD.replace(b"POST", b"GET")), 405),
        (with_length(GOOD, HEAD.replace(b"POST", b"DELETE")), 405),
        (with_length(GOOD, HEAD.replace(b"/translate", b"/../../../etc/passwd")), 404),
        (with_length(GOOD, HEAD.replace(b"/translate", b"/%2e%2e/%2e%2e/etc/passwd")), 404),
        (with_length(GOOD, HEAD.replace(b"/translate", b"//etc/passwd")), 404),
        (with_length(GOOD, HEAD.replace(b"/translate", b"/..%5c..%00.html")), 404),
        (with_length(GOOD, HEAD.replace(b"localhost", b"evil.example")), 421),
        (HEAD + b"Content-Length: 104857600\r\n\r\n", 413),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
        (HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Bad\x01Header: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_hostile_requests_are_refused(request_: bytes, expected: int, log: Log, address: str) -> None:
    with connect(address) as connection:
        connection.sendall(request_)
        data = answer(connection)
    assert status(data) == expected
    assert b'{"error":"' in data
    check_one_line(log, expected)


def test_a_body_of_100_megabytes_is_refused_and_not_stored(log: Log, address: str) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * (1 << 20)

    host = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request(
        "POST", "/translate", body(), {"Content-Type": "application/json"}, encode_chunked=True
    )
    response = connection.getresponse()
    assert response.status == 413
    assert b"1,048,576 bytes" in response.read()
    connection.close()
    assert sent == 100  # it was thrown away, so that the client could read the answer
    check_one_line(log, 413)


def test_a_client_that_does_not_stop_sending_is_cut_off(
    log: Log, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seq2attn.serving.connections.LINGER", 0.2)
    with connect(address) as connection:
        connection.sendall(HEAD + b"Content-Length: 104857600\r\n\r\n")
        assert status(answer(connection)) == 413
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):  # noqa: PT012 (one of many sends fails)
            for _ in range(400):
                connection.sendall(b" " * 1000)
                time.sleep(0.01)
    check_one_line(log, 413)


@pytest.mark.parametrize(
    "beginning", [b"POST /transl", HEAD, HEAD + b"X: y\r\n"], ids=["line", "headers", "one more"]
)
def test_a_slow_head_is_refused(beginning: bytes, log: Log, address: str) -> None:
    with connect(address) as connection:
        for byte in beginning:
            connection.sendall(bytes([byte]))  # each byte is a sign of life, and yet it ends
        assert status(read(connection)) == 408
    check_one_line(log, 408)


def test_a_slow_body_is_refused(log: Log, address: str) -> None:
    with connect(address) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert status(answer(connection)) == 408
    check_one_line(log, 408)


def test_a_silent_connection_is_closed_without_a_word(log: Log, address: str) -> None:
    with connect(address) as connection:
        assert read(connection) == b""
    assert not log.lines


def test_a_connection_that_waits_between_requests_is_not_slow(log: Log, address: str) -> None:
    with connect(address) as connection:
        for _ in range(2):
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
            assert status(answer(connection)) == 200
            time.sleep(0.6)  # longer than a head may take
    assert [line["status"] for line in log.lines] == [200, 200]


def test_a_client_that_leaves_in_its_body_is_logged(log: Log, address: str) -> None:
    with connect(address) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.05)
    check_one_line(log, 499)


def test_requests_in_one_packet_are_answered_in_turn(log: Log, address: str) -> None:
    one = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    assert raw(address, one + with_length(GOOD)).count(b'{"translatedText":"A"}') == 2
    assert [line["status"] for line in log.lines] == [200, 200]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes which says that it is that large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, 2)
    file.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
    file.write(chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b""))
    return file.getvalue()
