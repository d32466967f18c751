"""The data of a training on pairs of texts. Validation scores BLEU, with the search of `translate`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from seq2attn.config import Config, guided_head
from seq2attn.data.batches import Pairs
from seq2attn.data.prepared import Prepared
from seq2attn.data.text.guided import GuidedTexts
from seq2attn.data.text.sampled import SampledTexts
from seq2attn.errors import UsageError, UserError
from seq2attn.evaluation.text import bleu, chrf, without_four
from seq2attn.evaluation.translation import translate
from seq2attn.explaining.watch import PAIRS, AttentionWatch
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.notes import note
from seq2attn.progress import Progress, Stages
from seq2attn.tasks import next_commands
from seq2attn.tasks.sharing import of_all, share_out
from seq2attn.tasks.test_set import note_form
from seq2attn.tasks.training_data import (
    SAMPLES,
    TestResult,
    TrainingData,
    interruptible,
    subword_sampler,
    text_scores,
)
from seq2attn.training.distributed import World
from seq2attn.training.events import Scores
from seq2attn.training.objectives.self_critical import RewardFunction


class TranslationData(TrainingData):
    unit, names = "pairs", ("source", "reference", "translation")

    def __init__(self, settings: Config, prepared: Prepared, world: World) -> None:
        self.config, self.prepared, self.world = settings, prepared, world
        self.training = _training_pairs(settings, prepared)
        self.validation = prepared.split("valid")
        self.tests = [name for name in prepared.splits if name.startswith("test")]

    def validation_of(self, stop: Callable[[], bool], progress: Progress) -> Callable[[Seq2Seq], Scores]:
        prepared = self.prepared
        sources, references = prepared.split("valid").texts(0, self.config.train.validate_sentences)
        # The example has median length and is the same at every validation.
        sample_row = _upper_half(sources)[0]
        language_and_case = prepared.languages[1], prepared.target_tokenizer.lowercase
        note_form(f"{prepared.path}, split valid", references)
        watch = AttentionWatch()

        def validate(model: Seq2Seq) -> Scores:
            translator = Translator(
                model,
                prepared.source_tokenizer,
                prepared.target_tokenizer,
                self.config,
                languages=prepared.languages,
            )
            outputs = self._outputs(translator, sources, interruptible(stop, progress))
            if fault := watch.look(translator, sources[:PAIRS], references[:PAIRS]):
                note(fault)
            sample = sources[sample_row], references[sample_row], outputs[sample_row]
            scores = text_scores(outputs, [references], *language_and_case, sample)
            return replace(scores, attention=watch.snapshot)

        return validate

    def reward_function(self) -> RewardFunction:
        raise UsageError(
            "train.self_critical.start_step needs captions, whose reward is CIDEr-D: leave it out for text"
        )

    def test(self, run: Path, device: str, stages: Stages) -> Iterator[TestResult]:
        translator = Translator.load(run, device=device)
        prepared, has_samples = self.prepared, False
        language, lowercase = prepared.languages[1], prepared.target_tokenizer.lowercase
        for name in self.tests:
            sources, references = prepared.split(name).texts()
            if not sources:
                continue
            with stages() as show:
                outputs = self._outputs(translator, sources, partial(show, f"translating {name}"))
            note_form(f"{prepared.path}, split {name}", references)
            reasons = []
            if reason := without_four(outputs, [references], language):
                by_characters = chrf(outputs, [references], language, lowercase)
                reasons.append(f"{name}: BLEU is not informative here: {reason}; use {by_characters}")
            rows = [] if has_samples else _upper_half(sources)[:SAMPLES]
            has_samples = True
            yield TestResult(
                name,
                (str(bleu(outputs, [references], language, lowercase)),),
                tuple(reasons),
                tuple((sources[row], references[row], outputs[row]) for row in rows),
                tuple(outputs),
            )

    def _outputs(self, translator: Translator, sources: Sequence[str], progress: Progress) -> list[str]:
        """The translations of the sources: each process makes its share of them."""
        report = of_all(self.world, len(sources), progress)

        def work(part: range) -> list[str]:
            texts = sources[part.start : part.stop]
            return translate(translator, texts, first=part.start, progress=report)

        return share_out(self.world, len(sources), work)

    def next_commands(self, run: Path) -> list[str]:
        texts = next(
            (sources for name in self.tests if (sources := self.prepared.split(name).texts()[0])), None
        )
        example = texts[_upper_half(texts)[0]] if texts else self.prepared.split("valid").texts(0, 1)[0][0]
        return next_commands.of_translator(run, example, self.config.model.attends, bool(self.tests))


def _training_pairs(settings: Config, prepared: Prepared) -> Pairs:
    """The training pairs: with their links, with subwords drawn anew in each epoch, or as prepared."""
    if settings.train.guide:
        return _guided(settings, prepared)
    split = prepared.split("train")
    samplers = [
        subword_sampler(one, settings.train) for one in (prepared.source_tokenizer, prepared.target_tokenizer)
    ]
    source, target = samplers
    return split if source is None or target is None else SampledTexts(split, source, target)


def _guided(settings: Config, prepared: Prepared) -> GuidedTexts:
    """The training pairs with their links. Raises UserError if the folder has none."""
    split = prepared.split("train")
    shift = guided_head(settings.model, settings.train).shift
    pairs = GuidedTexts(split, shift) if split.has_links else None
    if pairs is None or not pairs.has_links:
        raise UserError(
            f"train.guide: the training pairs of {prepared.path} have no word links; prepare the corpus "
            "again, with an alignment for each pair (train.align), or with `seq2attn prepare --align`",
            setting="train.guide",
        )
    return pairs


def _upper_half(texts: Sequence[str]) -> list[int]:
    """The rows of the texts of at least median length, the shortest first."""
    return sorted(range(len(texts)), key=lambda row: len(texts[row]))[len(texts) // 2 :]
