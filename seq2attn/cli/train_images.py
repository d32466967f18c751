"""Training on captioned images.

Validation scores BLEU and CIDEr-D against all captions of an image, with the search of `caption`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seq2attn.cli import console, corpus_cache, evaluate_images
from seq2attn.cli.output.report import System, lines, note_form
from seq2attn.cli.task import SAMPLES, Task, interruptible, print_next_commands, text_scores
from seq2attn.config import Config, ImageEncoderConfig
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.prepared import Prepared
from seq2attn.evaluation.captioning import caption
from seq2attn.evaluation.captions import parallel
from seq2attn.evaluation.cider import CiderD
from seq2attn.evaluation.rewards import cider_rewards
from seq2attn.inference import Captioner
from seq2attn.inference.feature_cache import features
from seq2attn.inference.options import DEFAULTS
from seq2attn.models.encoders.image import ImageEncoder as Reader
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.progress import Progress
from seq2attn.training.distributed import World
from seq2attn.training.events import Scores
from seq2attn.training.objectives.self_critical import RewardFunction


class CaptioningTask(Task):
    unit, names = "captions", ("image", "reference", "caption")

    def __init__(self, settings: Config, prepared: Prepared, model: Seq2Seq, world: World) -> None:
        self.config, self.prepared = settings, prepared
        self.encoder = cast(ImageEncoderConfig, settings.model.encoder)
        self.splits = {name: prepared.captioned_split(name) for name in ("train", "valid")}
        cached = {
            name: self._features(split, model, world, name == "train") for name, split in self.splits.items()
        }
        view = ImageTransform.of(self.encoder)
        self.training = CaptionedImages(self.splits["train"], view, settings.train, cached["train"])
        self.validation = CaptionedImages(self.splits["valid"], view, None, cached["valid"])

    def _features(
        self, split: CaptionedSplit, model: Seq2Seq, world: World, augmented: bool
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
            with console.progress() as progress:
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

        def validate(model: Seq2Seq) -> Scores:
            captioner = Captioner(model, prepared.target_tokenizer, self.config, languages=prepared.languages)
            outputs = caption(
                captioner,
                split,
                numbers,
                features=cast(CaptionedImages, self.validation).features,
                progress=interruptible(stop, progress),
            )
            sample = split.names[sample_row], references[sample_row][0], outputs[sample_row]
            by_text = text_scores(outputs, parallel(references), *language_and_case, sample)
            cider = CiderD(references).corpus(outputs)
            return replace(by_text, values={**by_text.values, "cider": cider})

        return validate

    def reward_function(self) -> RewardFunction:
        return cider_rewards(self.splits["train"].captions, self.prepared.target_tokenizer, self.config)

    def test(self, run: Path, device: str) -> None:
        captioner = Captioner.load(run, device=device, processes=True)
        prepared, corpus = self.prepared, self.prepared.path
        tests = [name for name in prepared.splits if name.startswith("test")]
        for name in tests:
            test, system, images = (
                evaluate_images.of_split(prepared, name),
                System(str(run)),
                prepared.captioned_split(name).names,
            )
            if not images:
                continue
            note_form(test.where, [caption for of_image in test.references for caption in of_image])
            test.lowercase = prepared.target_tokenizer.lowercase
            test.take(system, captioner, DEFAULTS)
            test.score([system])
            for reason in test.why_zero([system]):
                console.note(reason)
            for line in lines(system):
                console.result(f"{line}  {name}")
            for number in _spread(range(len(images)), SAMPLES):
                console.note(
                    f"{self.example(images[number], test.references[number][0], system.outputs[number])}\n"
                )
        captioner.close()
        console.note(f"prepared data: {corpus}")
        plot = f"seq2attn plot-alignment {run} --image IMAGE -o overlay.png" if captioner.attends else None
        print_next_commands(run, f"seq2attn caption {run} IMAGE...", plot, tests)


def _spread(numbers: Sequence[int], count: int) -> Sequence[int]:
    return [numbers[len(numbers) * place // count] for place in range(min(count, len(numbers)))]
