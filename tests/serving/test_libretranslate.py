"""The LibreTranslate protocol: its fields, as JSON and as a form, its answers and its errors."""

from typing import Any

import pytest
import tiny
from served import Capitals, client, service

from seq2attn.serving.errors import Refusal
from seq2attn.serving.runs import ServedRun, ServedRuns, names_of

PAIR = {"source": "en", "target": "fr"}


def test_translate_answers_json_and_forms() -> None:
    with client(service(Capitals())) as c:
        assert c.post("/translate", json={"q": "the dog", **PAIR}).json() == {"translatedText": "THE DOG"}
        assert c.post("/translate", data={"q": "le «chat»", **PAIR}).json() == {"translatedText": "LE «CHAT»"}
        answer = c.post("/translate", json={"q": ["one", "two. Three."], **PAIR}).json()
        assert answer == {"translatedText": ["ONE", "TWO. THREE."]}
        answer = c.post("/translate", content="q=one&q=two&source=en&target=fr", headers=FORM).json()
        assert answer == {"translatedText": ["ONE", "TWO"]}


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_translate_gives_sentences_to_the_model_and_keeps_the_rest() -> None:
    capitals = Capitals()
    with client(service(capitals)) as c:
        answer = c.post("/translate", json={"q": "  Hi there. Who?\n\n- me\r\n", **PAIR}).json()
    assert answer == {"translatedText": "  HI THERE. WHO?\n\n- ME\r\n"}
    assert capitals.calls == [["Hi there.", "Who?", "- me"]]


def test_translate_keeps_markup() -> None:
    q = "<p title='the dog'>a &amp; <b>b</b></p>"
    with client(service(Capitals())) as c:
        answer = c.post("/translate", json={"q": q, **PAIR, "format": "html"}).json()
        assert answer == {"translatedText": "<p title='the dog'>A &amp; <b>B</b></p>"}
        text = c.post("/translate", json={"q": "<script>a</script>", **PAIR}).json()
        assert text == {"translatedText": "<SCRIPT>A</SCRIPT>"}  # a text is no markup


def test_translate_gives_distinct_alternatives() -> None:
    with client(service(Capitals(distinct=2))) as c:
        answer = c.post("/translate", json={"q": "one. Two.", **PAIR, "alternatives": 3}).json()
        assert answer == {"translatedText": "ONE. TWO.", "alternatives": ["ONE.2 TWO.2"]}
        answer = c.post("/translate", data={"q": "one", **PAIR, "alternatives": "1"}).json()
        assert answer["alternatives"] == ["ONE2"]
        answer = c.post("/translate", json={"q": ["a", "b"], **PAIR, "alternatives": 1}).json()
        assert answer["alternatives"] == [["A2"], ["B2"]]


def test_translate_tells_what_was_not_read() -> None:
    capitals = Capitals()
    capitals.truncated = 3
    with client(service(capitals)) as c:
        assert c.post("/translate", json={"q": "a", **PAIR}).json()["truncatedTokens"] == 3


