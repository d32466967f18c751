"""Words of captions as coco-caption counts them, without Java.

They are the Penn Treebank tokens of Stanford's PTBTokenizer, in lower case and without punctuation. The rules
are for English. Text in another script is split at spaces and punctuation. This module knows no metric and no
file.
"""

import re
import unicodedata

from seq2attn.evaluation.form import comparable

# What coco-caption leaves out. Its tokenizer lowers the case of -LRB- first, so brackets stay words there
# (-lrb-), as do runs such as `!!` and `?!`:
# they stay words here too, or the scores would not be its scores.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)

_BRACKETS = {"(": " -lrb- ", ")": " -rrb- ", "[": " -lsb- ", "]": " -rsb- ", "{": " -lcb- ", "}": " -rcb- "}
_CHARACTERS = (
    {"…": "...", "€": " $ "}
    | dict.fromkeys("‘’‛‚", "'")
    | dict.fromkeys("“”„«»", '"')
    | dict.fromkeys("–—", " -- ")
    | dict.fromkeys("£¢", " # ")
)
_UNSEEN = dict.fromkeys("\u00ad\u200b\u200c\u200d\ufeff", "")  # soft hyphens, joiners
_REPLACED = str.maketrans(_CHARACTERS | _BRACKETS | _UNSEEN)
_ENTITY = re.compile("&(amp|lt|gt|quot|apos);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
# pictographs and what is no character: the tokenizer drops them
_NOT_TEXT = ("So", "Cn", "Co", "Cs", "Cc", "Cf")

# \w leaves combining marks out
_MARKS = r"\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u109f\u20d0-\u20ff"
_LETTER = rf"(?:[^\W_]|[{_MARKS}])"
_ABBREVIATIONS = (
    "mr mrs ms messrs dr drs prof st ste mt ft jr sr bros inc ltd co corp vs etc gen col lt sgt capt cpl "
    "maj gov sen rep rev hon pres adm ave blvd rd jan feb mar apr jun jul aug sep sept oct nov dec ph.d esq "
    "al dept univ assn est"
)
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())
_PIECE = re.compile(
    rf"""
    (?P<bracket> -[lr][rsc]b- )
  | (?P<link> (?:https?|ftp)://[^\s"<>]*[\w/] | www\.[\w.-]*\w(?:/[^\s"<>]*[\w/])?
            | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+ | </?[a-z][^<>\s]*> )
  | (?P<time> \d\d?:\d\d )(?=[ap]m\b)
  | (?P<number> (?:(?<![^\s$#~])[-+])?(?:\d+(?:[.,:/]\d+)*|(?<!\w)\.\d+) )(?!{_LETTER}|[-&_.'/]{_LETTER})
  | (?P<decade> '\d0s\b )
  | (?P<clitic> (?:(?<!\S)n't|'(?:s|m|d|re|ve|ll))(?!{_LETTER}) | (?<![\w'-])no\.(?=\s*\d) )
  | (?P<word> (?:(?<!\S)[#@](?=[a-z]))?{_LETTER}+
            (?:(?:[-/_.']|(?-i:(?<=[A-Z])&(?=[A-Z]))){_LETTER}+|(?<=\d),(?=\d)\d+)* )
  | (?P<elided> '(?:tis|twas|em|cause|til|n'|n)(?!{_LETTER}) )
  | (?P<run> \.(?:[ ]?\.)+ | --+ | [?!]+ | ``|'' | _+ )
  | (?P<sign> \S )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CLITIC = re.compile(r"(.+?)(n't|'(?:s|m|d|re|ve|ll))")
_WHOLE = re.compile(r"(?:o|d|l|ma)'.+")  # o'clock, d'oh, ma'am
_TWO = {
    word.replace("+", ""): tuple(word.split("+"))
    for word in ("can+not", "gon+na", "wan+na", "got+ta", "lem+me", "gim+me", "'t+is", "'t+was", "y'+all")
}


def tokens(caption: str) -> tuple[str, ...]:
    """The words of one caption, in order and in the form in which texts are compared.

    No word holds white space. A text may have no words. No text is an error.
    """
    text = _ENTITY.sub(lambda match: _ENTITIES[match[1]], comparable(caption)).translate(_REPLACED)
    words: list[str] = []
    end = -1
    for match in _PIECE.finditer(text):
        piece, kind = comparable(match[0], lowercase=True), match.lastgroup
        if kind == "word":
            words += _words(piece)
            if text[match.end() : match.end() + 1] == "." and _abbreviated(match[0]):
                words[-1] += "."
                end = match.end()
        elif kind == "elided":
            words += _TWO.get(piece, (piece,))
        elif kind == "run" and piece.startswith((".", "-")):
            continue  # dots and dashes
        elif not (
            match.start() == end
            or (kind == "sign" and (piece == '"' or unicodedata.category(match[0]) in _NOT_TEXT))
        ):
            words.append(piece)
    return tuple(word for word in words if word not in PUNCTUATION)


def _words(piece: str) -> list[str]:
    if piece in _TWO:
        return list(_TWO[piece])
    clitic = _CLITIC.fullmatch(piece)
    if clitic is not None:
        return [*_words(clitic[1]), clitic[2]]
    if _WHOLE.fullmatch(piece):
        return [piece]
    return [word for word in piece.split("'") if word]


def _abbreviated(word: str) -> bool:
    """Whether a full stop after `word` belongs to it: mr., u.s., the initial C."""
    letters = word.split(".")
    initials = all(len(letter) == 1 and letter.isalpha() for letter in letters)
    return word.lower() in _ABBREVIATED or (initials and (len(letters) > 1 or word.isupper()))
