"""A training on pairs of texts: scored by BLEU, as `translate` searches and `evaluate` scores."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from seq2attn.cli import console
from seq2attn.cli.output.report import note_form
from seq2attn.cli.task import SAMPLES, Said, Task, looking, quoted, say_next, text_scores
from seq2attn.config import Config
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UsageError
from seq2attn.evaluation.model import translate
from seq2attn.evaluation.text import bleu, chrf, without_four
from seq2attn.inference import Translator
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.events import Scores
from seq2attn.training.objectives.self_critical import RewardFunction


class TranslationTask(Task):
    unit, names = "pairs", ("source", "reference", "translation")

    def __init__(self, chosen: Config, prepared: Prepared) -> None:
        self.config, self.prepared = chosen, prepared
        self.training, self.validation = prepared.split("train"), prepared.split("valid")

    def validation_of(self, stop: Callable[[], bool], said: Said) -> Callable[[Seq2Seq], Scores]:
        prepared = self.prepared
        sources, references = prepared.split("valid").texts(0, self.config.train.validate_sentences)
        # one of middling length, the same every time
        shown = sorted(range(len(sources)), key=lambda row: len(sources[row]))[len(sources) // 2]
        as_written = prepared.languages[1], prepared.target_tokenizer.lowercase
        note_form(f"{prepared.path}, split valid", references)

        def validate(model: Seq2Seq) -> Scores:
            translator = Translator(
                model,
                prepared.source_tokenizer,
                prepared.target_tokenizer,
                self.config,
                languages=prepared.languages,
            )
            found = translate(translator, sources, progress=looking(stop, said))
            sample = sources[shown], references[shown], found[shown]
            return text_scores(found, [references], *as_written, sample)

        return validate

    def critic(self) -> RewardFunction:
        raise UsageError("train.self_critical.start_step is by CIDEr-D, of captions: leave it out for text")

    def test(self, run: Path, device: str) -> None:
        translator = Translator.load(run, device=device)
        prepared, example = self.prepared, None
        tests = [name for name in prepared.splits if name.startswith("test")]
        for name in tests:
            sources, references = prepared.split(name).texts()
            if not sources:
                continue
            with console.progress() as progress:
                found = translate(translator, sources, progress=partial(progress, f"translating {name}"))
            note_form(f"{prepared.path}, split {name}", references)
            language, lowercase = prepared.languages[1], prepared.target_tokenizer.lowercase
            console.result(f"{bleu(found, [references], language, lowercase)}  {name}")
            if reason := without_four(found, [references], language):
                by_characters = chrf(found, [references], language, lowercase)
                console.note(f"{name}: BLEU says nothing here: {reason}; go by {by_characters}")
            if example is None:
                middling = sorted(range(len(sources)), key=lambda row: len(sources[row]))[len(sources) // 2 :]
                example = sources[middling[0]]
                for row in middling[:SAMPLES]:
                    console.note(f"{self.example(sources[row], references[row], found[row])}\n")
        text = quoted(example or prepared.split("valid").texts(0, 1)[0][0])
        plot = f"seq2attn plot-alignment {run} --source {text}" if translator.attends else None
        say_next(run, f"echo {text} | seq2attn translate {run}", plot, tests)
