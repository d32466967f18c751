"""The characters of a text's words that each subword covers."""

from collections.abc import Sequence
from itertools import groupby

from seq2attn.data.tokenizer import SPACE, SPECIALS, UNK

_UNKNOWN = SPECIALS[UNK]

_Atom = tuple[int, str | None]  # a subword and one of its characters; None for an unknown subword


def subword_spans(
    words: Sequence[str], subwords: Sequence[str], whole: bool
) -> list[tuple[int, int] | None] | None:
    """The first and the last character that each subword covers, counted over all words without spaces.

    The entry of a subword that is only space is None. The result is None if the subwords do not fit the
    words. With `whole`, the subwords must cover all words.
    """
    groups = _one_each(words, subwords) or _groups(subwords)
    positions = _match_words(groups, words) if len(groups) == len(words) else None
    if positions is None:
        atoms = [atom for group in groups for atom in group]
        positions = _match(atoms, "".join(words), whole)
    if positions is None:
        return None
    covered = [positions.get(subword, []) for subword in range(len(subwords))]
    return [(min(characters), max(characters)) if characters else None for characters in covered]


def _match_words(groups: Sequence[list[_Atom]], words: Sequence[str]) -> dict[int, list[int]] | None:
    """The characters of each subword if each group fits its word. A subword may reach over several words."""
    positions: dict[int, list[int]] = {}
    start = 0
    for group, word in zip(groups, words, strict=True):
        of_word = _match(group, word, whole=True)
        if of_word is None:
            return None
        for subword, covered in of_word.items():
            positions.setdefault(subword, []).extend(start + position for position in covered)
        start += len(word)
    return positions


def _groups(subwords: Sequence[str]) -> list[list[_Atom]]:
    """The characters of the subwords, in groups that spaces separate."""
    groups: list[list[_Atom]] = []
    inside = False
    for number, subword in enumerate(subwords):
        atoms: list[str | None] = [None] if subword == _UNKNOWN else list(_key(subword))
        for atom in atoms:
            if atom is not None and (atom == SPACE or atom.isspace()):
                inside = False
                continue
            if not inside:
                groups.append([])
            inside = True
            groups[-1].append((number, atom))
    return groups


def _one_each(words: Sequence[str], subwords: Sequence[str]) -> list[list[_Atom]] | None:
    """Groups of one subword for each word, if there are as many, known or not.

    An unknown subword contains the space before it.
    """
    with_text = [number for number, subword in enumerate(subwords) if subword.replace(SPACE, " ").strip()]
    if len(with_text) != len(words):
        return None
    groups: list[list[_Atom]] = []
    for number, word in zip(with_text, words, strict=True):
        if subwords[number] != _UNKNOWN and _key(subwords[number]).strip(SPACE) != _key(word).strip(SPACE):
            return None
        groups.append([(number, None)])
    return groups


def _match(atoms: Sequence[_Atom], text: str, whole: bool) -> dict[int, list[int]] | None:
    """The positions in `text` that each subword covers, or None if they do not fit.

    Unknown subwords share what is between known ones: a character each, and the rest for the last.
    """
    parts = ((place, part) for place, character in enumerate(text) for part in _key(character))
    keys = [(part, place) for place, part in parts if part != SPACE]
    key = "".join(part for part, _ in keys)
    positions: dict[int, list[int]] = {}
    position = 0
    runs = [(known, list(run)) for known, run in groupby(atoms, lambda atom: atom[1] is not None)]
    for number, (known, run) in enumerate(runs):
        if known:
            surface = "".join(character or "" for _, character in run)
            if not key.startswith(surface, position):
                return None
            for offset, (subword, _) in enumerate(run):
                positions.setdefault(subword, []).append(keys[position + offset][1])
            position += len(surface)
            continue
        end = len(key)
        if number + 1 < len(runs):
            surface = "".join(character or "" for _, character in runs[number + 1][1])
            if whole and number + 2 == len(runs):
                end = len(key) - len(surface)
            else:
                end = key.find(surface, min(position + len(run), len(key)))
                end = key.find(surface, position) if end < 0 else end
            if end < position:
                return None
        for place, (subword, _) in enumerate(run):
            stop = end if place == len(run) - 1 else position + place + 1
            positions[subword] = [
                keys[key_index][1] for key_index in range(min(position + place, end), min(stop, end))
            ]
        position = end
    return None if whole and position < len(key) else positions


def _key(text: str) -> str:
    """The form in which subwords and words are compared. A tokenizer may write lower case."""
    return text.lower().replace("ς", "σ")
