"""A test set of captioned images.

A run describes the images, their captions are forced on it, and BLEU, chrF, TER and the scores of captions
compare systems. The test at the end of a training is the same. This module knows no file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seq2attn.data.formats.text import is_blank
from seq2attn.errors import UserError
from seq2attn.evaluation import caption_significance, captions, significance, text
from seq2attn.evaluation.utilities import with_utility
from seq2attn.inference.options import SearchOptions
from seq2attn.progress import Stages
from seq2attn.tasks.test_set import System, TestSet, numbered

if TYPE_CHECKING:
    from seq2attn.data.images.dataset import CaptionedSplit
    from seq2attn.data.prepared import Prepared
    from seq2attn.inference import Captioner


@dataclass
class CaptionTestSet(TestSet):
    unit = "images"

    references: list[list[str]]  # of each image, any number
    split: "CaptionedSplit | None" = None
    clips: bool = False

    def __len__(self) -> int:
        return len(self.references)

    @property
    def beside(self) -> str:
        return self.where if self.split is not None else "the reference"

    def refuse_other_kind(self, captioner: "Captioner") -> None:
        """Raise UserError if these are clips and the run reads stills, or the other way round."""
        if self.clips != captioner.clips:
            holds, reads = ("clips", "stills") if self.clips else ("stills", "clips")
            raise UserError(f"{self.where}: holds {holds}, and the run reads {reads}: name other `data`")

    def take(
        self,
        system: System,
        reader: "Captioner",
        options: SearchOptions,
        stages: Stages,
        outputs: Sequence[str] | None = None,
    ) -> None:
        """As in every test set. `outputs` are the captions, where they have been made already."""
        from seq2attn.evaluation import captioning

        assert self.split is not None  # a run with files of captions was refused
        if self.clips and not reader.clips:
            raise UserError(
                f"{self.where}: holds clips, and {system.name} reads stills: name prepared data of "
                "stills with `data`"
            )
        if reader.clips and not self.clips:
            raise UserError(
                f"{self.where}: holds stills, and {system.name} reads clips: name prepared data of clips "
                "with `data`"
            )
        with stages() as show:
            if outputs is None:
                outputs = captioning.caption(
                    reader,
                    self.split,
                    range(len(self)),
                    with_utility(options, reader.languages[1]),
                    progress=lambda done, total: show(f"describing {self.name}", done, total),
                )
            system.outputs = list(outputs)
            if not self.forces:
                return
            forced = captioning.force(
                reader,
                self.split,
                options,
                progress=lambda done, total: show(f"forcing the references of {self.name}", done, total),
            )
        system.likelihood, system.pointing = forced.likelihood, forced.pointing

    def score(self, systems: Sequence[System]) -> None:
        """Score the systems. Of several systems, BLEU, BLEU-4, CIDEr-D and ROUGE-L are compared.

        The other scores are only in the record.
        """
        for system in systems:
            captions.check(system.outputs, self.references)
            system.scores = text.scores(system.outputs, self.parallel(), self.language, self.lowercase)
            system.scores += captions.scores(system.outputs, self.references)
        if len(systems) > 1:
            streams = self.parallel()
            bleu = {"BLEU": text.metric("BLEU", streams, self.language, self.lowercase)}
            by_bleu = significance.compare(numbered(systems), bleu, streams, lowercase=self.lowercase)
            by_captions = caption_significance.paired_bootstrap_captions(numbered(systems), self.references)
            signatures = by_bleu.signatures | by_captions.signatures
            compared = zip(by_bleu.systems.values(), by_captions.systems.values(), strict=True)
            for system, (of_bleu, others) in zip(systems, compared, strict=True):
                system.compared = of_bleu | others
                system.scores = [
                    score._replace(signature=signatures.get(score.name, score.signature))
                    for score in system.scores
                ]

    def parallel(self) -> list[list[str]]:
        sets: list[list[str]] = captions.parallel(self.references)
        return sets

    def why_zero(self, systems: Sequence[System]) -> Iterator[str]:
        yield from super().why_zero(systems)
        scores = (score for system in systems for score in system.scores)
        zero = any(score.name == "CIDEr-D" and score.value == 0 for score in scores)
        if zero and (reason := captions.without_weight(self.references)):
            yield f"{self.name}: CIDEr-D is not informative here: {reason}"


def of_split(prepared: "Prepared", name: str) -> CaptionTestSet:
    """A split of a prepared folder. Raises UserError if an image has no caption to compare with."""
    split = prepared.captioned_split(name)
    where = f"{prepared.path}, split {name}"
    blank = next(
        (image for image, of_image in zip(split.names, split.captions, strict=True) if not of_image), None
    )
    if blank is not None:
        raise UserError(
            f"{where}: {blank} has no caption to compare with; give it one, or leave it out, and prepare "
            "again"
        )
    return CaptionTestSet(name, where, split.captions, split, prepared.clips, language=prepared.languages[1])


def of_files(name: str, where: str, files: Sequence[Sequence[str]], language: str | None) -> CaptionTestSet:
    """Captions in files with a line for each image. Each file has one caption of an image.

    If an image has fewer captions than others, the last files have a blank line.
    """
    references = [[line for line in of_image if not is_blank(line)] for of_image in zip(*files, strict=True)]
    return CaptionTestSet(name, where, references, language=language)
