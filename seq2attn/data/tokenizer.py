"""Text to subword ids and exactly back, with the SentencePiece model of one side, in one file.

SentencePiece only segments. This module brings text to NFC (and, as options, to lower case and to plain
marks), and keeps white space. It joins subwords to text without SentencePiece, so that
`decode(encode(text))` is `text` in NFC if every character is known. It knows no corpus and no model.
"""

import io
import json
import math
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
from seq2attn.data import marks
from seq2attn.data.formats import sentencepiece_model
from seq2attn.data.formats.sentencepiece_model import Subword
from seq2attn.errors import UserError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")

SPACE = "▁"  # how SentencePiece writes a space
STAND_IN = "\ufdd0"  # a noncharacter carries a written "▁" through SentencePiece
UNKNOWN = "⁇"  # the text of an unknown token
SAMPLE = 400_000  # texts on which to train, at most
SAMPLE_CHARACTERS = 1000  # characters of one of these texts, at most; SentencePiece skips longer ones
KINDS = ("unigram", "bpe", "char", "word")
SAMPLED_KINDS = ("unigram", "bpe")  # those that cut a text in several ways
UNKNOWN_NATS = 5.0  # what a character that is not in the vocabulary costs beside a subword
_LARGEST = 1 << 28  # bytes of a file, at most
_SAMPLES = threading.Lock()  # the seed of SentencePiece is one for the whole process
_UNSEEDED = 2**32 - 1  # with this one, SentencePiece draws other samples each time
_TRAILER = b'{"seq2attn_tokenizer":'


class VocabularyTooLarge(UserError):
    """The text does not hold `vocab_size` subwords; it holds `largest`."""

    def __init__(self, vocab_size: int, largest: int) -> None:
        problem = f"the text does not hold a vocabulary of {vocab_size}: the largest possible is {largest}"
        super().__init__(f"{problem} (set `vocab_size` to {largest})", setting="vocab_size")
        self.largest = largest


