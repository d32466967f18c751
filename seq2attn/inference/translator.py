"""Translation: texts to ids, a search, and hypotheses back to texts, in the order of the texts.

This module prints nothing. On a CPU, in float32, the result of a text depends neither on the other texts nor
on the batch size. CUDA rounds products of other shapes otherwise, which can decide a near tie.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Self, Unpack

import numpy as np
from torch import Tensor

from seq2attn.config import TEXT, Changes, Config
from seq2attn.data.formats.text import is_blank
from seq2attn.data.text.glossary import Glossary
from seq2attn.data.text.protection import mark, mark_as, mark_pair
from seq2attn.data.tokenizer import EOS, PAD, Tokenizer
from seq2attn.errors import UsageError
from seq2attn.inference import forced
from seq2attn.inference.attention_weights import as_arrays
from seq2attn.inference.confidence import without_words
from seq2attn.inference.encoding import encode_texts, listed, pad_sources, refuse_no_strings, truncate_text
from seq2attn.inference.joining import restored
from seq2attn.inference.options import AttentionOption, SearchOptions, Sentences, Shortcuts, with_shortcuts
from seq2attn.inference.phrase_beam import Phrase
from seq2attn.inference.predictor import Predictor
from seq2attn.inference.required import Required, is_spaced, phrase_of, tokens_of, with_phrases
from seq2attn.inference.results import Translation
from seq2attn.inference.scheduling.fork_safety import at_work
from seq2attn.inference.self_attention import SelfAttention, self_attention
from seq2attn.inference.unknown_words import replace_unknown
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.own_code import allow_code as code_allowed
from seq2attn.runs.loading import load_runs, load_tokenizer
from seq2attn.search.step import Hypothesis

MAX_SOURCE = 1024  # tokens of one source; the rest is not read, so that memory and time are bounded
MAX_WORDS = 16 * MAX_SOURCE  # words of one source; the rest has no attention


class Member(NamedTuple):
    """One model of an ensemble. Members share the target vocabulary."""

    model: Seq2Seq
    source_tokenizer: Tokenizer


class Translator(Predictor[list[int], Translation]):
    """Models and tokenizers, ready to translate.

    They are loaded from runs, or built around a model in training.
    """

    unit, replaces_unknown = "text", True

    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        config: Config,
        *,
        languages: tuple[str | None, str | None] = (None, None),
        precision: str = "fp32",
        others: Sequence[Member] = (),
        processes: bool = False,
    ) -> None:
        """An ensemble of the model and `others`, on the device of the model.

        `auto` precision is fp32 here: only fp32 gives the same bits in every batch, and on a CPU alone.

        With `processes`, large calls on a CPU of a Linux system use forked processes instead of threads. They
        are faster, and results are the same to the last bit. The processes have the models as they are at the
        first such call, and run until `close`, or until the translator is deleted. Leave it out if other
        threads compute. A `utility` must then be one that can be pickled, as those of `evaluation.text` can.
        """
        self.source_tokenizer = source_tokenizer
        # Statistics of the source lengths in the training of the first run, if it has them.
        self.source_lengths: Mapping[str, float] | None = None
        self.members = (Member(model, source_tokenizer), *others)
        super().__init__(
            [member.model for member in self.members],
            target_tokenizer,
            config,
            languages,
            precision,
            processes,
        )

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        settings: Changes = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> Self:
        """The translator of a run, or of several joined by commas.

        An ensemble has the languages and search settings of the first run. `processes`: see `__init__`.
        `allow_code` lets a run import and call the code of yours that its settings name.
        `settings` are changed in every run before its model is built: `{"model.attention.temperature": 2}`,
        or as on the command line `["model.attention.temperature=2"]`.

        Raises UserError if a run is missing, incomplete, damaged, from a newer version, or has another target
        vocabulary. Raises UsageError for a setting that is wrong, that only training uses, that has no effect
        on any of the runs, or that changes the shape of a parameter.
        """
        with at_work("cpu" if device == "cpu" else "cuda"), code_allowed(allow_code):
            loaded = load_runs(run, device, precision, settings, TEXT)
        members = [
            Member(model, load_tokenizer(run.source_tokenizer, run.source_size, loaded.tokenizers))
            for model, run in zip(loaded.models, loaded.runs, strict=True)
        ]
        first = loaded.runs[0]
        translator = cls(
            *members[0],
            loaded.target_tokenizer,
            first.config,
            languages=first.languages,
            precision=precision,
            others=members[1:],
            processes=processes,
        )
        translator.source_lengths = first.source_lengths
        translator.remember_choice(run)
        return translator

    def translate(
        self,
        texts: Sequence[str],
        options: SearchOptions | None = None,
        *,
        prefixes: Sequence[str] | None = None,
        required: Sequence[Sequence[Required]] | None = None,
        first: int | Sequence[int] = 0,
        **shortcuts: Unpack[Shortcuts],
    ) -> list[list[Translation]]:
        """The `n_best` translations of each text, best first.

        `options` are those of the search, described at `SearchOptions`. Keywords replace its fields:
        `translate(texts, beam=5, n_best=3)`. An empty or blank text has one empty translation.

        `prefixes`: what the translation of each text begins with; may be empty.
        `required`: what the translations of each text must hold. The beam is then at least twice the number
        of their tokens and two; see `inference.phrase_beam`.
        `first`: the number of the first text, or the number of each. A text has a random stream of its own
        for samples and for attention that samples; it depends on the seed and the text's number.

        Raises UsageError for options that make no sense, TypeError for a keyword that is no option, and
        UserError if the model returns NaN or if the vocabulary cannot write what is required.
        """
        if isinstance(texts, str):
            raise UsageError("translate takes a list of texts: put a single one in brackets")
        texts = listed(texts, "translate takes a list of texts")
        refuse_no_strings("a text", texts)
        resolved = self._resolve(options, shortcuts, texts, prefixes)
        raw, marked = texts, [mark(text) for text in texts] if self.config.data.protect else []
        if marked:
            texts = [one.text for one in marked]
            prefixes = prefixes and [mark_as(*both) for both in zip(prefixes, marked, strict=True)]
        ids, lengths = self.encode_sources(texts)
        spaced = is_spaced(self.languages[1], [one.text for own in required or () for one in own])
        phrases = None if required is None else self._phrases(texts, ids[0], required, spaced)
        if phrases is not None:
            resolved = with_phrases(resolved, max((tokens_of(own) for own in phrases), default=0))
        texts = [truncate_text(text) for text in texts]
        # A text without any token counts as blank.
        rows = [i for i, text in enumerate(texts) if not is_blank(text) and all(len(side[i]) for side in ids)]
        none = np.zeros((0, 0), np.float32) if resolved.attention and self.attends else None
        sure = without_words(resolved.confidence)
        results = [[Translation(text, "", 0.0, 0.0, attention=none, **sure)] for text in texts]
        positions = [len(side) + 1 for side in ids[0]]
        limits = [
            2 * (count - 1) + 10 if resolved.max_length is None else resolved.max_length
            for count in positions
        ]
        prefix_ids, unforced = self._encode_prefixes(prefixes, limits)
        numbers = range(first, first + len(texts)) if isinstance(first, int) else first
        replaces, shows = resolved.replace_unknown, resolved.attention
        searched = replace(resolved, attention=shows or True) if replaces else resolved
        for i, translations in self._decode_batches(
            *(texts, ids, positions, limits, rows, prefix_ids, searched, numbers, phrases, spaced)
        ):
            if replaces:
                translations = [
                    self._with_source_words(translation, ids[0][i], bool(shows))
                    for translation in translations
                ]
            truncated_tokens = max(0, lengths[i] - MAX_SOURCE)
            if truncated_tokens or (unforced and unforced[i]):
                dropped = unforced[i] if unforced else 0
                translations = [
                    replace(translation, truncated_tokens=truncated_tokens, unforced=dropped)
                    for translation in translations
                ]
            results[i] = translations
        for i, one in enumerate(marked):
            results[i] = [restored(translation, truncate_text(raw[i]), one) for translation in results[i]]
        return results

    def translate_lines(
        self,
        texts: Sequence[str],
        options: SearchOptions | None = None,
        *,
        sentences: Sentences = "auto",
        glossary: Glossary | Mapping[str, str] | str | os.PathLike[str] | None = None,
        protect: bool = False,
        prefixes: Sequence[str] | None = None,
        first: int = 0,
        **shortcuts: Unpack[Shortcuts],
    ) -> list[list[Translation]]:
        """The `n_best` translations of each line of text as it comes, best first.

        `sentences`: "auto" translates a line sentence by sentence if nearly all sources in training were
        single sentences; "split" does so always, and "whole" never. A line with a prefix stays whole.
        `glossary`: terms and what a translation must have for them, or a file of them; see
        `Glossary`. `protect` leaves placeholders, URLs, e-mail addresses, numbers and tags as they
        are; a run that was prepared with `protect` always does. The other arguments: see `translate`.

        Raises UsageError and UserError as `translate` does, for a glossary that makes no sense, for samples
        with a glossary, and for `protect` with a run that has neither markers nor attention.
        """
        from seq2attn.inference.lines import LineOptions, translate_lines

        if isinstance(texts, str):
            raise UsageError("translate_lines takes a list of texts: put a single one in brackets")
        texts = listed(texts, "translate_lines takes a list of texts")
        refuse_no_strings("a text", texts)
        if isinstance(glossary, Mapping):
            glossary = Glossary(glossary)
        elif glossary is not None and not isinstance(glossary, Glossary):
            glossary = Glossary.load(glossary)
        search = with_shortcuts(options, shortcuts)
        lines = LineOptions(sentences, glossary, protect)
        return translate_lines(self, texts, search, lines, prefixes=prefixes, first=first)

    def score_targets(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        batch_tokens: int | None = None,
        attention: AttentionOption = True,
        seed: int = 1,
        first: int = 0,
    ) -> list[Translation]:
        """Forced decoding: the score and the attention of the given target of each text.

        Targets are used whole, sources up to MAX_SOURCE tokens. `first`: see `translate`. The others: see
        `SearchOptions`. Raises UsageError if texts and targets differ in number.
        """
        if len(texts) != len(targets):
            raise UsageError(
                f"there are {len(texts)} texts and {len(targets)} targets: each text needs its own"
            )
        pairs = (
            [mark_pair(*pair) for pair in zip(texts, targets, strict=True)]
            if self.config.data.protect
            else []
        )
        if pairs:
            raw, (texts, targets) = texts, ([pair[side].text for pair in pairs] for side in (0, 1))
        ids, lengths = self.encode_sources(texts)
        target_ids = self.target_tokenizer.encode_batch(targets)
        positions = [len(source) + 1 for source in ids[0]]
        hypotheses = forced.score_targets(
            self, ids, positions, target_ids, attention, seed, first, batch_tokens
        )
        results = [
            self._translation(truncate_text(text), source, hypothesis, attention, target)
            for text, source, hypothesis, target in zip(texts, ids[0], hypotheses, targets, strict=True)
        ]
        if pairs:
            results = [
                restored(result, text, source)
                for result, text, (source, _) in zip(results, raw, pairs, strict=True)
            ]
        return [
            replace(result, truncated_tokens=length - MAX_SOURCE) if length > MAX_SOURCE else result
            for result, length in zip(results, lengths, strict=True)
        ]

    def self_attention(self, text: str, target: str | None = None) -> SelfAttention:
        """The self-attention of the encoder and, with a target, of the decoder that reads it.

        For an ensemble it is that of the first model. Raises UsageError if the model has none.
        """
        ids = encode_texts(self.source_tokenizer, [text], MAX_SOURCE)[0]
        target_ids = None if target is None else self.target_tokenizer.encode(target)
        labels = self.source_tokenizer.subwords([*ids, EOS])
        return self_attention(self, ids, len(ids) + 1, target_ids, labels)

    def _with_source_words(self, translation: Translation, ids: list[int], shows: bool) -> Translation:
        """The translation without unknown tokens, and without attention unless the caller asked for it."""
        result = replace_unknown(translation, ids, self.source_tokenizer, self.target_tokenizer)
        return result if shows else replace(result, attention=None, subword_attention=None)

    def _phrases(
        self,
        texts: Sequence[str],
        ids: Sequence[list[int]],
        required: Sequence[Sequence[Required]],
        spaced: bool,
    ) -> list[list[Phrase]]:
        """What each output must hold, in tokens."""
        if len(required) != len(texts):
            raise UsageError(f"there are {len(texts)} texts, and {len(required)} lists of what is required")
        vocabularies = self.target_tokenizer, self.source_tokenizer
        return [
            [phrase_of(one, vocabularies, spaced, text, source) for one in own]
            for text, source, own in zip(texts, ids, required, strict=True)
        ]

    def encode_sources(self, texts: Sequence[str]) -> tuple[list[list[list[int]]], list[int]]:
        """The ids of each text for each member, and the number of ids of each text for the first member."""
        lengths: list[int] = []
        first, *others = self.members
        return [
            encode_texts(first.source_tokenizer, texts, MAX_SOURCE, lengths),
            *(encode_texts(member.source_tokenizer, texts, MAX_SOURCE) for member in others),
        ], lengths

    def _read(self, member: int, sources: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        source_BS = pad_sources(sources, self._multiple)
        return source_BS, source_BS != PAD

    def _padding_source(self, sources: Sequence[list[int]]) -> list[int]:
        return []

    def _same_positions(self, member: int) -> bool:
        return self.members[member].source_tokenizer is self.source_tokenizer

    def _result(
        self, input: str, source: list[int], hypothesis: Hypothesis, attention: AttentionOption
    ) -> Translation:
        return self._translation(input, source, hypothesis, attention)

    def _translation(
        self,
        source: str,
        source_ids: list[int],
        hypothesis: Hypothesis,
        attention: AttentionOption,
        target: str | None = None,
    ) -> Translation:
        tokens = list(hypothesis.tokens)
        text = self.target_tokenizer.decode(tokens) if target is None else target
        translation = Translation(
            source,
            text,
            hypothesis.score,
            hypothesis.log_probability,
            tokens,
            self.source_tokenizer.subwords(source_ids),
            self.target_tokenizer.subwords(tokens),
            source_words=source.split(None, MAX_WORDS)[:MAX_WORDS],
            target_words=text.split(),
            finished=hypothesis.finished,
        )
        if hypothesis.weights is None:
            return translation
        mean, heads = as_arrays(hypothesis.weights[..., : len(source_ids) + 1], attention, self.choice)
        source_numbers = word_numbers(source, source_ids, self.source_tokenizer)
        target_numbers = (
            self.target_tokenizer.word_index(tokens)
            if target is None
            else word_numbers(target, tokens, self.target_tokenizer)
        )
        counts = len(translation.target_words), len(translation.source_words)
        words, word_heads = (
            None
            if weights is None
            else between_words(weights[..., :-1, :-1], target_numbers, source_numbers, *counts)
            for weights in (mean, heads)
        )
        return replace(
            translation,
            subword_attention=mean,
            attention=words,
            subword_attention_heads=heads,
            attention_heads=word_heads,
        )
