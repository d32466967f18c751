"""Translation: the sources are texts. `translation_data` has what its training needs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seq2attn import config
from seq2attn.config import Config
from seq2attn.errors import UsageError
from seq2attn.progress import Stages
from seq2attn.tasks.task import Sources, Summary, Task

if TYPE_CHECKING:
    from seq2attn.data.prepared import Prepared
    from seq2attn.inference import Translator
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.tasks.text_test_set import TextTestSet
    from seq2attn.tasks.translation_data import TranslationData
    from seq2attn.training.distributed import World


class TranslationTask(Task):
    modality = config.TEXT

    def first_corpus(self, settings: Config) -> str:
        return "phrases"

    def first_preset(self, sources: Sources) -> str:
        return "first-try"

    def way_to_train(self, sources: Sources) -> str:
        return f"choose a preset for text, such as {self.first_preset(sources)}, or other data"

    def summary(self, report: Mapping[str, Any]) -> Summary:
        settings, sizes = report["options"], report["vocabulary"]
        sides = "source", "target"
        source, target = (language or side for language, side in zip(report["languages"], sides, strict=True))
        vocabulary = (
            f"{sizes['source']:,} joint"
            if settings["joint"]
            else f"{sizes['source']:,} {source}, {sizes['target']:,} {target}"
        )
        rows, overlaps = [], {}
        for name, split in report["splits"].items():
            for side, language in zip(sides, (source, target), strict=True):
                facts = split[side]
                pairs = [name, f"{split['read']:,}", f"{split['kept']:,}"] if side == "source" else [""] * 3
                lengths = [f"{facts['length'].get(quantile, 0):,}" for quantile in ("50%", "99%", "100%")]
                rate = f"{facts['unknown_rate']:.2%}"
                rows.append([*pairs, language, f"{facts['tokens']:,}", *lengths, rate])
            if split.get("sources_in_train"):
                count = split["sources_in_train"]
                overlaps[name] = f"{name}: {count:,} source sentences are in train too"
        return Summary(
            f"{report['corpus']}: {source} to {target}; {settings['tokenizer']} tokens, vocabulary: "
            f"{vocabulary}",
            ["split", "read", "kept", "side", "tokens", "median", "99%", "longest", "unknown"],
            rows,
            overlaps,
        )

    def is_empty(self, prepared: "Prepared", split: str) -> bool:
        return not len(prepared.split(split))

    def source_lengths(self, prepared: "Prepared") -> Mapping[str, float] | None:
        from seq2attn.data.text.source_statistics import source_statistics

        return source_statistics(prepared.split("train"))

    def training_data(
        self, settings: Config, prepared: "Prepared", model: "Seq2Seq", world: "World", stages: Stages
    ) -> "TranslationData":
        from seq2attn.tasks.translation_data import TranslationData

        return TranslationData(settings, prepared, world)

    def load(
        self,
        run: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        settings: Iterable[str] = (),
        processes: bool = False,
        allow_code: bool = False,
    ) -> "Translator":
        from seq2attn.inference import Translator

        return Translator.load(run, device, precision, settings, processes, allow_code)

    def test_set(self, prepared: "Prepared", split: str, by_length: bool) -> "TextTestSet":
        from seq2attn.tasks import text_test_set

        test = text_test_set.of_split(prepared, split)
        test.by_length = by_length
        return test

    def test_set_of_lines(
        self,
        name: str,
        where: str,
        references: Sequence[Sequence[str]],
        sources: Sequence[str] | None,
        language: str | None,
        by_length: bool,
    ) -> "TextTestSet":
        from seq2attn.tasks.text_test_set import TextTestSet

        lines = [list(of_file) for of_file in references]
        texts = None if sources is None else list(sources)
        return TextTestSet(name, where, lines, texts, by_length=by_length, language=language)

    def refuse_options(self, options: Mapping[str, object], runs: Sequence[str]) -> None:
        from seq2attn.tasks.evaluated_runs import name_code

        if options.get("allow_code") and not name_code(runs):
            problem = f"allow_code is for runs that name code of your own, and {runs[0]} does not"
            raise UsageError(f"{problem}: leave it out", setting="allow_code")
