"""What anybody may put into JSON: a value that can be encoded, or a ValueError of one line."""

import pytest

from seq2attn.strict_json import parse


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{", "NaN", '{"a": -Infinity}', "1e999", "9" * 5000, "-" + "9" * 309, "", "[1,]", '"a'],
)
def test_parse_raises_value_error_of_one_line(text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - that and nothing else is the contract
        parse(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_parse_replaces_half_of_a_surrogate_pair_anywhere() -> None:
    value = parse(r'{"a\ud83d": ["\uDE00", {"b": "x\ud83d\ude00y\ud83d"}], "c": 1}')
    assert value == {"a\ufffd": ["\ufffd", {"b": "x😀y\ufffd"}], "c": 1}
    assert parse('"\ud83d"') == "\ufffd"


def test_parse_reads_integers_that_a_float_can_hold() -> None:
    assert parse("[-12, %s]" % ("1" + "0" * 308)) == [-12, 10**308]
    assert parse('["%s", 1]' % ("9" * 400)) == ["9" * 400, 1]  # digits of a text are no integer
    with pytest.raises(ValueError, match=r"^9{20}\.\.\.: too large a number$"):
        parse("9" * 400, constants=True)


def test_parse_allows_constants_where_asked() -> None:
    assert parse("[Infinity, 1e999]", constants=True) == [float("inf")] * 2
