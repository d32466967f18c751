"""Lines of input as lines of output: blocks that are translated together, with warnings and attention."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2attn.cli import console
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import comparisons, formats, result_files
from seq2attn.cli.output.line_warnings import LineWarnings
from seq2attn.explaining.experiment import Experiment
from seq2attn.inference import Translation, Translator
from seq2attn.inference.attention_file import AttentionWriter
from seq2attn.inference.options import SearchOptions
from seq2attn.tasks import chunks
from seq2attn.tasks.chunks import Chunks
from seq2attn.training.distributed import World

# Lines that are translated together: few at first, for an early answer, then many, so that lines of similar
# length meet.
FIRST_LINES, MOST_LINES = 64, 4096
CHARACTERS_WITH_ATTENTION = 1 << 16  # of lines that are translated together: attention needs much memory


@dataclass
class TranslatedLines:
    """What `seq2attn translate` writes for the lines that it reads."""

    translator: Translator
    search: SearchOptions
    how: Mapping[str, Any]  # arguments of `Translator.translate_lines`
    lines: line_reader.LineReader
    prefixes: line_reader.LineReader | None
    prefix: Path | None  # the file of `prefixes`
    warnings: LineWarnings
    weights: AttentionWriter | None
    format: str
    scores: bool
    alignments: bool
    coverage: bool  # whether to write the source words that were not read
    experiment: Experiment = field(default_factory=Experiment)
    colour: bool = False  # of doubtful words, in text
    number: int = 0  # lines so far

    def blocks(self, most: int | None = None) -> Iterator[str]:
        """The output of the next `most` lines, block by block; None: of all lines."""
        characters = line_reader.CHARACTERS if self.weights is None else CHARACTERS_WITH_ATTENTION
        size = FIRST_LINES if most is None else MOST_LINES
        while most is None or most > 0:
            block = self.lines.take(size if most is None else min(size, most), characters)
            if not block:
                return
            yield self._output(block)
            size = min(2 * size, MOST_LINES)
            most = None if most is None else most - len(block)

    def write_to(
        self, output: Path | None, fingerprint: Callable[[], str] | None, world: World, progress: bool
    ) -> None:
        """Write the output for all lines; in chunks where there is a `fingerprint` of them."""
        with ExitStack() as stack:
            live = stack.enter_context(console.progress()) if progress else None
            started = time.monotonic()

            def show(number: int) -> None:
                if live is not None:
                    speed = number / max(time.monotonic() - started, 1e-9)
                    live("translating", number, None, f"{speed:,.0f} lines/s")

            if output is not None and fingerprint is not None:
                of_output = Chunks(output, fingerprint, world)
                stack.enter_context(chunks.told_to_continue(of_output))
                self.in_chunks(of_output, show)
            else:
                write = result_files.writer(stack, output)
                for part in self.blocks():
                    write(part)
                    show(self.number)
        if self.prefixes is not None and self.prefixes.take(1):
            console.warn(f"{self.prefix}: has more lines than the input; the rest is not used")

    def in_chunks(self, of_output: Chunks, show: Callable[[int], None]) -> None:
        """Make the chunks that fall to this process, and the output once all are there."""
        for chunk in itertools.count():
            before = self.number
            if of_output.is_own(chunk):
                parts = []
                for part in self.blocks(chunks.LINES):
                    parts.append(part)
                    show(self.number)
                if self.number > before:
                    of_output.write(chunk, "".join(parts))
            else:
                self.number += self.lines.skip(chunks.LINES)
                if self.prefixes is not None:
                    self.prefixes.skip(self.number - before)
            if self.number == before:
                of_output.put_together(chunk)
                return

    def _output(self, block: list[line_reader.Line]) -> str:
        starts = None
        if self.prefixes is not None:
            starts = self.prefixes.take_all(len(block), str(self.prefix), block[-1].where)
        is_json = self.format == "jsonl"
        records = [self.warnings.record(line) if is_json else {"text": line.text} for line in block]
        texts = [record["text"] if isinstance(record.get("text"), str) else "" for record in records]
        if self.experiment:
            return self._comparisons(block, records, texts, starts)
        outputs = self.translator.translate_lines(
            texts, self.search, prefixes=starts, first=self.number, **self.how
        )
        parts = []
        for line, record, translations in zip(block, records, outputs, strict=True):
            self.warnings.check(line, record.get("text"), translations[0])
            n_best = self.search.n_best
            if is_json:
                extra = self.alignments, self.coverage
                parts.append(formats.as_json(record, translations, n_best, *extra))
            elif self.format == "moses":
                parts.append(formats.as_moses(translations, self.number, self.alignments))
            else:
                parts.append(self._as_text(translations))
            if self.weights is not None:
                self.weights.add(self.number, translations)
            self.number += 1
        return "".join(parts)

    def _comparisons(
        self,
        block: list[line_reader.Line],
        records: list[dict[str, Any]],
        texts: list[str],
        starts: list[str] | None,
    ) -> str:
        """The translations of some lines with and without the experiment."""
        from seq2attn.explaining.comparison import compare

        where = [line.where for line in block]
        outputs = compare(
            self.translator,
            texts,
            self.experiment,
            self.search,
            prefixes=starts,
            first=self.number,
            where=where,
        )
        self.number += len(block)
        parts = []
        for line, record, comparison in zip(block, records, outputs, strict=True):
            self.warnings.check(line, record.get("text"), comparison.normal)
            if (steps := comparison.unreached) and comparison.normal.source_words:
                last = len(comparison.changed.tokens) + 1
                console.warn(
                    f"{line.where}: --attend changed nothing at step {', '.join(map(str, steps))}: the "
                    f"changed translation ends at step {last}"
                )
            is_json = self.format == "jsonl"
            parts.append(
                comparisons.as_json(record, comparison) if is_json else comparisons.as_text(comparison)
            )
        return "".join(parts)

    def _as_text(self, translations: list[Translation]) -> str:
        options = self.search.n_best, self.scores, self.alignments, self.coverage, self.colour
        return formats.as_text(translations, *options)