class Tokenizer:
    """Text to ids of one vocabulary, and back.

    The vocabulary holds the special tokens PAD, UNK, BOS and EOS, and then subwords of one of KINDS.
    """

    def __init__(self, model: bytes, kind: str, lowercase: bool, plain_marks: str = "none") -> None:
        self.kind = kind
        self.lowercase = lowercase
        self.model = model  # of SentencePiece
        self.plain_marks = plain_marks  # the sides whose marks become plain ones: one of marks.SIDES
        self._target: Tokenizer | None = None
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.size: int = self._processor.get_piece_size()
        # An unknown word takes up the space before it.
        unknown = SPACE + UNKNOWN if kind == "word" else UNKNOWN
        subwords = [self._processor.id_to_piece(i) for i in range(len(SPECIALS), self.size)]
        self.vocabulary = [*SPECIALS, *subwords]  # as SentencePiece writes them, by id
        self._surfaces = ["", unknown, "", "", *(subword.replace(SPACE, " ") for subword in subwords)]
        self._surfaces[UNK] = unknown.replace(SPACE, " ")
        self._subwords = [*SPECIALS, *(subword.replace(STAND_IN, SPACE) for subword in subwords)]
        self._words = (
            {subword: i for i, subword in enumerate(subwords, len(SPECIALS))} if kind == "word" else {}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.model, self.kind, self.lowercase, self.plain_marks)

    @property
    def of_target(self) -> "Tokenizer":
        """The same vocabulary for targets, whose marks may stay as they are."""
        if self.plain_marks != "source":
            return self
        if self._target is None:
            self._target = object.__new__(Tokenizer)  # with the same processor, which is large
            self._target.__dict__.update(self.__dict__, plain_marks="none", _target=None)
        return self._target

    def normal(self, text: str) -> str:
        """The text as its subwords write it: in NFC and, as set, in lower case and with plain marks."""
        text = normalise(text, self.lowercase)
        return text if self.plain_marks == "none" else marks.plain(text)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        kind: str = "unigram",
        lowercase: bool = False,
        seed: int = 1,
        markers: str = "",
    ) -> Self:
        """A tokenizer for `texts` (for at most SAMPLE of them, sampled by `seed`).

        Each character of `markers` is a subword of its own, also where the texts do not have it. `vocab_size`
        counts them and the special tokens. It is exact for unigram and bpe, and an upper bound for char and
        word. Every character of the texts gets a subword, unless that makes the vocabulary impossible;
        then the rarest 0.05 % of the running text get none. Raises VocabularyTooLarge if the texts do not
        hold `vocab_size` subwords, and UserError with the smallest possible size if they need more.
        """
        sample = list(training_texts(texts, lowercase, seed))
        if not sample:
            raise UserError("there is no text to train a tokenizer on")
        try:
            model = _train(sample, vocab_size, kind, 1.0, seed, markers)
        except _TooManyCharacters as needed:
            try:
                model = _train(sample, vocab_size, kind, 0.9995, seed, markers)
            except _TooManyCharacters as still_needed:
                every = "" if str(needed) == str(still_needed) else f" ({needed} to cover every one)"
                problem = f"a vocabulary of {vocab_size} is too small for the characters of the text"
                raise UserError(
                    f"{problem}: set `vocab_size` to {still_needed} or more{every}", setting="vocab_size"
                ) from None
        return cls(model, kind, lowercase)

    def with_subwords(self, subwords: Iterable[Subword]) -> Self:
        """The same vocabulary with more subwords after those that it has, whose ids and scores stay."""
        model = sentencepiece_model.with_subwords(self.model, subwords)
        return type(self)(model, self.kind, self.lowercase, self.plain_marks)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """The tokenizer that `save` wrote. Raises UserError if the file is missing, changed or damaged."""
        try:
            if Path(path).stat().st_size > _LARGEST:
                way_out = "make it again with `seq2attn prepare`"
                raise UserError(f"{path}: larger than any tokenizer of seq2attn; {way_out}")
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
                raise ValueError("an unknown kind")
            if (plain_marks := facts.get("plain_marks", "none")) not in marks.SIDES:
                raise ValueError("an unknown side")
            tokenizer: Tokenizer
            if "size" in facts:
                from seq2attn.data import marian_tokenizer  # it is a kind of this class

                tokenizer = marian_tokenizer.load(model, facts)
            else:
                sentencepiece_model.refuse_rules(model)
                tokenizer = cls(model, facts["kind"], facts["lowercase"], plain_marks)
            specials = [
                tokenizer._processor.id_to_piece(place) for place in range(min(len(SPECIALS), tokenizer.size))
            ]
            if tokenizer.size <= len(SPECIALS) or tuple(specials) != SPECIALS:
                raise ValueError("other special tokens")
            return tokenizer
        except (ValueError, KeyError, TypeError, RuntimeError, OSError, IndexError):
            way_out = "make it again with `seq2attn prepare`"
            raise UserError(f"{path}: not a tokenizer of seq2attn, or damaged; {way_out}") from None

    def save(self, path: Path) -> None:
        """Write the file, completely or not at all. Raises UserError if it cannot be written."""
        files.write(Path(path), self.content())

    def content(self) -> bytes:
        """The file that `save` writes."""
        facts = json.dumps({"seq2attn_tokenizer": self._facts}, separators=(",", ":")).encode()
        # Field 200 of the protocol buffer, in the range that SentencePiece leaves to others: every
        # SentencePiece program still reads the file.
        return self.model + bytes([0xC2, 0x0C, len(facts)]) + facts

    @property
    def _facts(self) -> dict[str, object]:
        """What the file says beside the model."""
        facts = {"kind": self.kind, "lowercase": self.lowercase, "crc32": zlib.crc32(self.model)}
        return facts if self.plain_marks == "none" else facts | {"plain_marks": self.plain_marks}

    def encode(self, text: str) -> list[int]:
        """Ids without BOS and EOS. The name of a special token in the text is plain text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        normal = [self.normal(text) for text in texts]
        # SentencePiece joins neighbouring unknown words into one token; here each is one
        if self.kind == "word":
            return [self._encode_words(text) for text in normal]
        # One thread: parallel work is done by processes.
        ids: list[list[int]] = self._processor.encode(
            [text.replace(SPACE, STAND_IN) for text in normal], num_threads=1
        )
        return ids

    def cut(self, text: str) -> list[str]:
        """The text as subwords of SentencePiece, "▁" for a space. What is not in the vocabulary is there as
        it stands in the text, and neighbouring unknown characters are one.
        """
        text = self.normal(text).replace(SPACE, STAND_IN)
        subwords: list[str] = self._processor.encode(text, out_type=str)
        return subwords

    def sample(self, texts: Iterable[str], amount: float, seed: int) -> list[list[int]]:
        """As `encode_batch`, but each text is cut into subwords at random.

        A bpe tokenizer skips each merge with probability `amount` (Provilkov 2020). A unigram tokenizer draws
        from all ways to cut the text, each with its probability to the power of `amount` (Kudo 2018). Raises
        ValueError for other tokenizers. The same texts, amount and seed (below 2**32 - 1) give the same ids.
        """
        if self.kind not in SAMPLED_KINDS:
            raise ValueError(f"a {self.kind} tokenizer has one way to cut a text")
        with _SAMPLES:
            # A call draws in a thread of its own, whose generator starts from the seed that is set now.
            sentencepiece.set_random_generator_seed(seed)
            ids = self._draw(texts, amount)
            sentencepiece.set_random_generator_seed(_UNSEEDED)
        return ids

    def _draw(self, texts: Iterable[str], amount: float) -> list[list[int]]:
        """See `sample`."""
        ids: list[list[int]] = self._processor.encode(
            [self.normal(text).replace(SPACE, STAND_IN) for text in texts],
            num_threads=1,
            enable_sampling=True,
            alpha=amount,
            nbest_size=-1,
        )
        return ids

    def _encode_words(self, text: str) -> list[int]:
        if not text:
            return []
        words = text.replace(SPACE, STAND_IN).split(" ")
        ids = (self._words.get(SPACE + word, UNK if word else PAD) for word in words)
        return [i for i in ids if i != PAD]  # PAD is a second space, which the vocabulary does not have

    def description_length(self, text: str) -> float:
        """The length of the text, in nats, if it is written in the subwords of this vocabulary.

        A subword of a unigram vocabulary costs -ln of its probability, and of another one ln of the size of
        the vocabulary. A character that the vocabulary does not have costs as much as UNKNOWN_NATS more.
        """
        text = self.normal(text).replace(SPACE, STAND_IN)
        nats, rare = 0.0, math.log(self.size)
        for subword in self._processor.encode(text, out_type=str):
            i = self._processor.piece_to_id(subword)
            if i == UNK:
                nats += len(subword.removeprefix(SPACE)) * (rare + UNKNOWN_NATS)
            else:
                nats += -self._processor.get_score(i) if self.kind == "unigram" else rare
        return nats

    def decode(self, ids: Sequence[int], unknown: Iterable[str | None] = ()) -> str:
        """The text of the tokens; PAD, BOS and EOS are dropped. Each UNK becomes the next of the texts
        `unknown`, or UNKNOWN for None and after the last of them.
        """
        surfaces = [self._surfaces[i] for i in ids]
        for place, text in zip((place for place, i in enumerate(ids) if i == UNK), unknown, strict=False):
            if text is not None:
                surfaces[place] = surfaces[place].replace(UNKNOWN, text)
        return "".join(surfaces).removeprefix(" ").replace(STAND_IN, SPACE)

    def subwords(self, ids: Sequence[int]) -> list[str]:
        """The subwords as text for people: "▁" for a space, special tokens by name."""
        return [self._subwords[i] for i in ids]

    @property
    def scores(self) -> list[float]:
        """The score of each entry by id, by which SentencePiece chooses among ways to cut a text: a log
        probability (unigram), or the higher, the earlier a merge (bpe).
        """
        return [self._processor.get_score(i) for i in range(self.size)]

    def word_index(self, ids: Sequence[int]) -> list[int]:
        """For each id the index in `decode(ids).split()` of its word; -1 if it has none.

        That is the word of its first character other than white space.
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
    """The text in NFC, and in lower case with `lowercase`.

    An unpaired surrogate, which JSON escapes can express, becomes U+FFFD.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if _LONE_SURROGATE.search(text):
            text = _LONE_SURROGATE.sub("\ufffd", text)
    return text.lower() if lowercase else text


def is_changed(text: str) -> bool:
    """Whether `normalise` changes the text, apart from its case."""
    return not text.isascii() and (
        not unicodedata.is_normalized("NFC", text) or bool(_LONE_SURROGATE.search(text))
    )


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile("<(pad|unk|s|/s)>")


def training_texts(texts: Iterable[str], lowercase: bool, seed: int) -> Iterator[str]:
    """The texts to train on (at most SAMPLE, sampled by `seed`), without special tokens and without
    characters that SentencePiece reserves.

    SentencePiece would skip texts that have them.
    """
    for text in _sample(texts, seed):
        text = normalise(text[:SAMPLE_CHARACTERS], lowercase).replace(SPACE, STAND_IN)
        text = _SPECIAL.sub(r"< \1 >", text).replace("\0", "").replace("▅", "").replace("\n", " ")
        if text.strip():
            yield text


def _sample(texts: Iterable[str], seed: int) -> Iterable[str]:
    """At most SAMPLE of the texts, each with equal probability (reservoir sampling), in constant memory."""
    rng = random.Random(seed)
    sample: list[str] = []
    for number, text in enumerate(texts):
        if number < SAMPLE:
            sample.append(text)
        else:
            place = rng.randrange(number + 1)
            if place < SAMPLE:
                sample[place] = text
    return sample


class _TooManyCharacters(Exception):
    pass


def _train(texts: list[str], vocab_size: int, kind: str, coverage: float, seed: int, markers: str) -> bytes:
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
                user_defined_symbols=list(markers),
                hard_vocab_limit=kind in ("unigram", "bpe"),
                num_threads=4,  # fixed, because sums and so subwords depend on it
                minloglevel=3,
            )
        except Exception as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            failures.append(error)

    # In a thread, because otherwise Ctrl-C would wait for the end of the training.
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
