"""The numbers of the tokens of one side: those of a Marian model, and those of this program.

Here the special tokens come first: <pad>, <unk>, <s> and </s>. A Marian model begins an output with its
<pad> and has no <s>: so its <pad> is <s> here, and the <pad> of this program has a bias that bans it. A model
of two vocabularies may begin with another token: then <s> is a copy of it, and has such a bias.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from seq2attn.data.tokenizer import BOS, EOS, PAD, SPECIALS, UNK
from seq2attn.errors import UserError

NO_ROW = -1  # place of a token that the Marian model does not have
OWN_IDS = {"eos": 0, "unk": 1, "pad": 2}  # in what is written: the same on both sides


class Vocabulary(NamedTuple):
    """The tokens of one side in the order of this program."""

    names: list[str]  # behind SPECIALS
    places: list[int]  # of each token in the Marian model, SPECIALS first; NO_ROW: it has none
    banned: list[int]  # tokens that are not of the Marian model, so that it never writes them


def read(tree: Any, size: int, end: int, start: int | None, where: str) -> Vocabulary:
    """The vocabulary of vocab.json (`tree`), of a side with `size` tokens. `end` is the number of its </s>,
    and `start` that of the token with which outputs begin; None: nothing begins with it, it is a source.

    Raises UserError, which names `where`, for what does not fit.
    """
    if not isinstance(tree, dict) or not all(type(place) is int for place in tree.values()):
        raise UserError(f"{where}: it is no list of tokens with their numbers")
    if len(tree) != size or set(tree.values()) != set(range(size)):
        raise UserError(f"{where}: its {len(tree):,} tokens are not numbered from 0 to {size - 1:,}")
    unk, pad = tree.get("<unk>"), tree.get("<pad>", NO_ROW)
    if unk is None or tree.get("</s>") != end:
        raise UserError(f"{where}: <unk> is missing, or the number of </s> is not eos_token_id, {end}")
    start = pad if start is None else start
    if start >= size:
        raise UserError(f"{where}: there is no token decoder_start_token_id, {start}")
    starts_with_pad = pad == start
    special = {unk, end, pad}
    rest = sorted((place, name) for name, place in tree.items() if place not in special)
    first = {PAD: NO_ROW if starts_with_pad else pad, UNK: unk, BOS: start, EOS: end}
    places = [first[i] for i in range(len(SPECIALS))] + [place for place, _ in rest]
    banned = [PAD] if places[PAD] == NO_ROW else []
    return Vocabulary([name for _, name in rest], places, banned if starts_with_pad else [*banned, BOS])


def numbered(names: Sequence[str]) -> dict[str, int]:
    """vocab.json for the tokens `names` behind SPECIALS."""
    return {"</s>": OWN_IDS["eos"], "<unk>": OWN_IDS["unk"], "<pad>": OWN_IDS["pad"]} | {
        name: place for place, name in enumerate(names, len(OWN_IDS))
    }


def order_of(size: int) -> list[int]:
    """For each token of `numbered` the one of this program, in a vocabulary of `size` with SPECIALS."""
    return [EOS, UNK, BOS, *range(len(SPECIALS), size)]
