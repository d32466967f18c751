"""Whether the numbers of two texts contradict each other."""

import re
from collections import Counter

_DIGIT = re.compile(r"\d")
_NUMBER = re.compile("\\d(?:[.,'’\xa0\u2009\u202f]?\\d)*")
_ZEROS = re.compile(r"[.,]00?$|(?<=[.,]\d)0$")  # 2.00 is 2, and 1.50 is 1.5
_SEPARATOR = re.compile(r"\D")
_LARGE = re.compile("[万萬億亿만억]")  # ten thousand and more are written with other digits
_HALF_DAY = 12


def differ(source: str, target: str) -> bool:
    """Whether each side has a number that the other side does not have.

    A number that is written as a word on one side is no difference, nor is one with other separators, nor
    an hour of 12 or of 24.
    """
    if not (_DIGIT.search(source) and _DIGIT.search(target)):
        return False
    ours, theirs = _numbers(source), _numbers(target)
    if ours == theirs or _LARGE.search(source) or _LARGE.search(target):
        return False
    if ours.total() == theirs.total():
        only_ours, only_theirs = ours - theirs, theirs - ours
        if only_ours.total() == 1:
            (one,), (other,) = only_ours, only_theirs
            return not (abs(one - other) == _HALF_DAY and max(one, other) <= 2 * _HALF_DAY)
        return True
    # Separators that are spaces divide numbers differently: the digits decide.
    digits = [Counter("".join(map(str, numbers.elements()))) for numbers in (ours, theirs)]
    return bool(digits[0] - digits[1]) and bool(digits[1] - digits[0])


def _numbers(text: str) -> Counter[int]:
    return Counter(int(_SEPARATOR.sub("", _ZEROS.sub("", number))) for number in _NUMBER.findall(text))
