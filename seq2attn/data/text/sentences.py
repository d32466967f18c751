"""Where sentences end in a line of text, in any script, by rules and a list of abbreviations.

If in doubt, it misses the end of a sentence, and does not take an abbreviation for one. It knows no language
of a text, and no model.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_CLOSING = r"\"'”’“‘»›）)」』】〉》\]"
_OPENING = r"\"'“‘„‚«‹»›（(「『【〈《\[¿¡–—-"
_WIDE = "。！？｡।॥۔؟።፧။"  # these end sentences and nothing else
_END = re.compile(
    rf"(?<![{_WIDE}])[{_WIDE}]++[{_CLOSING}]*+(?P<gap>\s*+)(?=[^\s{_WIDE}{_CLOSING}])"
    rf"|(?<![.!?…])(?P<mark>[.!?…]++)[{_CLOSING}]*+(?:\s[»›])?(?P<space>\s++)"
    rf"(?=[\s{_OPENING}]*+(?P<next>\w))"
)
# Share of training sources with several sentences, below which a model is one of single sentences.
FEW = 0.02
MOST_CHARACTERS = 20_000  # of a text
_ABBREVIATIONS = (  # English, French, German, Spanish, Portuguese, Italian
    "mr mrs ms dr prof st sr jr no nos vs etc inc ltd co corp fig figs vol pp p ca cf al approx dept est gen "
    "col lt sgt capt rev hon pres gov sen rep ave blvd mt jan feb mar apr jun jul aug sep sept oct nov dec "
    "mon tue wed thu fri sat sun m mm mme mlle mgr me bd av art chap éd env ex hrsg bzw usw ggf evtl inkl nr "
    "hr hrn fr str abs bsp bspw vgl sog geb tel ing sig sra srta ud uds pág núm avv dott"
)
_ELISION = re.compile(r"^\w{1,2}['’](?=\w\w)")  # of French and Italian: l'art., d'av.
_SHORT = frozenset(_ABBREVIATIONS.split())


class Sentence(NamedTuple):
    """A sentence and the white space after it."""

    text: str
    space: str


def count_sentences(text: str) -> int:
    """The number of sentences in the first MOST_CHARACTERS of a text; 0 without a letter or a digit."""
    text = text[:MOST_CHARACTERS]
    if not any(map(str.isalnum, text)):
        return 0
    return 1 + sum(1 for _ in _breaks(text))


def split_sentences(line: str) -> list[Sentence]:
    """The sentences of a line, in order; none of a line that is empty.

    Joined with their white space they are the line again, character by character. White space before the
    first sentence belongs to it.
    """
    sentences, start = [], 0
    for end, following in _breaks(line):
        sentences.append(Sentence(line[start:end], line[end:following]))
        start = following
    if rest := line[start:]:
        text = rest.rstrip()
        sentences.append(Sentence(text, rest[len(text) :]))
    return sentences


def _breaks(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence but the last one ends, and where the next one begins."""
    capitals = any(map(str.isupper, text))
    for match in _END.finditer(text):
        if match["mark"] is None:
            yield match.span("gap")
        elif _ends(text, match, capitals):
            yield match.span("space")


def _ends(text: str, match: re.Match[str], capitals: bool) -> bool:
    """Whether a mark followed by white space and `next` ends a sentence."""
    mark, following = match["mark"], match["next"]
    if following.islower() and capitals:
        return False
    if "!" in mark or "?" in mark:
        return True
    before = text[max(0, match.start() - 40) : match.start()].rstrip(" ")
    word = re.split(rf"[\s!?…{_WIDE}]", before)[-1].strip("\"'“‘„‚«‹»›(¿¡[")
    word = _ELISION.sub("", word)
    # an initial, or several: J., U.S.
    if (len(word) == 1 and word.isalpha()) or re.fullmatch(r"(\w\.)+\w", word):
        return False
    # 3. Mai, a numbered heading; a large number
    if word.isdigit() and (len(word) < 3 or following.isdigit()):
        return False
    return word.lower() not in _SHORT
