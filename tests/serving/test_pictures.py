"""/caption and /explain of pictures: what the model says, and what is refused before it is decoded."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import tiny
import tiny_captions
from PIL import Image
from served import Log, client, service
from starlette.testclient import TestClient
from test_hostile import bomb

from seq2attn.inference import Captioner

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    with pytest.MonkeyPatch.context() as patch:
        data = tiny_captions.prepare(tmp_path_factory.mktemp("data") / "bars", patch)
    return Captioner.load(tiny_captions.save_run(tmp_path_factory.mktemp("runs") / "run", data), device="cpu")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def c(captioner: Captioner, log: Log) -> Iterator[TestClient]:
    with client(service(captioner, tiny.translator(), pixels=10_000, upload=100_000), log) as each:
        yield each


def test_caption_is_that_of_the_captioner(c: TestClient, captioner: Captioner) -> None:
    picture = tiny_captions.png(1)
    expected = captioner.caption([picture], attention="all")[0][0]
    answer = c.post("/caption", content=picture, headers=PNG).json()
    assert (answer["run"], answer["caption"], answer["words"]) == ("a", expected.text, expected.words)
    assert answer["grid"] == list(expected.grid or ())
    np.testing.assert_allclose(answer["attention"], expected.attention, atol=6e-5)
    assert answer["attention_heads"] is None
    heads = c.post("/caption?attention=all", content=picture).json()["attention_heads"]
    np.testing.assert_allclose(heads, expected.attention_heads, atol=6e-5)
    assert c.post("/caption?attention=none&beam=1", content=picture).json()["attention"] is None


@pytest.mark.parametrize(
    "fields",
    [
        '"temperature": %s',
        '"attend": {"1:1": %s}',
        '"beam": %s',
        '"prefix": [%s]',
        '"mask": [%s]',
        '"uniform": [[1, %s]]',
    ],
)
def test_explain_refuses_numbers_of_any_size(c: TestClient, fields: str) -> None:
    for digits in (30, 308, 400, 5000):
        body = '{"text": "the dog", %s}' % (fields % ("9" * digits))
        answer = c.post("/explain", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
        assert len(answer.text) < 300


def test_explain_takes_a_picture(c: TestClient) -> None:
    query = {"request": '{"beam": 2, "parts": ["candidates"]}'}
    answer = c.post("/explain", params=query, content=tiny_captions.png(1), headers=PNG).json()
    assert answer["run"] == "a"
    assert len(answer["candidates"]) == len(answer["target"]["ids"])
    for wrong in ('{"beam": 99}', "[1]", "{", '{"run": "b"}', '{"nothing": 1}'):
        answer = c.post("/explain?", params={"request": wrong}, content=tiny_captions.png(1), headers=PNG)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize(
    ("content", "kind", "status", "part"),
    [
        (b"", "image/png", 400, "empty file"),
        (b"no picture", "image/png", 400, "not an image"),
        (tiny_captions.png(1)[:60], "image/png", 400, "cut off"),
        (bomb(60_000, 60_000), "image/png", 400, "pixels"),
        (bomb(101, 100), "image/png", 413, "101 x 100 pixels; 10,000"),
        (bytes(100_001), "image/png", 413, "100,000 bytes"),
        (b"--x", "multipart/form-data; boundary=x", 415, "as the body"),
        (b"{}", "application/json", 415, "as the body"),
    ],
)
def test_caption_refuses(c: TestClient, log: Log, content: bytes, kind: str, status: int, part: str) -> None:
    answer = c.post("/caption", content=content, headers={"content-type": kind})
    assert (answer.status_code, part in answer.json()["error"]) == (status, True), answer.text
    assert [line["status"] for line in log.lines] == [status]


def test_caption_refuses_wrong_fields(c: TestClient) -> None:
    for query in ("beam=0", "beam=99", "attention=some", "run=b", "run=zz"):
        answer = c.post(f"/caption?{query}", content=tiny_captions.png(1))
        assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_caption_of_a_run_of_text_alone_says_so() -> None:
    with client(service(tiny.translator())) as c:
        assert "no run of images" in c.post("/caption", content=tiny_captions.png(1)).json()["error"]
        assert c.post("/translate", json={"q": "a", "run": "zz"}).status_code == 400


def test_caption_gives_a_damaged_picture_its_own_error(captioner: Captioner) -> None:
    from seq2attn.serving.runs import ServedRun
    from seq2attn.serving.work import Describe, Picture

    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, "png")
    damaged = file.getvalue()[:1000]  # the header is whole
    good, bad = Describe(ServedRun("a", captioner), 1, True)(
        [Picture(tiny_captions.png(0), 4096), Picture(damaged, 1024)]
    )
    assert good.text == captioner.caption([tiny_captions.png(0)], beam=1)[0][0].text
    assert "cut off" in str(bad)
