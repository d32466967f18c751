"""The options of a search: one list of them, one check, and the run's own settings in place of None."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import annotated_types
import pytest
import tiny

import seq2attn
from seq2attn.cli import search_flags
from seq2attn.config import SearchConfig
from seq2attn.errors import UsageError
from seq2attn.evaluation import text
from seq2attn.evaluation.utilities import with_utility
from seq2attn.inference.options import (
    BOUNDS,
    NO_OPTIONS,
    RULES,
    Excludes,
    ResolvedOptions,
    SearchOptions,
    Shortcuts,
    with_shortcuts,
)

NAMES = [field.name for field in fields(SearchOptions)]
SETTINGS = set(SearchConfig.model_fields) - NO_OPTIONS
OWN = SearchConfig(beam=7, length_penalty=0.5, min_length=1, max_length=9, no_repeat_ngram=3)


def bounds(setting: str) -> tuple[Any, Any]:
    """The bounds of a setting in the schema."""
    info = SearchConfig.model_fields[setting]
    inner = [one for part in get_args(info.annotation) for one in getattr(part, "__metadata__", ())]
    marks = [*info.metadata, *(mark for one in inner for mark in getattr(one, "metadata", ()))]
    least = next(mark.ge for mark in marks if isinstance(mark, annotated_types.Ge))
    return least, next(mark.le for mark in marks if isinstance(mark, annotated_types.Le))


def test_all_shapes_of_the_options_are_one_list() -> None:
    assert get_type_hints(Shortcuts) == get_type_hints(SearchOptions)
    assert [field.name for field in fields(ResolvedOptions)] == NAMES
    assert set(search_flags.FLAGS) == set(NAMES) - {"attention", "confidence"}
    assert set(SearchConfig.model_fields) & set(NAMES) == SETTINGS
    mentioned = {*BOUNDS, *(rule.option for rule in RULES)}
    for rule in RULES:
        mentioned |= {rule.other} if isinstance(rule, Excludes) else set(rule.needed)
    assert mentioned <= set(NAMES)


def test_options_and_settings_have_the_same_bounds() -> None:
    whole = SETTINGS - {"length_penalty"}
    assert {name: bounds(name) for name in whole} == {name: BOUNDS[name] for name in whole}
    least, most = bounds("length_penalty")
    SearchOptions(length_penalty=least).check()
    SearchOptions(length_penalty=most).check()
    for beyond in (least - 0.1, most + 0.1):
        with pytest.raises(UsageError, match="length_penalty"):
            SearchOptions(length_penalty=beyond).check()


def test_resolved_puts_the_runs_settings_and_defaults_in_place_of_none() -> None:
    resolved = SearchOptions(beam=2, seed=5).resolved(OWN)
    assert {name: getattr(resolved, name) for name in SETTINGS} == {
        **OWN.model_dump(exclude=NO_OPTIONS),
        "beam": 2,
    }
    assert (resolved.temperature, resolved.top_k, resolved.top_p, resolved.seed) == (1.0, 0, 1.0, 5)
    assert (resolved.sample_count, resolved.width) == (0, 2)
    at_random = SearchOptions(sample=True, n_best=12).resolved(OWN)
    assert (at_random.sample_count, at_random.width) == (12, 12)
    by_utility = SearchOptions(utility="chrf").resolved(OWN)
    assert (by_utility.sample_count, by_utility.width) == (32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 2.0}, "temperature needs `sample` or `utility`: it changes how samples are drawn"),
        ({"top_k": 0}, "top_k needs `sample` or `utility`: it changes how samples are drawn"),
        (
            {"sample": True, "beam": 4},
            "sample and `beam`: samples are drawn, not searched for; leave one out",
        ),
        ({"utility": "chrf", "beam": 4}, "utility and `beam`: it draws samples and does not search"),
        ({"utility": "ter"}, "utility ter: choose chrf or bleu"),
        ({"length_penalty": "0"}, "length_penalty '0': it must be a number"),
        ({"seed": 1.5}, "seed 1.5: it must be a whole number"),
        ({"max_length": 10**40}, r"max_length 10\*\*30 or more: it must be at most 4,096"),
        ({"attention": "mean"}, "attention is 'mean': choose True, False"),
    ],
)
def test_check_refuses_and_names_the_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        SearchOptions(**options).check()
    assert error.value.setting in options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_best": 8}, "n_best 8: a beam of 7 gives at most 7 outputs; set `beam` 8 or more"),
        ({"min_length": 10}, "min_length 10 and `max_length` 9: no length is between them"),
    ],
)
def test_resolved_refuses_what_contradicts_the_run(options: dict[str, Any], message: str) -> None:
    SearchOptions(**options).check()
    with pytest.raises(UsageError, match=message):
        SearchOptions(**options).resolved(OWN)


def test_shortcuts_replace_fields_and_name_near_ones() -> None:
    options = SearchOptions(beam=3, n_best=2)
    assert with_shortcuts(options, {"beam": None, "seed": 4}) == SearchOptions(n_best=2, seed=4)
    assert with_shortcuts(None, {}) == SearchOptions()
    with pytest.raises(TypeError, match=r"beams is no option of a search; did you mean beam\?"):
        with_shortcuts(None, {"beams": 3})
    with pytest.raises(TypeError, match="width is no option of a search; there are beam, n_best, "):
        with_shortcuts(None, {"width": 3})
    with pytest.raises(TypeError, match=r"options is 5: it must be a SearchOptions; .* as in beam=5"):
        tiny.translator().translate(["rain"], 5)


def test_translate_takes_options_shortcuts_or_both() -> None:
    translator = tiny.translator()
    options = seq2attn.SearchOptions(beam=3, n_best=2, max_length=8, attention="all")
    by_options = translator.translate(["the small dog"], options)[0]
    by_keywords = translator.translate(["the small dog"], beam=3, n_best=2, max_length=8, attention="all")[0]
    assert [one.text for one in by_options] == [one.text for one in by_keywords]
    assert by_options[0].attention_heads is not None
    (best,) = translator.translate(["the small dog"], options, n_best=1, attention=False)[0]
    assert (best.text, best.attention) == (by_options[0].text, None)


def test_utility_by_name_needs_a_language() -> None:
    with pytest.raises(UsageError, match=r'utility chrf: .* evaluation\.text\.utility\("chrf", language\)'):
        tiny.translator().translate(["rain"], utility="chrf")
    function = with_utility(SearchOptions(utility="chrf", samples=9), "fr").utility
    assert callable(function)
    assert function("la pluie", "une pluie") == text.utility("chrf", "fr")("la pluie", "une pluie")
    assert with_utility(SearchOptions(utility=max), "fr").utility is max  # type: ignore[arg-type]


def test_options_are_light() -> None:
    script = (
        "import sys, seq2attn\nassert 'pydantic' not in sys.modules\n"
        "seq2attn.SearchOptions(beam=2).resolved\nassert not {'torch', 'numpy'} & set(sys.modules)"
    )
    root = Path(seq2attn.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)
