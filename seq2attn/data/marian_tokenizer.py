"""The tokenizer of one side of a Marian model: a SentencePiece model of others, and a vocabulary beside it.

A Marian model numbers its tokens in a list of its own (`vocab.json`), which may hold tokens of the other
side, and codes of languages as ">>fra<<". `convert` writes a SentencePiece model with the numbers of this
program: the special tokens, then the list, then subwords that are not in the list and so are unknown tokens.
The model may have rules of normalisation, as NFKC: then a text comes back in another form than it had.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from seq2attn.data.formats import sentencepiece_model, sentencepiece_parts
from seq2attn.data.formats.sentencepiece_model import Subword
from seq2attn.data.formats.sentencepiece_parts import CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Piece
from seq2attn.data.tokenizer import SPACE, SPECIALS, STAND_IN, UNK, Tokenizer
from seq2attn.errors import UsageError
from seq2attn.strict_json import whole_text

_CODE = re.compile(">>[^ <>]+<<")  # of a language, at the beginning of a text


class MarianTokenizer(Tokenizer):
    """Text to ids of one vocabulary, and back, by the rules of the SentencePiece model alone."""

    def __init__(self, model: bytes, kind: str, size: int) -> None:
        """`size` is that of the vocabulary. The model may have more subwords: they are unknown tokens."""
        super().__init__(model, kind, False)
        self.size = size
        names = [name.removeprefix(STAND_IN) for name in self.vocabulary[len(SPECIALS) : size]]
        self.vocabulary = [*SPECIALS, *names]
        self._subwords = self.vocabulary
        self._surfaces[len(SPECIALS) :] = [name.replace(SPACE, " ") for name in names]
        self._numbers = {name: i for i, name in enumerate(names, len(SPECIALS))}

    def __reduce__(self) -> tuple[Any, ...]:
        return MarianTokenizer, (self.model, self.kind, self.size)

    @classmethod
    def convert(cls, model: bytes, names: Sequence[str]) -> Self:
        """The tokenizer of a SentencePiece model for the vocabulary SPECIALS, `names`.

        Raises ValueError for a model or names that it cannot read.
        """
        sentencepiece_model.refuse_unsound_rules(model)
        parts = sentencepiece_parts.read(model)
        texts = (NORMAL, USER_DEFINED)
        pieces = (piece for piece in parts.pieces if piece.type in texts and piece.text not in SPECIALS)
        own = {piece.text: piece for piece in pieces}
        known = set(names)
        if len(known) < len(names) or any(STAND_IN in name or not name for name in (*names, *own)):
            raise ValueError("its vocabulary has a token twice, or one without a name")
        hidden = SPECIALS if parts.kind == "unigram" else {*SPECIALS, *known}
        listed = [
            # merges (bpe) would go through an unused subword: so it has a name that is in no text
            own.get(name) or Piece(STAND_IN + name if name in hidden else name, 0.0, UNUSED)
            for name in names
        ]
        specials = [Piece(name, 0.0, UNKNOWN if i == UNK else CONTROL) for i, name in enumerate(SPECIALS)]
        others = [piece for name, piece in own.items() if name not in known]
        together = [*specials, *listed, *others]
        return cls(
            sentencepiece_parts.write(parts._replace(pieces=together)),
            parts.kind,
            len(specials) + len(listed),
        )

    @property
    def _facts(self) -> dict[str, object]:
        return super()._facts | {"size": self.size}

    def with_subwords(self, subwords: Iterable[Subword]) -> Self:
        problem = "the vocabulary of an imported model cannot get more subwords: leave it out"
        raise UsageError(f"extend_vocabulary: {problem}", setting="extend_vocabulary")

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        return self._encode(texts)

    def _draw(self, texts: Iterable[str], amount: float) -> list[list[int]]:
        return self._encode(texts, enable_sampling=True, alpha=amount, nbest_size=-1)

    def _encode(self, texts: Iterable[str], **how: Any) -> list[list[int]]:
        codes, rests = zip(*map(self._split, texts), strict=True) if (texts := list(texts)) else ((), ())
        # by name: characters that the model does not know may be a token of the other side
        encoded = self._processor.encode(list(rests), out_type=str, num_threads=1, **how)
        return [
            [*code, *(self._numbers.get(subword, UNK) for subword in subwords)]
            for code, subwords in zip(codes, encoded, strict=True)
        ]

    def decode(self, ids: Sequence[int], unknown: Iterable[str | None] = ()) -> str:
        return super().decode(ids, unknown).strip(" ")

    def word_numbers(self, text: str) -> list[int]:
        """For each id of `encode(text)` the index in `text.split()` of its word; -1 for white space."""
        code, rest = self._split(text)
        content = rest.encode()
        message = self._processor.encode(rest, out_type="serialized_proto")
        spans = [
            {number: value for number, value in sentencepiece_model.fields(piece) if isinstance(value, int)}
            for field, piece in sentencepiece_model.fields(message)
            if field == 2 and isinstance(piece, bytes)
        ]
        before = len(text) - len(rest)  # characters; a surrogate stands for one, before and after
        words, word, inside = [], -1, False  # of each character, where it is no white space
        for character in text:
            word += not character.isspace() and not inside
            inside = not character.isspace()
            words.append(word)
        place_at = _characters(content)
        numbers = [0] * len(code)
        for span in spans:
            places = range(before + place_at[span.get(4, 0)], before + place_at[span.get(5, 0)])
            numbers.append(next((words[place] for place in places if not text[place].isspace()), -1))
        return numbers

    def _split(self, text: str) -> tuple[list[int], str]:
        """The id of the language at the beginning of a text, in a list, and the rest of the text."""
        text = whole_text(text)
        code = _CODE.match(text)
        if code is None or code[0] not in self._numbers:
            return [], text
        return [self._numbers[code[0]]], text[code.end() :]


def _characters(content: bytes) -> list[int]:
    """The number of the character that begins at or before each byte, and the count of all at the end."""
    starts = [byte & 0xC0 != 0x80 for byte in content]
    numbers, count = [], -1
    for start in starts:
        count += start
        numbers.append(count)
    return [*numbers, count + 1]


def load(model: bytes, facts: dict[str, Any]) -> MarianTokenizer:
    """The tokenizer of a file that `save` wrote, from its model and what the file says of it.

    Raises ValueError for a damaged one.
    """
    sentencepiece_model.refuse_unsound_rules(model)
    size = facts["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size <= len(SPECIALS):
        raise ValueError("no size")
    tokenizer = MarianTokenizer(model, facts["kind"], size)
    if len(tokenizer.vocabulary) != size:
        raise ValueError("a vocabulary that is too short")
    return tokenizer
