"""Why a pair of texts is no translation, by its two texts alone and by what is usual in its corpus."""

from collections.abc import Callable

from seq2attn.data.cleaning import numbers, scripts
from seq2attn.data.cleaning.habits import Habits

Fault = Callable[[str, str, Habits], bool]

_ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!", "#DIV/0!")  # of a spreadsheet
_WORDS_TO_FILL = ("todo", "tbd", "fixme", "xxx", "null")  # in capitals
_SIGNS = ("N/A", "???", "...", "…", "-", "–", "—")
_FILLERS = frozenset([*map(str.upper, _WORDS_TO_FILL), *_SIGNS, *_ERRORS])
_SENTENCE = 15  # characters of a text that is the same on both sides; a shorter one may be a name
_LONG = 30  # characters of the longer side of a pair whose lengths say something
_RATIO = 3.0  # of the lengths in characters, beside the usual ratio of the corpus
_WRONG = 0.7  # mean score of the words of a side that is in the language of the other side
_WORDS = 2  # of a side with a score, at least


def is_filler(source: str, target: str, habits: Habits) -> bool:
    """Whether a side is no text but what a spreadsheet or its author puts in place of one."""
    ours, theirs = source.strip(), target.strip()
    if ours in _FILLERS:
        return theirs in _FILLERS or len(theirs.split()) > 1
    return theirs in _FILLERS and len(ours.split()) > 1


def is_same(source: str, target: str, habits: Habits) -> bool:
    """Whether both sides are the same sentence, which nobody has translated."""
    return len(source) >= _SENTENCE and (source == target or source.casefold() == target.casefold())


def is_swapped(source: str, target: str, habits: Habits) -> bool:
    """Whether each side has the words of the other side's language."""
    return _score(source, habits.words) < -_WRONG and _score(target, habits.words) > _WRONG


def _score(text: str, words: dict[str, float]) -> float:
    scores = [words[word] for word in text.split() if word in words]
    return sum(scores) / len(scores) if len(scores) >= _WORDS else 0.0


def is_foreign(source: str, target: str, habits: Habits) -> bool:
    """Whether a side is in another script than its language."""
    own, other = habits.scripts
    return (bool(own) and scripts.is_foreign(source, own)) or (
        bool(other) and scripts.is_foreign(target, other)
    )


def is_unequal(source: str, target: str, habits: Habits) -> bool:
    """Whether one side is far longer than the other, in characters."""
    if habits.ratio is None:
        return False
    ours, theirs = len(source) * habits.ratio, len(target)
    return max(ours, theirs) >= _LONG and max(ours, theirs) > _RATIO * min(ours, theirs)


def has_other_numbers(source: str, target: str, habits: Habits) -> bool:
    return numbers.differ(source, target)


# In this order: a pair is counted under the first reason that it has.
FAULTS: dict[str, Fault] = {
    "placeholders": is_filler,
    "same-text": is_same,
    "swapped": is_swapped,
    "script": is_foreign,
    "numbers": has_other_numbers,
    "length-ratio": is_unequal,
}