def test_translate_chooses_the_run() -> None:
    first, second, third = Capitals(), Capitals(), Capitals("fr", "en")
    with client(service(first, second, third)) as c:
        c.post("/translate", json={"q": "one", **PAIR})
        c.post("/translate", json={"q": "two", "run": "b"})
        c.post("/translate", json={"q": "three", "source": "FR", "target": "en"})
    assert (first.calls, second.calls, third.calls) == ([["one"]], [["two"]], [["three"]])


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "q:"),
        ({"q": 3, **PAIR}, "q:"),
        ({"q": ["a", None], **PAIR}, "q:"),
        ({"q": {"a": 1}, **PAIR}, "q:"),
        ({"q": "a"}, "source:"),
        ({"q": "a", "source": "en"}, "target:"),
        ({"q": "a", "source": "xx", "target": "fr"}, "source 'xx'"),
        ({"q": "a", "source": "en", "target": "zz"}, "target 'zz'"),
        ({"q": "a", "source": "auto", "target": "zz"}, "target 'zz'"),
        ({"q": "a", **PAIR, "format": "pdf"}, "format"),
        ({"q": "a", **PAIR, "alternatives": 11}, "alternatives"),
        ({"q": "a", **PAIR, "alternatives": -1}, "alternatives"),
        ({"q": "a", **PAIR, "alternatives": True}, "alternatives"),
        ({"q": "a", **PAIR, "alternatives": "many"}, "alternatives"),
        ({"q": "a", "run": "zz"}, "run 'zz'"),
        ({"q": "a\x00b", **PAIR}, "U+0000"),
        ({"q": "a\x1b[31m", **PAIR}, "U+001B"),
        ({"q": "a" * 21, **PAIR}, "21 characters; 20"),
        ({"q": ["a" * 11, "a" * 10], **PAIR}, "21 characters; 20"),
        ({"q": ["a"] * 4, **PAIR}, "4 texts; 3"),
    ],
)
def test_translate_refuses_in_one_line_that_names_the_field(fields: dict[str, Any], part: str) -> None:
    capitals = Capitals()
    with client(service(capitals, characters=20, texts=3)) as c:
        answer = c.post("/translate", json=fields)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert part in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert not capitals.calls


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"q": NaN}', "application/json", 400),
        (b'{"q":' + b"[" * 100_000, "application/json", 400),
        (b"q=1&" * 301, "application/x-www-form-urlencoded", 400),
        (b"q=a", "text/plain", 415),
        (b"--x", "multipart/form-data; boundary=x", 400),
        (b"--x--", "multipart/form-data", 400),
        (b"q=a", "", 415),
    ],
)
def test_translate_refuses_other_bodies(content: bytes, kind: str, status: int) -> None:
    with client(service(Capitals())) as c:
        answer = c.post("/translate", content=content, headers={"content-type": kind})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_translate_shows_script_in_text_as_text() -> None:
    with client(service(Capitals())) as c:
        answer = c.post("/translate", json={"q": "<script>alert(1)</script>", **PAIR})
    assert answer.json() == {"translatedText": "<SCRIPT>ALERT(1)</SCRIPT>"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_translate_with_a_model_equals_the_translator() -> None:
    translator = tiny.translator()
    lines = ["the small dog sleeps", "she sings, and they listen", "where is the station?"]
    with client(service(translator)) as c:
        together = c.post("/translate", json={"q": "\n".join(lines), **PAIR}).json()["translatedText"]
        alone = [c.post("/translate", json={"q": line, **PAIR}).json()["translatedText"] for line in lines]
    assert together.split("\n") == alone
    assert alone == [ranked[0].text for ranked in translator.translate(lines)]


def test_detect_and_auto_choose_by_vocabularies() -> None:
    english, french = tiny.translator(), tiny.translator()
    french.source_tokenizer, french.languages = tiny.tokenizer("target"), ("fr", "en")
    with client(service(english, french)) as c:
        for text, language in (("the old house", "en"), ("la vieille maison", "fr")):
            guesses = c.post("/detect", json={"q": text}).json()
            assert [set(guess) for guess in guesses] == [{"confidence", "language"}] * 2
            assert guesses[0]["language"] == language
            assert sum(guess["confidence"] for guess in guesses) == pytest.approx(100, abs=0.2)
        several = c.post("/detect", json={"q": ["the old house", "la vieille maison"]}).json()
        assert [of_text[0]["language"] for of_text in several] == ["en", "fr"]
        answer = c.post("/translate", json={"q": "la maison", "source": "auto", "target": "en"}).json()
        assert answer["detectedLanguage"]["language"] == "fr"
        answer = c.post("/translate", json={"q": "la maison", "source": "auto", "target": "fr"})
        assert (answer.status_code, "target 'fr'" in answer.text) == (400, True)
        assert c.post("/detect", json={"q": "?!"}).status_code == 400


def test_detect_of_one_language_says_that_there_is_no_choice() -> None:
    with client(service(Capitals())) as c:
        assert "en alone" in c.post("/detect", json={"q": "a"}).json()["error"]
        answer = c.post("/translate", json={"q": "a", "source": "auto", "target": "fr"}).json()
        several = c.post("/translate", json={"q": ["a", "b"], "source": "auto", "target": "fr"}).json()
    only = {"confidence": 100.0, "language": "en"}
    assert answer == {"translatedText": "A", "detectedLanguage": only}
    assert several == {"translatedText": ["A", "B"], "detectedLanguage": [only] * 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"format": None, "alternatives": None, "run": None, "api_key": None},
        {"format": "", "alternatives": "", "run": "", "api_key": ""},
    ],
)
def test_translate_takes_an_empty_field_for_none(fields: dict[str, Any]) -> None:
    with client(service(Capitals())) as c:
        assert c.post("/translate", json={"q": "a", **PAIR, **fields}).json() == {"translatedText": "A"}
        refused = c.post("/translate", json={"q": "a", **PAIR, **fields, "source": "xx"})
    assert "source 'xx'" in refused.json()["error"]


