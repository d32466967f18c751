"""The data of a training on captioned images.

Validation scores BLEU and CIDEr-D against all captions of an image, with the search of `caption`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seq2attn.config import Config, ImageEncoderConfig
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.prepared import Prepared
from seq2attn.evaluation.captioning import caption, load_images
from seq2attn.evaluation.captions import parallel
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.rewards import cider_rewards
from seq2attn.explaining.watch import PAIRS, AttentionWatch
from seq2attn.inference import Captioner
from seq2attn.inference.feature_cache import features
from seq2attn.inference.options import DEFAULTS
from seq2attn.models.encoders.image import ImageEncoder as Reader
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.notes import note
from seq2attn.progress import SILENT, Progress, Stages
from seq2attn.tasks import caption_test_set, corpus_cache, next_commands
from seq2attn.tasks.report import Report
from seq2attn.tasks.sharing import of_all, share_out
from seq2attn.tasks.test_set import System, note_form
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


class CaptioningData(TrainingData):
    unit, names = "captions", ("image", "reference", "caption")

    def __init__(
        self, settings: Config, prepared: Prepared, model: Seq2Seq, world: World, stages: Stages = SILENT
    ) -> None:
        self.config, self.prepared, self.world = settings, prepared, world
        self.encoder = cast(ImageEncoderConfig, settings.model.encoder)
        self.splits = {name: prepared.captioned_split(name) for name in ("train", "valid")}
        cached = {
            name: self._features(split, model, world, name == "train", stages)
            for name, split in self.splits.items()
        }
        view = ImageTransform.of(self.encoder)
        sampler = subword_sampler(prepared.target_tokenizer, settings.train)
        self.training = CaptionedImages(self.splits["train"], view, settings.train, cached["train"], sampler)
        self.validation = CaptionedImages(self.splits["valid"], view, None, cached["valid"])

    def _features(
        self, split: CaptionedSplit, model: Seq2Seq, world: World, augmented: bool, stages: Stages
    ) -> NDArray[np.float16] | None:
        """The features of a frozen backbone, from the cache.

        None if the backbone is trained, or if images are augmented.
        """
        train = self.config.train
        if not self.encoder.frozen or (augmented and (train.max_crop or train.flip or train.color_jitter)):
            return None
        folder = corpus_cache.cache_home() / "features"
        corpus_cache.refuse_cache(folder)
        reader = cast(Reader, model.encoder)
        if world.is_main:
            with stages() as progress:
                features(split, reader, self.encoder, folder, progress)
        world.barrier()
        return features(split, reader, self.encoder, folder, lambda stage, done, total: None)

    def validation_of(self, stop: Callable[[], bool], progress: Progress) -> Callable[[Seq2Seq], Scores]:
        split, prepared = self.splits["valid"], self.prepared
        numbers = range(min(self.config.train.validate_sentences, len(split.names)))
        references = [split.captions[number] for number in numbers]
        sample_row = len(references) // 2
        language_and_case = prepared.languages[1], prepared.target_tokenizer.lowercase
        note_form(f"{prepared.path}, split valid", [line for of_image in references for line in of_image])
        names = split.names[:PAIRS]
        watch = AttentionWatch()

        def validate(model: Seq2Seq) -> Scores:
            captioner = Captioner(model, prepared.target_tokenizer, self.config, languages=prepared.languages)
            of_images = cast(CaptionedImages, self.validation).features
            outputs = self._outputs(captioner, split, numbers, interruptible(stop, progress), of_images)
            images = load_images(captioner, split, numbers[:PAIRS], of_images)
            captions = [of_image[0] for of_image in references[:PAIRS]]
            if fault := watch.look(captioner, images, captions, names):
                note(fault)
            sample = split.names[sample_row], references[sample_row][0], outputs[sample_row]
            by_text = text_scores(outputs, parallel(references), *language_and_case, sample)
            cider = CiderD(references).corpus(outputs)
            values = {**by_text.values, "cider": cider}
            return replace(by_text, values=values, attention=watch.snapshot)

        return validate

    def _outputs(
        self,
        captioner: Captioner,
        split: CaptionedSplit,
        numbers: Sequence[int],
        progress: Progress,
        features: NDArray[np.float16] | None = None,
    ) -> list[str]:
        """The captions of those images: each process makes its share of them."""
        report = of_all(self.world, len(numbers), progress)

        def work(part: range) -> list[str]:
            own = numbers[part.start : part.stop]
            return caption(captioner, split, own, first=part.start, features=features, progress=report)

        return share_out(self.world, len(numbers), work)

    def reward_function(self) -> RewardFunction:
        return cider_rewards(self.splits["train"].captions, self.prepared.target_tokenizer, self.config)

    def test(self, run: Path, device: str, stages: Stages) -> Iterator[TestResult]:
        # A process that has joined others must not be copied.
        alone = self.world.size == 1
        with closing(Captioner.load(run, device=device, processes=alone)) as captioner:
            for name in self._tests():
                test, system = caption_test_set.of_split(self.prepared, name), System(str(run))
                split = self.prepared.captioned_split(name)
                images = split.names
                if not images:
                    continue
                note_form(test.where, [caption for of_image in test.references for caption in of_image])
                test.lowercase = self.prepared.target_tokenizer.lowercase
                with stages() as show:
                    report = partial(show, f"describing {name}")
                    outputs = self._outputs(captioner, split, range(len(images)), report)
                if not self.world.is_main:
                    continue
                test.take(system, captioner, DEFAULTS, stages, outputs)
                test.score([system])
                rows = _spread(range(len(images)), SAMPLES)
                yield TestResult(
                    name,
                    tuple(Report.of(test, system).lines()),
                    tuple(test.why_zero([system])),
                    tuple((images[row], test.references[row][0], system.outputs[row]) for row in rows),
                    tuple(system.outputs),
                )
        note(f"prepared data: {self.prepared.path}")

    def next_commands(self, run: Path) -> list[str]:
        return next_commands.of_captioner(run, self.config.model.attends, bool(self._tests()))

    def _tests(self) -> list[str]:
        return [name for name in self.prepared.splits if name.startswith("test")]


def _spread(numbers: Sequence[int], count: int) -> Sequence[int]:
    return [numbers[len(numbers) * place // count] for place in range(min(count, len(numbers)))]
