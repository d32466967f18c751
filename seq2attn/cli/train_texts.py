"""Training on pairs of texts. Validation scores BLEU, with the search of `translate`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from seq2attn.cli import console
from seq2attn.cli.output.report import note_form
from seq2attn.cli.task import SAMPLES, Task, interruptible, print_next_commands, quoted, text_scores
from seq2attn.config import Config
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UsageError
from seq2attn.evaluation.text import bleu, chrf, without_four
from seq2attn.evaluation.translation import translate
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.progress import Progress
from seq2attn.training.events import Scores
from seq2attn.training.objectives.self_critical import RewardFunction


class TranslationTask(Task):
    unit, names = "pairs", ("source", "reference", "translation")

    def __init__(self, settings: Config, prepared: Prepared) -> None:
        self.config, self.prepared = settings, prepared
        self.training, self.validation = prepared.split("train"), prepared.split("valid")

    def validation_of(self, stop: Callable[[], bool], progress: Progress) -> Callable[[Seq2Seq], Scores]:
        prepared = self.prepared
        sources, references = prepared.split("valid").texts(0, self.config.train.validate_sentences)
        # The example has median length and is the same at every validation.
        sample_row = sorted(range(len(sources)), key=lambda row: len(sources[row]))[len(sources) // 2]
        language_and_case = prepared.languages[1], prepared.target_tokenizer.lowercase
        note_form(f"{prepared.path}, split valid", references)

        def validate(model: Seq2Seq) -> Scores:
            translator = Translator(
                model,
                prepared.source_tokenizer,
                prepared.target_tokenizer,
                self.config,
                languages=prepared.languages,
            )
            outputs = translate(translator, sources, progress=interruptible(stop, progress))
            sample = sources[sample_row], references[sample_row], outputs[sample_row]
            return text_scores(outputs, [references], *language_and_case, sample)

        return validate

    def reward_function(self) -> RewardFunction:
        raise UsageError(
            "train.self_critical.start_step needs captions, whose reward is CIDEr-D: leave it out for text"
        )

    def test(self, run: Path, device: str) -> None:
        translator = Translator.load(run, device=device)
        prepared, example = self.prepared, None
        tests = [name for name in prepared.splits if name.startswith("test")]
        for name in tests:
            sources, references = prepared.split(name).texts()
            if not sources:
                continue
            with console.progress() as show:
                outputs = translate(translator, sources, progress=partial(show, f"translating {name}"))
            note_form(f"{prepared.path}, split {name}", references)
            language, lowercase = prepared.languages[1], prepared.target_tokenizer.lowercase
            console.result(f"{bleu(outputs, [references], language, lowercase)}  {name}")
            if reason := without_four(outputs, [references], language):
                by_characters = chrf(outputs, [references], language, lowercase)
                console.note(f"{name}: BLEU is not informative here: {reason}; use {by_characters}")
            if example is None:
                by_length = sorted(range(len(sources)), key=lambda row: len(sources[row]))[
                    len(sources) // 2 :
                ]
                example = sources[by_length[0]]
                for row in by_length[:SAMPLES]:
                    console.note(f"{self.example(sources[row], references[row], outputs[row])}\n")
        text = quoted(example or prepared.split("valid").texts(0, 1)[0][0])
        plot = f"seq2attn plot-alignment {run} --source {text}" if translator.attends else None
        print_next_commands(run, f"echo {text} | seq2attn translate {run}", plot, tests)
