"""Text to sub-word ids and exactly back: one side's SentencePiece model in one file. It knows no corpus and
no model.

SentencePiece only cuts: text is NFC-normalised (and lower-cased, when asked) here, white space is kept as it
is, and
decoding is our own join of the pieces, so that `decode(encode(text))` is `text` in NFC wherever every
character is known.
"""

import io
import json
import random
import re
import threading
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import sentencepiece

from seq2attn import files, strict_json
from seq2attn.data.formats import sentencepiece_model
from seq2attn.errors import UserError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")

SPACE = "▁"  # how SentencePiece writes a space
STAND_IN = "\ufdd0"  # a noncharacter carries a written "▁" through SentencePiece
UNKNOWN = "⁇"  # what an unknown piece reads as
SAMPLE = 400_000  # texts that training looks at, at most
SAMPLE_CHARACTERS = 1000  # of one text that training looks at, at most: SentencePiece skips longer ones
KINDS = ("unigram", "bpe", "char", "word")
_LARGEST = 1 << 28  # bytes of a file
_TRAILER = b'{"seq2attn_tokenizer":'


class VocabularyTooLarge(UserError):
    """The text does not hold `vocab_size` subwords; it holds `largest`."""

    def __init__(self, vocab_size: int, largest: int) -> None:
        problem = f"the text does not hold a vocabulary of {vocab_size}: the largest possible is {largest}"
        super().__init__(f"{problem} (set `vocab_size` to {largest})", setting="vocab_size")
        self.largest = largest


class Tokenizer:
    """Text <-> ids of one vocabulary: pieces of kind unigram, bpe, char or word behind the four specials PAD,
    UNK, BOS, EOS.
    """

    def __init__(self, model: bytes, kind: str, lowercase: bool) -> None:
        self.kind = kind
        self.lowercase = lowercase
        self._model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.size: int = self._processor.get_piece_size()
        # an unknown word swallows the space before it
        unknown = SPACE + UNKNOWN if kind == "word" else UNKNOWN
        pieces = [self._processor.id_to_piece(i) for i in range(len(SPECIALS), self.size)]
        self.vocabulary = [*SPECIALS, *pieces]  # as SentencePiece writes them, by id
        self._surfaces = ["", unknown, "", "", *(piece.replace(SPACE, " ") for piece in pieces)]
        self._surfaces[UNK] = unknown.replace(SPACE, " ")
        self._shown = [*SPECIALS, *(piece.replace(STAND_IN, SPACE) for piece in pieces)]
        self._words = {piece: i for i, piece in enumerate(pieces, len(SPECIALS))} if kind == "word" else {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self._model, self.kind, self.lowercase)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        kind: str = "unigram",
        lowercase: bool = False,
        seed: int = 1,
    ) -> Self:
        """A tokenizer for `texts` (at most SAMPLE of them are looked at, drawn by `seed`).

        `vocab_size` counts the specials; it is exact for unigram and bpe, an upper bound for char and word.
        Every character of the
        texts gets a piece unless that makes the vocabulary impossible; then the rarest 0.05 % of the running
        text go without.
        Raises VocabularyTooLarge when the texts do not hold `vocab_size` pieces, UserError with the smallest
        size when they need more.
        """
        sample = list(_bounded(texts, lowercase, seed))
        if not sample:
            raise UserError("there is no text to train a tokenizer on")
        try:
            model = _train(sample, vocab_size, kind, 1.0, seed)
        except _TooManyCharacters as needed:
            try:
                model = _train(sample, vocab_size, kind, 0.9995, seed)
            except _TooManyCharacters as still_needed:
                every = "" if str(needed) == str(still_needed) else f" ({needed} to cover every one)"
                problem = f"a vocabulary of {vocab_size} is too small for the characters of the text"
                raise UserError(
                    f"{problem}: set `vocab_size` to {still_needed} or more{every}", setting="vocab_size"
                ) from None
        return cls(model, kind, lowercase)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises UserError when the file is missing or is not, whole and unchanged, what `save` wrote."""
        try:
            if Path(path).stat().st_size > _LARGEST:
                raise UserError(
                    f"{path}: larger than any tokenizer of seq2attn; make it again with `seq2attn prepare`"
                )
            data = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        start = data.rfind(_TRAILER)
        try:
            facts = strict_json.parse(data[start:].decode("utf-8"))["seq2attn_tokenizer"]
            model = data[: start - 3]
            if start < 3 or facts["crc32"] != zlib.crc32(model):
                raise ValueError("changed")
            if facts["kind"] not in KINDS or not isinstance(facts["lowercase"], bool):
                raise ValueError("no tokenizer of seq2attn is like this")
            sentencepiece_model.refuse_rules(model)
            tokenizer = cls(model, facts["kind"], facts["lowercase"])
            specials = [
                tokenizer._processor.id_to_piece(place) for place in range(min(len(SPECIALS), tokenizer.size))
            ]
            if tokenizer.size <= len(SPECIALS) or tuple(specials) != SPECIALS:
                raise ValueError("not the special pieces of seq2attn")
            return tokenizer
        except (ValueError, KeyError, TypeError, RuntimeError, OSError, IndexError):
            raise UserError(
                f"{path}: not a tokenizer of seq2attn, or damaged; make it again with `seq2attn prepare`"
            ) from None

    def save(self, path: Path) -> None:
        """Whole, or not at all. Raises UserError when it cannot be written."""
        path = Path(path)
        facts = json.dumps(
            {
                "seq2attn_tokenizer": {
                    "kind": self.kind,
                    "lowercase": self.lowercase,
                    "crc32": zlib.crc32(self._model),
                }
            },
            separators=(",", ":"),
        ).encode()
        # Field 200 of the protocol buffer, in the range that SentencePiece leaves to others: every
        # SentencePiece program still reads the file.
        trailer = bytes([0xC2, 0x0C, len(facts)]) + facts
        files.write(path, self._model + trailer)

    def encode(self, text: str) -> list[int]:
        """Ids without BOS and EOS. A special written out in the text is plain text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        normal = [normalise(text, self.lowercase) for text in texts]
        # SentencePiece runs neighbouring unknown words together; each is one word here
        if self.kind == "word":
            return [self._encode_words(text) for text in normal]
        # One thread: parallel work is done by processes, each with its own texts.
        ids: list[list[int]] = self._processor.encode(
            [text.replace(SPACE, STAND_IN) for text in normal], num_threads=1
        )
        return ids

    def _encode_words(self, text: str) -> list[int]:
        if not text:
            return []
        words = text.replace(SPACE, STAND_IN).split(" ")
        ids = (self._words.get(SPACE + word, UNK if word else PAD) for word in words)
        return [i for i in ids if i != PAD]  # a second space, where the vocabulary has no piece for it

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the pieces; PAD, BOS and EOS are dropped, UNK reads "⁇"."""
        return "".join([self._surfaces[i] for i in ids]).removeprefix(" ").replace(STAND_IN, SPACE)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as images show them: "▁" for a space, the specials by name."""
        return [self._shown[i] for i in ids]

    def word_index(self, ids: Sequence[int]) -> list[int]:
        """For each id the number of its white-space word, as `decode(ids).split()` counts from 0: of its
        first character that is no white space; -1 where it has none.
        """
        numbers = []
        words, inside = 0, False
        for i in ids:
            number = -1
            for character in self._surfaces[i]:
                if character.isspace():
                    inside = False
                    continue
                if not inside:
                    words, inside = words + 1, True
                if number < 0:
                    number = words - 1
            numbers.append(number)
        return numbers


