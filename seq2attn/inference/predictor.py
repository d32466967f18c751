"""What translation and captioning share: options, batches for all cores, and the search.

The search is over one model or several. This module knows models by their encoder and decoder interface, and
neither what a source is nor how it is read.
"""

import abc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from seq2attn.config import Config, Precision
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from seq2attn.device_memory import decoding_tokens, too_little_memory
from seq2attn.devices import FLOATS, Format, autocast, find_format
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.attention_weights import needed
from seq2attn.inference.confidence import (
    NAMES,
    Confidence,
    step_quantities,
    with_confidence,
    with_features,
    word_features,
)
from seq2attn.inference.encoding import encode_texts, pad, refuse_no_strings
from seq2attn.inference.ensemble import Ensemble, EnsembleState
from seq2attn.inference.graphed_beam import GraphedBeamSearch
from seq2attn.inference.options import (
    BATCH_TOKENS,
    AttentionOption,
    ResolvedOptions,
    SearchOptions,
    with_shortcuts,
)
from seq2attn.inference.phrase_beam import Edges, Phrase, phrase_beam_search
from seq2attn.inference.required import edges_of
from seq2attn.inference.scheduling.batches import GROUP, STEP, batches
from seq2attn.inference.scheduling.fork_pool import CAN_FORK, ForkPool
from seq2attn.inference.scheduling.fork_safety import at_work
from seq2attn.inference.scheduling.threads import map_in_threads, thread_count
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.models.state import select
from seq2attn.notes import note
from seq2attn.runs.calibration import Calibration
from seq2attn.runs.calibration import load as load_calibration
from seq2attn.runs.choice import AttentionChoice, remembered
from seq2attn.runs.half_weights import computes_in_half
from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits
from seq2attn.search.mbr import rank_by_expected_utility
from seq2attn.search.sampling import sample, seed_of
from seq2attn.search.step import Hypothesis, NonFiniteProbabilities

BANNED = (PAD, UNK, BOS)
STREAMS = 2**20  # random streams of attention that samples: see `models.memory.Memory`
WIDTH = 2  # rows of each source; a wider search has fewer sources in a batch
WIDE = 256  # rows of each source; in a wider search each source is a batch of its own
NARROW = 16  # rows of each source; no search up to this width needs more memory than is allowed
MAX_NUMBERS = 2**29  # numbers of one batch that a wider search may keep (2 GiB); on a GPU 1/4 of its memory
MAX_PREFIX = 1024  # tokens of a prefix, if the longest output is shorter
MIN_FORK_WORK = 2**12  # source positions times rows of each source; less work is not worth processes
NO_NUMBERS = (
    "the model's probabilities are not numbers: its weights are damaged, or too large for this precision "
    "(try fp32)"
)
TOO_LITTLE_MEMORY = (
    "max_length or `beam` is too large for the memory of the device: even one input alone does not fit; make "
    "them smaller, or choose `device` cpu"
)
_ONE_RUN = "confidence is that of one run, and this is {}: name one run"

Source = TypeVar("Source")  # one input as a member reads it
Result = TypeVar("Result")