def test_translate_takes_fields_of_the_address_as_the_protocol_does() -> None:
    address = "/translate?q=the+dog%0Aa&source=en&target=fr"
    with client(service(Capitals())) as c:
        assert c.post(address).json() == {"translatedText": "THE DOG\nA"}
        assert c.post(address, data={"q": "a cat"}).json() == {"translatedText": "A CAT"}
        assert "q:" in c.post(address, json={"source": "en"}).json()["error"]
        assert c.post("/translate?" + "q=1&" * 301).status_code == 400


def form(*fields: tuple[str, str], end: str = "--B--\r\n") -> bytes:
    parts = [f"--B\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n" for name, value in fields]
    return ("".join(parts) + end).encode()


PARTS = {"content-type": "multipart/form-data; boundary=B"}
REST = (('name="source"', "en"), ('name="target"', "fr"))


def test_translate_takes_the_forms_of_browsers() -> None:
    text = "a «dog»\r\n--B is no end\r\n\r\na cat\r\n"  # a browser writes line breaks so
    with client(service(Capitals())) as c:
        answer = c.post("/translate", content=form(('name="q"', text), *REST), headers=PARTS)
        assert answer.status_code == 400  # the boundary must not be in the text
        text = text.replace("--B", "--")
        answer = c.post("/translate", content=form(('name="q"', text), *REST), headers=PARTS).json()
        assert answer == {"translatedText": "A «DOG»\n-- IS NO END\n\nA CAT\n"}
        twice = form(("name=q", "a"), ('NAME="q"', "b"), *REST)
        quoted = {"content-type": 'multipart/form-data; charset=utf-8; boundary="B"'}
        assert c.post("/translate", content=twice, headers=quoted).json() == {"translatedText": ["A", "B"]}
        crlf = c.post("/translate", data={"q": "a\r\nb", **PAIR}).json()
        assert crlf == {"translatedText": "A\nB"}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "no end"),
        (form(('name="q"', "a"), end=""), "no end"),
        (form(("", "a")), "no name"),
        (b"--B\r\nContent-Type: text/plain\r\n\r\na\r\n--B--", "no name"),
        (b"--B\r\n--B--", "no name"),
        (form(('name="q"; filename="a.txt"', "a")), "file"),
        (form(('name="q"', "a")).replace(b"\r\na", b"\r\n\xff"), "UTF-8"),
        (form(*[('name="q"', "a")] * 301), "300 fields"),
    ],
)
def test_translate_refuses_damaged_forms(content: bytes, part: str) -> None:
    with client(service(Capitals())) as c:
        answer = c.post("/translate", content=content, headers=PARTS)
    assert (answer.status_code, part in answer.json()["error"]) == (400, True), answer.text


def test_languages_and_settings_tell_what_is_served() -> None:
    with client(service(Capitals("en", "fr"), Capitals("en", "de"), Capitals(None, "en"))) as c:
        assert c.get("/languages").json() == [
            {"code": "en", "name": "English", "targets": ["fr", "de"]},
            {"code": "und", "name": "not named", "targets": ["en"]},
            {"code": "fr", "name": "French", "targets": []},
            {"code": "de", "name": "German", "targets": []},
        ]
        settings = c.get("/frontend/settings").json()
    assert settings["charLimit"] == 20_000
    assert settings["keyRequired"] is False
    assert settings["language"]["target"] == {"code": "fr", "name": "French"}


def test_a_full_queue_and_a_late_answer_have_their_status() -> None:
    with client(service(Capitals(), queue=2, seconds=30)) as c:
        answer = c.post("/translate", json={"q": "a\nb\nc", **PAIR})
        assert (answer.status_code, "3 sentences; 2" in answer.text) == (413, True)
    capitals = Capitals()
    capitals.may_go.clear()
    with client(service(capitals, seconds=0.05)) as c:
        assert c.post("/translate", json={"q": "a", **PAIR}).status_code == 504
        late = c.post("/translate", json={"q": "b", **PAIR})
        capitals.may_go.set()
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert capitals.calls == [["a"]]


def test_names_of_runs_are_those_of_folders_or_given() -> None:
    assert names_of(["runs/one", "two=runs/x,runs/y", "/a/b/c,d"]) == {
        "one": "runs/one",
        "two": "runs/x,runs/y",
        "c+d": "/a/b/c,d",
    }


def test_run_of_no_name_and_kind_is_refused() -> None:
    with pytest.raises(Refusal, match="no run of images"):
        ServedRuns([ServedRun("a", Capitals())]).named(None, "images")
