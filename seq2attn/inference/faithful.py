"""Sentences whose translations hold what they must: the terms of a glossary, and the markers of items.

An output that lacks a term gets it in place of the words that attention says translate it, or, where those
are not clear, by a search for outputs that hold it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seq2attn.data.text.glossary import Glossary, times
from seq2attn.data.text.protection import markers_in
from seq2attn.inference import reinsertion
from seq2attn.inference.options import ResolvedOptions, SearchOptions
from seq2attn.inference.required import Required, UnwritableError
from seq2attn.inference.results import Translation
from seq2attn.inference.substitution import Edit, edited, ways_in

if TYPE_CHECKING:
    from seq2attn.inference.translator import Translator

Ranked = list[Translation]
MOST_SEARCHED = 6  # texts that one search looks for: each makes its beam wider


class Faithful:
    """A translator of sentences, some of them with markers, with a glossary."""

    def __init__(
        self,
        translator: "Translator",
        search: SearchOptions,
        resolved: ResolvedOptions,
        glossary: Glossary | None,
    ) -> None:
        self.translator, self.search, self.glossary = translator, search, glossary
        self.has_markers = translator.config.data.protect
        self.shows, self.draws = resolved.attention, bool(resolved.sample_count)
        self.lowercase = translator.target_tokenizer.lowercase

    def translate(
        self, sentences: Sequence[str], prefixes: Sequence[str] | None, numbers: Sequence[int]
    ) -> list[Ranked]:
        """The translations of each sentence, best first."""
        without = [(one, []) if self.has_markers else reinsertion.take_out(one) for one in sentences]
        texts = [text for text, _ in without]
        search = replace(self.search, attention=self.shows or self.translator.attends)
        outputs = self.translator.translate(texts, search, prefixes=prefixes, first=numbers)
        required = [self._required(text) for text in texts]
        self._mend(outputs, texts, required, search, prefixes, numbers)
        for ranked, source, (_, gaps) in zip(outputs, sentences, without, strict=True):
            if gaps:
                ranked[:] = [reinsertion.put_in(one, gaps, source) for one in ranked]
        if self.shows:
            return outputs
        return [
            [replace(one, attention=None, subword_attention=None) for one in ranked] for ranked in outputs
        ]

    def _required(self, text: str) -> list[Required]:
        """What the translations of a sentence must hold."""
        required = [
            Required(term.target.lower() if self.lowercase else term.target, term.start, term.stop)
            for term in (() if self.glossary is None else self.glossary.find(text))
        ]
        if self.has_markers:
            required += [
                Required(character, place, place + 1)
                for place, character in enumerate(text)
                if markers_in(character)
            ]
        return required

    def _lacking(self, output: str, required: Sequence[Required]) -> list[Required]:
        """What an output does not hold as often as it must."""
        markers, lacking = markers_in(output), []
        for one in required:
            if one.text in markers_in(one.text):
                markers[one.text] -= 1
                if markers[one.text] < 0:
                    lacking.append(one)
            elif not times(one.text, output):
                lacking.append(one)
        return lacking

    def _mend(
        self,
        outputs: list[Ranked],
        texts: Sequence[str],
        required: Sequence[list[Required]],
        search: SearchOptions,
        prefixes: Sequence[str] | None,
        numbers: Sequence[int],
    ) -> None:
        """Give each output what it lacks, in place."""
        if search.confidence:
            return  # what is put in has none
        lacking = {
            (row, place): lacks
            for row, ranked in enumerate(outputs)
            for place, one in enumerate(ranked)
            if required[row] and (lacks := self._lacking(one.text, required[row]))
        }
        ways = {at: self._ways(outputs[at[0]][at[1]], lacks) for at, lacks in lacking.items()}
        best = self._most_probable(outputs, ways)
        fitting = {
            at: text
            for at, text in best.items()
            if not self._lacking(text, required[at[0]])
            and text.startswith(prefixes[at[0]] if prefixes else "")
        }
        searched = {row for row, place in lacking if (row, place) not in fitting}
        rows = [at for at in fitting if at[0] not in searched]
        scored = self.translator.score_targets(
            [texts[row] for row, _ in rows], [fitting[at] for at in rows], attention=search.attention
        )
        for (row, place), one in zip(rows, scored, strict=True):
            outputs[row][place] = one
        for row in () if self.draws else sorted(searched):
            starts = None if prefixes is None else [prefixes[row]]
            try:
                ranked = self.translator.translate(
                    [texts[row]],
                    search,
                    prefixes=starts,
                    required=[_distinct(required[row])],
                    first=[numbers[row]],
                )
            except UnwritableError:
                continue  # the vocabulary cannot write it
            outputs[row] = ranked[0]

    def _ways(self, output: Translation, lacking: Sequence[Required]) -> list[list[Edit]]:
        source = self.translator.encode_sources([output.source])[0][0][0]
        tokenizers = self.translator.target_tokenizer, self.translator.source_tokenizer
        return ways_in(output, lacking, source, tokenizers)

    def _most_probable(
        self, outputs: Sequence[Ranked], ways: Mapping[tuple[int, int], list[list[Edit]]]
    ) -> dict[tuple[int, int], str]:
        """The texts of outputs with all that they lack, each put in where the model gives it the highest
        probability, the others being where they can be first. Outputs without a way are left out.
        """
        complete = {at: own for at, own in ways.items() if all(own)}
        tries = [
            (
                at,
                number,
                edit,
                edited(outputs[at[0]][at[1]].text, [edit, *(w[0] for w in own if w is not edits)]),
            )
            for at, own in complete.items()
            for number, edits in enumerate(own)
            for edit in edits
            if len(edits) > 1
        ]
        scored = self.translator.score_targets(
            [outputs[row][place].source for (row, place), *_ in tries],
            [text for *_, text in tries],
            attention=False,
        )
        best = {at: [(-math.inf, edits[0]) for edits in own] for at, own in complete.items()}
        for (at, number, edit, _), one in zip(tries, scored, strict=True):
            if one.log_probability > best[at][number][0]:
                best[at][number] = one.log_probability, edit
        return {at: edited(outputs[at[0]][at[1]].text, [edit for _, edit in own]) for at, own in best.items()}


def _distinct(required: Sequence[Required]) -> list[Required]:
    """Each text once, as it stands first in the source, and at most MOST_SEARCHED of them."""
    return list({one.text: one for one in reversed(required)}.values())[::-1][:MOST_SEARCHED]