def normalise(text: str, lowercase: bool = False) -> str:
    """NFC, lower-cased when asked; half of a surrogate pair (no Unicode text has one, JSON escapes can) reads
    U+FFFD.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if _LONE_SURROGATE.search(text):
            text = _LONE_SURROGATE.sub("\ufffd", text)
    return text.lower() if lowercase else text


def is_changed(text: str) -> bool:
    """Whether `normalise` changes the text, but for its case."""
    return not text.isascii() and (
        not unicodedata.is_normalized("NFC", text) or bool(_LONE_SURROGATE.search(text))
    )


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile("<(pad|unk|s|/s)>")


def _bounded(texts: Iterable[str], lowercase: bool, seed: int) -> Iterator[str]:
    """What training looks at: the specials taken apart and the characters that SentencePiece keeps for itself
    left out, for it skips texts that have them.
    """
    for text in _drawn(texts, seed):
        text = normalise(text[:SAMPLE_CHARACTERS], lowercase).replace(SPACE, STAND_IN)
        text = _SPECIAL.sub(r"< \1 >", text).replace("\0", "").replace("▅", "").replace("\n", " ")
        if text.strip():
            yield text


def _drawn(texts: Iterable[str], seed: int) -> Iterable[str]:
    """At most SAMPLE of the texts, each as likely as the other (reservoir sampling), in constant memory."""
    draw = random.Random(seed)
    kept: list[str] = []
    for seen, text in enumerate(texts):
        if seen < SAMPLE:
            kept.append(text)
        else:
            place = draw.randrange(seen + 1)
            if place < SAMPLE:
                kept[place] = text
    return kept


class _TooManyCharacters(Exception):
    pass


def _train(texts: list[str], vocab_size: int, kind: str, coverage: float, seed: int) -> bytes:
    output = io.BytesIO()
    failures: list[Exception] = []

    def work() -> None:
        try:
            sentencepiece.set_random_generator_seed(seed)
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=output,
                model_type=kind,
                vocab_size=vocab_size,
                character_coverage=coverage,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                max_sentence_length=8 * SAMPLE_CHARACTERS,
                hard_vocab_limit=kind in ("unigram", "bpe"),
                num_threads=4,  # fixed: the sums, and so the pieces, depend on it
                minloglevel=3,
            )
        except Exception as error:  # noqa: BLE001 (it is raised again below, in the thread that waits)
            failures.append(error)

    # A thread of its own, for Ctrl-C would otherwise wait until the training is over.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if not failures:
        return output.getvalue()
    message = str(failures[0])
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        raise _TooManyCharacters(match[1])
    if match := re.search(r"too high \(\d+\)\. Please set it to a value <= (\d+)", message):
        raise VocabularyTooLarge(vocab_size, int(match[1]))
    raise failures[0]