def _max_numbers(device: torch.device) -> int:
    """How many float32 numbers the search of one batch may keep."""
    if device.type != "cuda":
        return MAX_NUMBERS
    return max(MAX_NUMBERS, torch.cuda.get_device_properties(device).total_memory // 4 // 4)


class Job(NamedTuple):
    """A batch of inputs, with all that its search needs."""

    inputs: list[Any]
    sources: list[list[Any]]  # by member, then by input
    positions: list[int]  # source positions of each input
    limits: list[int]  # maximum output length of each input
    prefixes: list[list[int]] | None
    seeds: list[int]
    options: ResolvedOptions
    phrases: list[list[Phrase]] | None = None  # what the outputs of each input must hold
    spaced: bool = True  # whether the outputs have spaces between words

    def halves(self) -> "tuple[Job, Job]":
        """Two batches, of the first half of the inputs and of the others."""
        half = len(self.inputs) // 2
        first, second = (
            Job(
                self.inputs[part],
                [side[part] for side in self.sources],
                self.positions[part],
                self.limits[part],
                None if self.prefixes is None else self.prefixes[part],
                self.seeds[part],
                self.options,
                None if self.phrases is None else self.phrases[part],
                self.spaced,
            )
            for part in (slice(half), slice(half, None))
        )
        return first, second


class Predictor(abc.ABC, Generic[Source, Result]):
    """Models and a target tokenizer, ready to search.

    Every call leaves the models in the mode (training or evaluation) in which they were.
    """

    unit: ClassVar[str]  # name of an input in messages
    replaces_unknown: ClassVar[bool] = False  # whether inputs have words for `SearchOptions.replace_unknown`
    # A batch has a multiple of so many sources. With 1 a single source takes less time, but the last bits of
    # its numbers depend on the sources beside it.
    group = GROUP

    def __init__(
        self,
        models: Sequence[Seq2Seq],
        target_tokenizer: Tokenizer,
        config: Config,
        languages: tuple[str | None, str | None],
        precision: str,
        processes: bool,
    ) -> None:
        self.models = tuple(models)
        self.ensemble = Ensemble(self.models, [self._same_positions(member) for member in range(len(models))])
        self.config = config
        # the attention that is shown where a caller names no layer and head; None: the mean of all
        self._choice: AttentionChoice | UserError | None = None
        self.run: Path | None = None  # from which the only model is loaded
        self._calibration: Calibration | None = None  # of that run, once it was needed
        self.languages = languages
        self.target_tokenizer = target_tokenizer
        parameter = next(models[0].decoder.parameters())
        self.device = parameter.device
        plain = precision == "auto" or computes_in_half(self.models)  # without autocast
        self.format = find_format("fp32" if plain else cast(Precision, precision), self.device)
        can_fork = processes and CAN_FORK and self.device.type == "cpu" and torch.get_num_threads() > 1
        self._processes = ForkPool(self._search, torch.get_num_threads()) if can_fork else None
        graphs = config.search.cuda_graphs and self.device.type == "cuda"
        self._graphs = GraphedBeamSearch(self.ensemble, self.device) if graphs else None
        self._notes_samples = True  # once
        # In half precision the last bits differ between batches anyway, and padding costs time.
        self._multiple = STEP if self.format == "fp32" and parameter.dtype.itemsize >= 4 else GROUP

    @abc.abstractmethod
    def _read(self, member: int, sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
        """The input of a member's encoder: a tensor of the sources, and their mask."""

    @abc.abstractmethod
    def _padding_source(self, sources: Sequence[Source]) -> Source:
        """A source that fills up a batch of `sources` and takes little time to read."""

    @abc.abstractmethod
    def _result(
        self, input: Any, source: Source, hypothesis: Hypothesis, attention: AttentionOption
    ) -> Result:
        """A hypothesis as people read it. `source` is that of the first member."""

    @abc.abstractmethod
    def _same_positions(self, member: int) -> bool:
        """Whether the source positions of a member are those of the first one."""

    def close(self) -> None:
        """End the processes, if there are any. The next large call starts new ones."""
        if self._processes is not None:
            self._processes.close()

    @property
    def may_fork(self) -> bool:
        """Whether the next call may start processes; no other thread may compute then."""
        return self._processes is not None and self._processes.is_owner and not self._processes.running

    def remember_choice(self, run: str | os.PathLike[str]) -> None:
        """Show from now on what the run remembers, if anything (`seq2attn audit --remember`).

        An ensemble remembers nothing. If the file is damaged, or the attention has no such layer or head,
        whoever reads the choice gets the error: who needs no attention need not know.
        """
        if len(self.models) == 1:
            self.run = Path(run).absolute()  # the caller may change the working directory
        model = self.config.model
        try:
            choice = remembered(run) if len(self.models) == 1 and self.attends else None
            if choice is not None:
                choice.check(run, model.attention_layers, model.attention.heads)
            self._choice = choice
        except UserError as error:
            self._choice = error

    @property
    def choice(self) -> AttentionChoice | None:
        """The attention to show where the caller names none; None: the mean. See `remember_choice`."""
        if isinstance(self._choice, UserError):
            raise self._choice
        return self._choice

    @choice.setter
    def choice(self, choice: AttentionChoice | None) -> None:
        self._choice = choice

    def needed_attention(self, option: AttentionOption) -> AttentionOption:
        """What the models must compute so that an option can be answered. Raises what `choice` raises."""
        return option and needed(option, self.choice)

    def calibration(self) -> Calibration:
        """How the run turns features of words into confidence (`seq2attn calibrate`).

        Raises UsageError for an ensemble and for a model without a run, UserError for a run that has no
        calibration, or a damaged one, or one of other weights.
        """
        if self.run is None:
            whose = "an ensemble" if len(self.models) > 1 else "a model that was not loaded from one"
            raise UsageError(_ONE_RUN.format(whose), setting="confidence")
        if self._calibration is None:
            self._calibration = load_calibration(self.run, NAMES, self.config.model)
        return self._calibration

    @property
    def attends(self) -> bool:
        """Whether the model has attention to show."""
        return self.config.model.attends

    @property
    def precision(self) -> Format:
        """The number format of the products."""
        dtype = next(self.models[0].decoder.parameters()).dtype
        return next((name for name, half in FLOATS.items() if half == dtype), self.format)

    @property
    def batch_tokens(self) -> int:
        """The default number of padded source positions of one batch."""
        return BATCH_TOKENS if self.device.type == "cpu" else decoding_tokens(self.device)

    def encode(self, sources: Sequence[Sequence[Source]], seeds: Sequence[int]) -> list[Memory]:
        """The memory of each member; `sources` by member. `seeds` are for attention that samples."""
        stream_B = torch.tensor([seed % STREAMS for seed in seeds], device=self.device)
        return [
            self._encode(member, of_member)._replace(stream_B=stream_B)
            for member, of_member in enumerate(sources)
        ]

    def encoder_input(self, member: int, sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
        """The sources and their mask, on the device, as the encoder of a member takes them."""
        source, mask = self._read(member, sources)
        return source.to(self.device), mask.to(self.device)

    def _encode(self, member: int, sources: Sequence[Source]) -> Memory:
        encoded: Memory = self.models[member].encoder(*self.encoder_input(member, sources))
        return encoded

    @contextmanager
    def inference_mode(self) -> Iterator[None]:
        """No dropout, no gradients, and the number format of this predictor.

        Restores the mode of every module. Raises UserError as `at_work` does.
        """
        before = [(module, module.training) for model in self.models for module in model.modules()]
        for model in self.models:
            model.eval()
        try:
            with at_work(self.device.type), self._without_gradients():
                yield
        finally:
            for module, training in before:
                module.training = training

    @contextmanager
    def _without_gradients(self) -> Iterator[None]:
        """No gradients, and the number format.

        Under autocast torch converts a weight of a model in training once for all steps. In inference mode it
        would do so at each.
        """
        mode = torch.inference_mode if self.format == "fp32" else torch.no_grad
        with mode(), autocast(self.device, self.format):
            yield

    def _resolve(
        self,
        options: SearchOptions | None,
        shortcuts: Mapping[str, Any],
        inputs: Sequence[object],
        prefixes: Sequence[str] | None,
    ) -> ResolvedOptions:
        """The options of a call, with the run's own settings in place of None; see `with_shortcuts`.

        Raises UsageError for options and prefixes that make no sense.
        """
        resolved = with_shortcuts(options, shortcuts).resolved(self.config.search)
        if isinstance(resolved.utility, str):
            raise UsageError(
                f"utility {resolved.utility}: a translator and a captioner take a function; "
                f'evaluation.text.utility("{resolved.utility}", language) is one',
                setting="utility",
            )
        if resolved.confidence and len(self.models) > 1:
            raise UsageError(_ONE_RUN.format("an ensemble"), setting="confidence")
        if resolved.replace_unknown and not (self.replaces_unknown and self.attends):
            missing = "attention" if self.replaces_unknown else f"words: an {self.unit} has none"
            raise UsageError(
                f"replace_unknown writes source words by attention, and there is no {missing}; leave it out",
                setting="replace_unknown",
            )
        if resolved.sample_count and self._graphs is not None and self._notes_samples:
            note("search.cuda_graphs changes nothing here: samples are drawn without graphs")
            self._notes_samples = False
        refuse_no_strings("a prefix", prefixes or ())
        if prefixes is not None and len(prefixes) != len(inputs):
            raise UsageError(
                f"there are {len(prefixes)} prefixes and {len(inputs)} {self.unit}s: each {self.unit} needs "
                "its own, which may be empty"
            )
        return resolved

    def _encode_prefixes(
        self, prefixes: Sequence[str] | None, limits: Sequence[int]
    ) -> tuple[list[list[int]] | None, list[int]]:
        """The ids of each prefix, up to a limit, and how many ids it has beyond it.

        The limit is that of the output, but at least MAX_PREFIX.
        """
        if prefixes is None:
            return None, []
        ids = encode_texts(self.target_tokenizer, prefixes)
        longest = [max(limit, MAX_PREFIX) for limit in limits]
        return (
            [prefix[:limit] for prefix, limit in zip(ids, longest, strict=True)],
            [max(0, len(prefix) - limit) for prefix, limit in zip(ids, longest, strict=True)],
        )

    def _decode_batches(
        self,
        inputs: Sequence[Any],
        sources: Sequence[Sequence[Source]],
        positions: Sequence[int],
        limits: Sequence[int],
        rows: Sequence[int],
        prefixes: Sequence[Sequence[int]] | None,
        options: ResolvedOptions,
        numbers: Sequence[int],
        phrases: Sequence[list[Phrase]] | None = None,
        spaced: bool = True,
    ) -> Iterator[tuple[int, list[Result]]]:
        """The results of the inputs `rows`, in any order.

        `sources` by member, then by input; the rest by input. `numbers` select the random streams. `phrases`
        are what outputs must hold, and `spaced` is whether they have spaces between words.
        """
        batch_tokens = self.batch_tokens if options.batch_tokens is None else options.batch_tokens
        self._refuse_wide({i: (positions[i], limits[i]) for i in rows}, options)
        cores = thread_count(self.device) if self._processes is None else self._processes.count
        batch_tokens = max(1, batch_tokens * WIDTH // max(WIDTH, options.width))
        # The longest batches come first, so that no core waits for a long one at the end.
        plan = batches(rows, positions, batch_tokens, cores)[::-1]
        if options.width > WIDE:
            plan = [[i] for batch in plan for i in batch]
        jobs = [
            Job(
                [inputs[i] for i in batch],
                [[side[i] for i in batch] for side in sources],
                [positions[i] for i in batch],
                [limits[i] for i in batch],
                None if prefixes is None else [list(prefixes[i]) for i in batch],
                [seed_of(options.seed, numbers[i]) for i in batch],
                options,
                None if phrases is None else [phrases[i] for i in batch],
                spaced,
            )
            for batch in plan
        ]
        calibration = self.calibration() if options.confidence is True else None
        try:
            with self.inference_mode(), self._run_jobs(jobs) as results:
                for batch, of_batch in zip(plan, results, strict=True):
                    if calibration is not None:
                        of_batch = [with_confidence(ranked, calibration) for ranked in of_batch]
                    yield from zip(batch, of_batch, strict=True)
        except NonFiniteProbabilities:
            raise UserError(NO_NUMBERS) from None

    def _refuse_wide(self, sizes: dict[int, tuple[int, int]], options: ResolvedOptions) -> None:
        """Raise UsageError if a wide search could need gigabytes.

        For every row of every step it keeps the attention and, in a Transformer, keys and values. `sizes`
        holds the source positions and the maximum output length of each input.
        """
        if options.width <= NARROW or not sizes:
            return
        decoder = self.config.model.decoder
        state = 2 * decoder.size * decoder.layers if decoder.kind == "transformer" else 4
        matrices = int(bool(options.attention))
        if self.needed_attention(options.attention) == "all":
            matrices = self.config.model.attention_layers * self.config.model.attention.heads
        group = self.group if options.width <= WIDE else 1
        number, (positions, limit) = max(
            sizes.items(), key=lambda item: (item[1][1] + 1) * (state + item[1][0] * matrices)
        )
        count = group * options.width * (limit + 1) * (state + positions * matrices)
        if count > _max_numbers(self.device):
            name = "n_best" if options.sample else "samples" if options.sample_count else "beam"
            attention = ", or leave out the attention" if options.attention else ""
            raise UsageError(
                f"{name} is {options.width}: for a source of {positions:,} tokens "
                f"(number {number} of this call) and outputs of up to {limit:,} the search may "
                f"take {count * 4 / 2**30:,.0f} GB; make `{name}` or `max_length` smaller{attention}",
                setting=name,
            )

    def _run_jobs(self, jobs: Sequence[Job]) -> AbstractContextManager[Iterator[list[list[Result]]]]:
        """The results of `_search` for each job, in order; see `scheduling`."""
        pool = self._processes
        work = sum(sum(job.positions) * job.options.width for job in jobs)
        if pool is None or not pool.is_owner or len(jobs) < 2 or (not pool.running and work < MIN_FORK_WORK):
            return map_in_threads(self._search, jobs, self.device)
        return pool.map(jobs)

    def _search(self, job: Job) -> list[list[Result]]:
        """The results of each input. A batch that does not fit the memory of a GPU is searched in halves."""
        half = len(job.inputs) // 2
        if half == 0:
            with too_little_memory("max_length", TOO_LITTLE_MEMORY):
                return self._search_batch(job)
        try:
            return self._search_batch(job)
        except torch.OutOfMemoryError:
            pass  # here the tensors of the batch are still alive
        torch.cuda.empty_cache()
        return [result for part in job.halves() for result in self._search(part)]

    def _search_batch(self, job: Job) -> list[list[Result]]:
        options = job.options
        group = self.group if options.width <= WIDE else 1
        missing = -len(job.inputs) % group  # sources that are missing to a whole group
        sources = [[*side, *[self._padding_source(side)] * missing] for side in job.sources]
        prefixes = None if job.prefixes is None else pad([*job.prefixes, *[[]] * missing], -1)
        limits = Limits(
            torch.tensor(job.limits + [0] * missing, device=self.device),
            BOS,
            EOS,
            [token for token in BANNED if token != UNK or not options.replace_unknown],
            prefix_BP=prefixes,
            **options.limits(),
        )
        keywords = {"select": select, "batch_multiple": group, **options.keywords()}
        seeds = job.seeds + [0] * missing
        attention = self.needed_attention(options.attention)

        def step(token_R: Tensor, state: EnsembleState) -> tuple[Tensor, EnsembleState, Tensor | None]:
            return self.ensemble.step(token_R, state, attention)

        with self._without_gradients():
            memories = self.encode(sources, seeds)
            if job.phrases is not None:
                state = self.ensemble.initial_state(memories, options.width)
                edges = edges_of(self.target_tokenizer, job.spaced)
                edges = Edges(*(edge.to(self.device) for edge in edges))
                phrases = [*job.phrases, *[[]] * missing]
                results = phrase_beam_search(
                    step, state, limits, phrases, edges, select=select, **options.keywords()
                )
            elif self._graphs is not None and not options.sample_count:
                results = self._graphs(memories, limits, attention=attention, **options.keywords())
            else:
                state = self.ensemble.initial_state(memories, options.width)
                results = (
                    sample(step, state, limits, seeds=seeds, **keywords)
                    if options.sample_count
                    else beam_search(step, state, limits, **keywords)
                )
            # without the sources that fill up the batch
            ranking = [self._rank(hypotheses, options) for hypotheses in results[: len(job.inputs)]]
            features = self._word_features(memories[0], ranking) if options.confidence else None
        ranked = [
            [self._result(input, source, hypothesis, options.attention) for hypothesis in hypotheses]
            for input, source, hypotheses in zip(job.inputs, job.sources[0], ranking, strict=True)
        ]
        if features is None:
            return ranked
        return [
            [with_features(one, own) for one, own in zip(*both, strict=True)]
            for both in zip(ranked, features, strict=True)
        ]

    def _word_features(
        self, memory: Memory, ranking: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Confidence]]:
        """What tells of each word of the hypotheses of each source whether it is right."""
        results: list[list[Confidence]] = [[] for _ in ranking]
        tokenizer = self.target_tokenizer
        for place in range(max(map(len, ranking))):
            outputs = [own[place].tokens if place < len(own) else [] for own in ranking]
            outputs += [[]] * (len(memory.mask_BS) - len(ranking))
            of_outputs = step_quantities(self.models[0].decoder, memory, outputs)
            for own, result, tokens, steps in zip(ranking, results, outputs, of_outputs, strict=False):
                if place < len(own):
                    words = len(tokenizer.decode(tokens).split())
                    result.append(word_features(steps, tokenizer.word_index(tokens), words))
        return results

    def _rank(self, hypotheses: list[Hypothesis], options: ResolvedOptions) -> list[Hypothesis]:
        """The hypotheses as they are or, with a utility, the n best by their expected utility."""
        if options.utility is None:
            return hypotheses
        assert not isinstance(options.utility, str)  # see `_resolve`
        texts = [self.target_tokenizer.decode(hypothesis.tokens) for hypothesis in hypotheses]
        ranking = rank_by_expected_utility(texts, options.utility)[: options.n_best]
        return [hypotheses[index]._replace(score=utility) for index, utility in ranking]
