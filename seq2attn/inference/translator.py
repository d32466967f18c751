"""A model that translates: texts to ids, a search, and hypotheses back to texts in the order they came.

It prints nothing. What comes out for a text depends neither on the other texts nor on the batch size.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from torch import Tensor

from seq2attn.config import Config
from seq2attn.data.corpus import is_blank
from seq2attn.data.tokenizer import PAD, Tokenizer
from seq2attn.errors import UsageError
from seq2attn.inference.batching import bounded, encoded, padded_sources
from seq2attn.inference.forks import at_work
from seq2attn.inference.heads import looking_at
from seq2attn.inference.results import Translation
from seq2attn.inference.searcher import Predictor
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.runs.loading import load_runs, load_tokenizer
from seq2attn.search.mbr import Utility
from seq2attn.search.step import Hypothesis

MAX_SOURCE = 1024  # tokens of one source; what is beyond is not read, so that memory and time stay bounded
MOST_WORDS = 16 * MAX_SOURCE  # of a source: of more, only the first are named


class Member(NamedTuple):
    """One model of an ensemble. Members share the target vocabulary."""

    model: Seq2Seq
    source_tokenizer: Tokenizer


class Translator(Predictor[list[int], Translation]):
    """Models and tokenizers, ready to translate: loaded from runs, or made around a model in training."""

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
        """`others` are averaged with the model. Computes where the model is; `auto` precision is fp32 here:
        only that is the same in every batch.

        With `processes`, large calls on a CPU are shared out to processes instead of threads, where the
        system can fork: faster, and the same to the last bit.
        They hold the models as they are at the first such call, and run until `close`, or until the
        translator is no more. Leave it out where other threads compute;
        a `utility` must be one that can be pickled, as those of `evaluation.text` can.
        """
        self.source_tokenizer = source_tokenizer
        # of what the first run was trained on, where it says so
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
        settings: Iterable[str] = (),
        processes: bool = False,
    ) -> Self:
        """A run, or several joined by commas as an ensemble of the first one's languages and search settings.
        `processes` as the class has it.

        `settings`, as in "model.attention.at_inference=sample", are changed in every one before the model is
        made. Raises UserError when a run is missing,
        incomplete, damaged, from a newer version, or of another target vocabulary; UsageError for settings
        that are wrong, that act in training alone,
        that do nothing to any of the runs, or with which the weights would not fit.
        """
        with at_work("cpu" if device == "cpu" else "cuda"):
            found = load_runs(run, device, precision, settings, images=False)
        members = [
            Member(model, load_tokenizer(run.source_tokenizer, run.source_size, found.tokenizers))
            for model, run in zip(found.models, found.runs, strict=True)
        ]
        first = found.runs[0]
        translator = cls(
            *members[0],
            found.target_tokenizer,
            first.config,
            languages=first.languages,
            precision=precision,
            others=members[1:],
            processes=processes,
        )
        translator.source_lengths = first.source_lengths
        return translator

    def translate(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
        batch_tokens: int | None = None,
        prefixes: Sequence[str] | None = None,
        attention: bool = True,
        first: int = 0,
        no_repeat_ngram: int | None = None,
        utility: Utility | None = None,
        samples: int | None = None,
    ) -> list[list[Translation]]:
        """The `n_best` translations of each text, best first; one empty translation of an empty or blank
        text.

        What is None is as the run's own search settings say, or as fits the device. Lengths are in tokens.
        With `sample` the n_best are drawn at random, each text from a stream that
        `seed` and its number choose (and attention that draws takes its own from there); the first text has
        number `first`. A prefix is what the translation of the same text begins with; it may be empty.
        With `no_repeat_ngram` n above 0 no translation holds n target pieces in a row twice.

        With a `utility`, as `evaluation.text.utility` gives it, `samples` are drawn as `sample` does, and the
        n_best distinct texts of highest mean utility
        against all of them are chosen: that is their score then, and `length_penalty` has no part in it.
        Fewer come back where fewer were drawn.

        Raises UsageError for options that make no sense, UserError when the model gives no numbers.
        """
        options = self._options(
            beam,
            n_best,
            length_penalty,
            max_length,
            min_length,
            sample,
            temperature,
            top_k,
            top_p,
            no_repeat_ngram,
            utility,
            samples,
            attention,
        )
        options.check(texts, prefixes)
        ids, lengths = self._encoded(texts)
        texts = [bounded(text) for text in texts]
        # A text that the tokenizer makes nothing of is as good as blank.
        real = [i for i, text in enumerate(texts) if not is_blank(text) and all(len(side[i]) for side in ids)]
        results = [
            [
                Translation(
                    text,
                    "",
                    0.0,
                    0.0,
                    attention=np.zeros((0, 0), np.float32) if attention and self.attends else None,
                )
            ]
            for text in texts
        ]
        positions = [len(side) + 1 for side in ids[0]]
        limits = [
            2 * (count - 1) + 10 if options.max_length is None else options.max_length for count in positions
        ]
        forced, unforced = self._prefixes(prefixes, limits)
        for i, ranked in self._share_out(
            texts, ids, positions, limits, real, forced, options, seed, first, batch_tokens
        ):
            if lengths[i] > MAX_SOURCE or (unforced and unforced[i]):
                truncated_tokens = max(0, lengths[i] - MAX_SOURCE)
                ranked = [
                    replace(
                        translation,
                        truncated_tokens=truncated_tokens,
                        unforced=unforced[i] if unforced else 0,
                    )
                    for translation in ranked
                ]
            results[i] = ranked
        return results

    def _encoded(self, texts: Sequence[str]) -> tuple[list[list[list[int]]], list[int]]:
        """What each member reads of each text, and how many tokens of the first member a text has."""
        lengths: list[int] = []
        first, *others = self.members
        return [
            encoded(first.source_tokenizer, texts, MAX_SOURCE, lengths),
            *(encoded(member.source_tokenizer, texts, MAX_SOURCE) for member in others),
        ], lengths

    def force(
        self,
        texts: Sequence[str],
        targets: Sequence[str],
        batch_tokens: int | None = None,
        attention: bool = True,
        seed: int = 1,
        first: int = 0,
    ) -> list[Translation]:
        """Each text with the target it is given: the score and the attention that teacher forcing gives.
        Targets are whole, sources are read up to MAX_SOURCE tokens.

        Attention that draws takes for each text what `seed` and its number choose, as `translate` does.
        """
        if len(texts) != len(targets):
            raise UsageError(
                f"there are {len(texts)} texts and {len(targets)} targets: each text needs its own"
            )
        ids, lengths = self._encoded(texts)
        target_ids = self.target_tokenizer.encode_batch(targets)
        positions = [len(source) + 1 for source in ids[0]]
        found = self._forced_on(texts, ids, positions, target_ids, attention, seed, first, batch_tokens)
        results = [
            self._translation(bounded(text), source, hypothesis, target)
            for text, source, hypothesis, target in zip(texts, ids[0], found, targets, strict=True)
        ]
        return [
            replace(result, truncated_tokens=length - MAX_SOURCE) if length > MAX_SOURCE else result
            for result, length in zip(results, lengths, strict=True)
        ]

    def heads(
        self, translation: Translation, chosen: Sequence[tuple[int | None, int | None]], seed: int = 1
    ) -> list[Translation]:
        """A translation of `translate` or `force` with the attention of each (layer, head), from 1; None is
        the mean of all. The scores stay its own."""
        ids, _ = self._encoded([translation.source])
        positions = [len(ids[0][0]) + 1]
        results = []
        for layer, head in chosen:
            with looking_at(self, layer, head):
                forced = self._forced_on(
                    [translation.source], ids, positions, [translation.tokens], True, seed, 0, None
                )
            hypothesis = forced[0]._replace(
                score=translation.score,
                log_probability=translation.log_probability,
                finished=translation.finished,
            )
            results.append(self._translation(translation.source, ids[0][0], hypothesis, translation.text))
        return results

    def _read(self, member: int, sources: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        source_BS = padded_sources(sources, self._multiple)
        return source_BS, source_BS != PAD

    def _filling(self, sources: Sequence[list[int]]) -> list[int]:
        return []

    def _alike(self, member: int) -> bool:
        return self.members[member].source_tokenizer is self.source_tokenizer

    def _result(self, input: str, source: list[int], hypothesis: Hypothesis) -> Translation:
        return self._translation(input, source, hypothesis)

    def _translation(
        self, source: str, source_ids: list[int], hypothesis: Hypothesis, target: str | None = None
    ) -> Translation:
        tokens = list(hypothesis.tokens)
        text = self.target_tokenizer.decode(tokens) if target is None else target
        source_words, target_words = source.split(None, MOST_WORDS)[:MOST_WORDS], text.split()
        pieces = words = None
        if hypothesis.weights is not None:
            pieces = hypothesis.weights[:, : len(source_ids) + 1].numpy()
            source_numbers = word_numbers(source, source_ids, self.source_tokenizer)
            target_numbers = (
                self.target_tokenizer.word_index(tokens)
                if target is None
                else word_numbers(target, tokens, self.target_tokenizer)
            )
            words = between_words(
                pieces[:-1, :-1], target_numbers, source_numbers, len(target_words), len(source_words)
            )
        return Translation(
            source,
            text,
            hypothesis.score,
            hypothesis.log_probability,
            tokens,
            self.source_tokenizer.pieces(source_ids),
            self.target_tokenizer.pieces(tokens),
            pieces,
            source_words,
            target_words,
            words,
            hypothesis.finished,
        )
