"""A test set of texts.

A run translates the sources, the references are forced on it, and BLEU, chrF and TER compare systems. This
module knows no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seq2attn.evaluation import alignment, significance, text, translation
from seq2attn.evaluation.alignment import Links
from seq2attn.evaluation.utilities import with_utility
from seq2attn.inference.options import SearchOptions
from seq2attn.progress import Stages
from seq2attn.tasks.test_set import System, TestSet, numbered

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared
    from seq2attn.inference import Translator


@dataclass
class TextTestSet(TestSet):
    unit = "sentences"

    references: list[list[str]]  # whole sets
    sources: list[str] | None = None
    gold: list[Links] | None = None
    by_length: bool = False

    def __len__(self) -> int:
        return len(self.references[0])

    @property
    def beside(self) -> str:
        return self.where if self.sources is not None else "the reference"

    def take(self, system: System, reader: "Translator", options: SearchOptions, stages: Stages) -> None:
        assert self.sources is not None  # a run with references and no source was refused
        options = with_utility(options, reader.languages[1])
        with stages() as show:
            system.outputs = translation.translate(
                reader,
                self.sources,
                options,
                progress=lambda done, total: show(f"translating {self.name}", done, total),
            )
            if not self.forces:
                return
            forced = translation.force(
                reader,
                self.sources,
                self.references,
                options,
                align=self.gold is not None and reader.attends,
                progress=lambda done, total: show(f"forcing the references of {self.name}", done, total),
            )
        system.likelihood = forced.likelihood
        if self.gold is not None and forced.links is not None:
            system.alignment = alignment.score(forced.links, self.gold)

    def score(self, systems: Sequence[System]) -> None:
        references, language, lowercase = self.references, self.language, self.lowercase
        if len(systems) == 1:
            systems[0].scores = text.scores(systems[0].outputs, references, language, lowercase)
        else:
            pairs = numbered(systems)
            comparison = significance.paired_bootstrap(pairs, references, language, lowercase=lowercase)
            for system, compared in zip(systems, comparison.systems.values(), strict=True):
                system.compared = compared
                system.scores = [
                    text.Score(measure, score.value, comparison.signatures[measure])
                    for measure, score in compared.items()
                ]
        if self.by_length:
            for system in systems:
                sources = self.sources or []
                outputs = system.outputs
                system.buckets = text.by_length(sources, outputs, references, language, lowercase=lowercase)

    def parallel(self) -> list[list[str]]:
        return self.references


def of_split(prepared: "Prepared", name: str) -> TextTestSet:
    """A split of a prepared folder, with its gold alignments if it has any."""
    part = prepared.split(name)
    sources, targets = part.texts()
    where = f"{prepared.path}, split {name}"
    gold = None
    if part.gold is not None:
        gold = alignment.parse_lines([line or "" for line in part.gold], where=where)
        way_out = "mend the alignments, which count words from 0, and prepare again"
        alignment.check_words(gold, sources, targets, where, way_out)
    return TextTestSet(name, where, [targets], sources, gold, language=prepared.languages[1])


def add_gold(test: TextTestSet, lines: Sequence[str], first: int, where: str) -> None:
    """Score attention against the alignments in `lines`, whose first word has the number `first`."""
    test.gold = alignment.parse_lines(lines, first, where)
    alignment.check_words(test.gold, test.sources or [], test.references[0], where)
