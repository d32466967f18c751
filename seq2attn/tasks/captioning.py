"""Captioning: the sources are images or clips. `captioning_data` has what its training needs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seq2attn import config
from seq2attn.config import Config, ImageEncoderConfig
from seq2attn.errors import UsageError, UserError
from seq2attn.progress import Stages
from seq2attn.tasks.task import Sources, Summary, Task

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared
    from seq2attn.inference import Captioner
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.tasks.caption_test_set import CaptionTestSet
    from seq2attn.tasks.captioning_data import CaptioningData
    from seq2attn.training.distributed import World


class CaptioningTask(Task):
    modality = config.IMAGES

    def first_corpus(self, settings: Config) -> str:
        return "clips" if cast(ImageEncoderConfig, settings.model.encoder).clips else "scenes"

    def first_preset(self, sources: Sources) -> str:
        return "video" if getattr(sources, "clips", False) else "xu15-soft"

    def way_to_train(self, sources: Sources) -> str:
        preset = self.first_preset(sources)
        return f'choose a preset for images, such as {preset}, or set model.encoder.kind="image"'

    def refuse_corpus(self, data: str, settings: Config, sources: Sources) -> None:
        encoder = cast(ImageEncoderConfig, settings.model.encoder)
        clips, model_reads_clips = bool(getattr(sources, "clips", False)), encoder.clips
        if clips and not model_reads_clips:
            raise UserError(
                f"{data}: holds clips, and this model reads stills: choose the preset video, "
                "or set model.encoder.max_frames to the number of frames to read"
            )
        if model_reads_clips and not clips:
            raise UserError(
                f"{data}: holds stills, and this model reads clips: "
                "choose a preset for stills, such as xu15-soft, or other data"
            )

    def source_files(self, path: Path, follow_links: bool) -> Iterable[Path]:
        from seq2attn.data.images.files import image_files

        return image_files(path if path.is_dir() else path.parent, follow_links)

    def summary(self, report: Mapping[str, Any]) -> Summary:
        kind = "clips" if report["clips"] else "images"
        language, settings = report["languages"][1] or "captions", report["options"]
        rows, overlaps = [], {}
        for name, split in report["splits"].items():
            facts = split["target"]
            lengths = [f"{facts['length'][quantile]:,}" for quantile in ("50%", "99%", "100%")]
            counts = [f"{split['images']:,}", f"{split['kept']:,}", f"{facts['tokens']:,}"]
            rows.append([name, *counts, *lengths, f"{facts['unknown_rate']:.2%}"])
            if count := split.get("images_in_train"):
                are = f"{kind} are" if count > 1 else f"{kind.removesuffix('s')} is"
                overlaps[name] = (
                    f"{name}: {count:,} {are} in train too, as equal files: their scores are too good"
                )
        return Summary(
            f"{report['corpus']}: {kind} to {language}; {settings['tokenizer']} tokens, vocabulary: "
            f"{report['vocabulary']['target']:,}",
            ["split", kind, "captions", "tokens", "median", "99%", "longest", "unknown"],
            rows,
            overlaps,
        )

    def is_empty(self, prepared: "Prepared", split: str) -> bool:
        return False  # `prepare` refuses a split without images

    def training_data(
        self, settings: Config, prepared: "Prepared", model: "Seq2Seq", world: "World", stages: Stages
    ) -> "CaptioningData":
        from seq2attn.tasks.captioning_data import CaptioningData

        return CaptioningData(settings, prepared, model, world, stages)

    def load(
        self,
        run: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        settings: Iterable[str] = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> "Captioner":
        from seq2attn.inference import Captioner

        return Captioner.load(run, device, precision, settings, processes, allow_code)

    def test_set(self, prepared: "Prepared", split: str, by_length: bool) -> "CaptionTestSet":
        from seq2attn.tasks import caption_test_set

        if by_length:
            problem = f"by_length is for text, and {prepared.path} holds images, which have no length to"
            raise UsageError(f"{problem} group by: leave it out", setting="by_length")
        return caption_test_set.of_split(prepared, split)

    def test_set_of_lines(
        self,
        name: str,
        where: str,
        references: Sequence[Sequence[str]],
        sources: Sequence[str] | None,
        language: str | None,
        by_length: bool,
    ) -> "CaptionTestSet":
        from seq2attn.tasks import caption_test_set

        return caption_test_set.of_files(name, where, references, language)

    def refuse_options(self, options: Mapping[str, object], runs: Sequence[str]) -> None:
        way_out = "prepare other images with their captions (`seq2attn prepare`), and name the folder with "
        ways_out = {
            "source": f"{way_out}`data`",
            "reference": f"{way_out}`data`",
            "by_length": "images have no length to group by: leave it out",
            "gold": "images have no word alignments: leave it out; "
            "pointing accuracy is printed if the prepared data has boxes",
        }
        for option, way in ways_out.items():
            if options.get(option):
                problem = f"{option} is for text, and {runs[0]} describes images"
                raise UsageError(f"{problem}: {way}", setting=option)
