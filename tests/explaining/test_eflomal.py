"""Links by eflomal: one line for each pair, of words that exist, better than chance; a missing package."""

import builtins
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2attn.data.formats.lines import read_lines
from seq2attn.data.formats.pharaoh import check_words, parse, parse_lines
from seq2attn.errors import UserError
from seq2attn.evaluation.alignment import score
from seq2attn.explaining import eflomal
from seq2attn.progress import silent

PHRASES = Path(__file__).parents[2] / "data" / "phrases"
needs_eflomal = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("eflomal"),
    reason="eflomal is not installed: it is no dependency of the tests, for it is compiled on installation",
)


def phrases(count: int) -> tuple[list[str], list[str], list[str]]:
    sides = (list(read_lines(PHRASES / f"train.{ending}"))[:count] for ending in ("en", "fr", "align"))
    return tuple(sides)  # type: ignore[return-value]


@pytest.mark.slow
@needs_eflomal
def test_eflomal_gives_a_line_for_each_pair(tmp_path: Path) -> None:
    sources, targets, gold = phrases(400)
    odd = [("", "le"), ("dog", ""), ("a\u00a0b \u2028c", "un"), ("a  b", "un chat")]
    pairs = [*odd, *zip(sources, targets, strict=True)]
    lines = list(eflomal.link(lambda: iter(pairs), tmp_path, silent))
    assert len(lines) == len(pairs)
    assert lines[:2] == ["", ""]
    links = [parse(line) for line in lines]
    check_words(links, [source for source, _ in pairs], [target for _, target in pairs])
    result = score([one.sure for one in links[len(odd) :]], parse_lines(gold))
    assert result.error_rate is not None
    assert result.error_rate < 0.35


@needs_eflomal
def test_eflomal_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **words: object) -> None:
        raise RuntimeError("status\n 3")

    monkeypatch.setattr("eflomal.Aligner.align", fail)
    with pytest.raises(UserError) as error:
        list(eflomal.link(lambda: iter([("a", "b")]), tmp_path, silent))
    assert str(error.value) == "eflomal failed: status 3"


def test_missing_eflomal_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: Callable[..., object] = builtins.__import__

    def without(name: str, *args: object, **words: object) -> object:
        if name == "eflomal":
            raise ImportError("No module named 'eflomal'", name="eflomal")
        return imported(name, *args, **words)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError) as error:
        eflomal.refuse_missing()
    assert "seq2attn[align]" in str(error.value)
    assert "\n" not in str(error.value)
