"""What translating and captioning have in common: batches shared out to the cores, a search over one model or
an ensemble, outputs forced on it.

It knows models by their encoder and decoder interface alone, and neither what sources are nor how they are
read.
"""

import abc
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from seq2attn.config import Config, Precision
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from seq2attn.devices import autocast, find_format
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.batching import GROUP, STEP, batches, encoded, padded
from seq2attn.inference.forks import at_work
from seq2attn.inference.heads import select_weights
from seq2attn.inference.options import Options, refuse_number
from seq2attn.inference.processes import CAN_FORK, ForkPool
from seq2attn.inference.threads import map_in_threads, shares
from seq2attn.models import memory
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits
from seq2attn.search.mbr import Utility, rank_by_expected_utility
from seq2attn.search.sampling import sample as sampled
from seq2attn.search.sampling import seed_of
from seq2attn.search.step import Hypothesis, NonFiniteProbabilities, normalised

BATCH_TOKENS = {"cpu": 3072, "cuda": 16384}  # padded source positions of one batch, by the device's kind
BANNED = (PAD, UNK, BOS)
STREAMS = 2**20  # of random numbers that attention may draw from: see `models.memory.Memory`
SAMPLES = 32  # drawn of a source, where the one of highest expected utility is wanted
WIDTH = 2  # rows a source; a wider search has fewer sources in a batch
WIDE = 256  # rows a source; beyond it each source is a batch of its own, with nothing beside it
NARROW = 16  # rows a source; up to it no search takes more memory than one is allowed
MOST_NUMBERS = 2**29  # that a wider search may have to keep of one source; on a GPU, a quarter of its memory
MOST_PREFIX = 1024  # tokens of a prefix, where the longest output is shorter
# source positions times rows a source: with less work than that it does not pay to start processes
FORK = 2**12
LOGITS = 2**24  # numbers of one block of forced logits: 64 MiB

Source = TypeVar("Source")  # what a member is given of one input
Result = TypeVar("Result")


class Job(NamedTuple):
    """A batch of inputs to search for, and all that is to be known of it."""

    inputs: list[Any]
    sources: list[list[Any]]  # of the inputs, for each member
    positions: list[int]  # of each source
    limits: list[int]  # tokens of the longest output of each
    prefixes: list[list[int]] | None
    seeds: list[int]
    options: Options


class _State(NamedTuple):
    """What a step of the ensemble needs of each member: its decoder's state by rows, and its source by
    inputs.
    """

    decoders: tuple[Any, ...]
    sources: memory.Shared[tuple[Any, ...]]


def _most_numbers(device: torch.device) -> int:
    if device.type != "cuda":
        return MOST_NUMBERS
    return max(MOST_NUMBERS, torch.cuda.get_device_properties(device).total_memory // 4 // 4)  # of four bytes


class Predictor(abc.ABC, Generic[Source, Result]):
    """Models and a target tokenizer, ready to search. A model's mode of training is given back after each
    call.
    """

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
        self.config = config
        # of the attention weights that are given, from 1; None: the mean of all
        self.layer: int | None = None
        self.head: int | None = None
        self.languages = languages
        self.target_tokenizer = target_tokenizer
        first = next(models[0].decoder.parameters())
        self.device = first.device
        halved = first.dtype != torch.float32  # already computes in its own format, and nothing is to be cast
        self.format = find_format(
            "fp32" if halved or precision == "auto" else cast(Precision, precision), self.device
        )
        useful = processes and CAN_FORK and self.device.type == "cpu" and torch.get_num_threads() > 1
        self._processes = ForkPool(self._search, torch.get_num_threads()) if useful else None
        # In half precision the last bits are not the same in every batch anyway, and padding is time.
        self._multiple = STEP if self.format == "fp32" and first.dtype.itemsize >= 4 else GROUP

    @abc.abstractmethod
    def _read(self, member: int, sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
        """What the encoder of a member is given: the sources, and their mask."""

    @abc.abstractmethod
    def _filling(self, sources: Sequence[Source]) -> Source:
        """A source that fills up a batch beside these, cheap to read."""

    @abc.abstractmethod
    def _result(self, input: Any, source: Source, hypothesis: Hypothesis) -> Result:
        """What a search found of an input, as people read it. `source` is the first member's."""

    @abc.abstractmethod
    def _alike(self, member: int) -> bool:
        """Whether the positions of a member's sources are those of the first one's."""

    def close(self) -> None:
        """End the processes, where there are any. The next large call starts others."""
        if self._processes is not None:
            self._processes.close()

    @property
    def may_fork(self) -> bool:
        """Whether the next call may start processes, so that no other thread is to compute then."""
        return self._processes is not None and self._processes.mine and not self._processes.running

    @property
    def attends(self) -> bool:
        """Whether the model has attention to show."""
        return self.config.model.decoder.context_source == "attention"

    @property
    def batch_tokens(self) -> int:
        """Padded source tokens of one batch, where the caller does not say."""
        return BATCH_TOKENS.get(self.device.type, BATCH_TOKENS["cpu"])

    def _options(
        self,
        beam: int | None,
        n_best: int,
        length_penalty: float | None,
        max_length: int | None,
        min_length: int | None,
        sample: bool,
        temperature: float,
        top_k: int,
        top_p: float,
        no_repeat_ngram: int | None,
        utility: Utility | None,
        samples: int | None,
        attention: bool,
    ) -> Options:
        """With nothing left to the run."""
        settings = self.config.search
        if samples is not None and utility is None:
            raise UsageError(
                f"samples is {samples}: they are drawn to choose from by a utility, which is not given; n_best says how many sample=True gives"
            )
        return Options(
            settings.beam if beam is None else beam,
            n_best,
            settings.length_penalty if length_penalty is None else length_penalty,
            settings.max_length if max_length is None else max_length,
            settings.min_length if min_length is None else min_length,
            sample,
            temperature,
            top_k,
            top_p,
            settings.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram,
            utility,
            n_best if sample else 0 if utility is None else SAMPLES if samples is None else samples,
            attention,
        )

    def _share_out(
        self,
        inputs: Sequence[Any],
        sources: Sequence[Sequence[Source]],
        positions: Sequence[int],
        limits: Sequence[int],
        rows: Sequence[int],
        forced: Sequence[Sequence[int]] | None,
        options: Options,
        seed: int,
        first: int,
        batch_tokens: int | None,
    ) -> Iterator[tuple[int, list[Result]]]:
        """What is found of each of the inputs `rows`, in any order. `sources` are those of each member,
        `positions`, `limits` and `forced` prefixes of each input.
        """
        batch_tokens = self.batch_tokens if batch_tokens is None else batch_tokens
        refuse_number("batch_tokens", batch_tokens, 1, None)
        self._refuse_wide([(positions[i], limits[i]) for i in rows], options)
        # The longest come first, so that none waits for a long one at the end.
        cores = shares(self.device) if self._processes is None else self._processes.count
        planned = batches(rows, positions, max(1, batch_tokens * WIDTH // max(WIDTH, options.width)), cores)[
            ::-1
        ]
        if options.width > WIDE:
            planned = [[i] for some in planned for i in some]
        jobs = [
            Job(
                [inputs[i] for i in some],
                [[side[i] for i in some] for side in sources],
                [positions[i] for i in some],
                [limits[i] for i in some],
                None if forced is None else [list(forced[i]) for i in some],
                [seed_of(seed, first + i) for i in some],
                options,
            )
            for some in planned
        ]
        try:
            with self._at_rest(), self._at_work(jobs) as found:
                for some, results in zip(planned, found, strict=True):
                    yield from zip(some, results, strict=True)
        except NonFiniteProbabilities:
            raise UserError(NO_NUMBERS) from None

    def _prefixes(
        self, prefixes: Sequence[str] | None, limits: Sequence[int]
    ) -> tuple[list[list[int]] | None, list[int]]:
        """The ids that outputs begin with, and how many more of each there were than an output can hold."""
        if prefixes is None:
            return None, []
        ids = encoded(self.target_tokenizer, prefixes)
        most = [max(limit, MOST_PREFIX) for limit in limits]
        return [one[:m] for one, m in zip(ids, most, strict=True)], [
            max(0, len(one) - m) for one, m in zip(ids, most, strict=True)
        ]

    def _refuse_wide(self, sizes: Sequence[tuple[int, int]], options: Options) -> None:
        """Raise UsageError where a search so wide might keep gigabytes: of every row at every step what it
        read, and in a Transformer what later steps read of it.
        """
        if options.width <= NARROW or not sizes:
            return
        decoder = self.config.model.decoder
        stored = 2 * decoder.size * decoder.layers if decoder.kind == "transformer" else 4
        beside = GROUP if options.width <= WIDE else 1
        count, positions, limit = max(
            (
                beside * options.width * (limit + 1) * (stored + (positions if options.attention else 0)),
                positions,
                limit,
            )
            for positions, limit in sizes
        )
        if count > _most_numbers(self.device):
            name = (
                "samples" if options.drawn and not options.sample else "n_best" if options.sample else "beam"
            )
            attention = ", or leave out the attention" if options.attention else ""
            raise UsageError(
                f"{name} is {options.width}: for a source of {positions:,} tokens and outputs of up to {limit:,} the search may take "
                f"{count * 4 / 2**30:,.0f} GB; make {name} or max_length smaller{attention}"
            )

    def _at_work(self, jobs: Sequence[Job]) -> AbstractContextManager[Iterator[list[list[Result]]]]:
        """What `_search` makes of each job: all cores have one at a time."""
        work = sum(sum(job.positions) * job.options.width for job in jobs)
        if (
            self._processes is None
            or not self._processes.mine
            or len(jobs) < 2
            or (not self._processes.running and work < FORK)
        ):
            return map_in_threads(self._search, jobs, self.device)
        return self._processes.map(jobs)

    def _search(self, job: Job) -> list[list[Result]]:
        options = job.options
        group = GROUP if options.width <= WIDE else 1
        filling = -len(job.inputs) % group
        sources = [[*side, *[self._filling(side)] * filling] for side in job.sources]
        prefixes = None if job.prefixes is None else padded([*job.prefixes, *[[]] * filling], -1)
        limits = Limits(
            torch.tensor(job.limits + [0] * filling, device=self.device),
            BOS,
            EOS,
            BANNED,
            options.min_length,
            prefixes,
            options.no_repeat_ngram,
        )
        ranking: dict[str, Any] = {
            "select": memory.select,
            "length_penalty": options.length_penalty,
            "batch_multiple": group,
        }
        seeds = job.seeds + [0] * filling
        step = self._step if options.attention else self._blind_step
        with torch.inference_mode(), autocast(self.device, self.format):
            state = self._start(sources, options.width, seeds)
            if options.drawn:
                found = sampled(
                    step,
                    state,
                    limits,
                    seeds=seeds,
                    samples=options.drawn,
                    temperature=options.temperature,
                    top_k=options.top_k,
                    top_p=options.top_p,
                    **ranking,
                )
            else:
                found = beam_search(step, state, limits, beam=options.beam, n_best=options.n_best, **ranking)
        return [
            [self._result(input, source, hypothesis) for hypothesis in self._ranked(hypotheses, options)]
            for input, source, hypotheses in zip(job.inputs, job.sources[0], found, strict=False)
        ]

    def _ranked(self, hypotheses: list[Hypothesis], options: Options) -> list[Hypothesis]:
        """As they came or, with a utility, the best by it."""
        if options.utility is None:
            return hypotheses
        ranked = rank_by_expected_utility(
            [self.target_tokenizer.decode(hypothesis.tokens) for hypothesis in hypotheses], options.utility
        )
        return [hypotheses[place]._replace(score=expected) for place, expected in ranked[: options.n_best]]

    def _forced_on(
        self,
        inputs: Sequence[Any],
        sources: Sequence[Sequence[Source]],
        positions: Sequence[int],
        targets: Sequence[Sequence[int]],
        attention: bool,
        seed: int,
        first: int,
        batch_tokens: int | None,
    ) -> list[Hypothesis]:
        """Each input with the target ids it is given: the score and the attention that teacher forcing gives."""
        batch_tokens = self.batch_tokens if batch_tokens is None else batch_tokens
        found: dict[int, Hypothesis] = {}
        lengths = [max(count, len(target) + 1) for count, target in zip(positions, targets, strict=True)]
        with self._at_rest():
            for rows in batches(range(len(inputs)), lengths, batch_tokens):
                outputs = [targets[i] for i in rows]
                inputs_BT = padded([[BOS, *output] for output in outputs], PAD).to(self.device)
                targets_BT = padded([[*output, EOS] for output in outputs], PAD).to(self.device)
                seeds = [seed_of(seed, first + i) for i in rows]
                log_p_BT, weights_BTS = self._forced(
                    [[side[i] for i in rows] for side in sources], seeds, inputs_BT, targets_BT, attention
                )
                for place, i in enumerate(rows):
                    length = len(targets[i]) + 1
                    log_p = float(log_p_BT[place, :length].double().sum())
                    if math.isnan(log_p):
                        raise UserError(NO_NUMBERS)
                    score = normalised(log_p, length, self.config.search.length_penalty)
                    weights = None if weights_BTS is None else weights_BTS[place, :length]
                    found[i] = Hypothesis(list(targets[i]), score, log_p, weights, finished=True)
        return [found[i] for i in range(len(inputs))]

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """No dropout, no gradients, in the chosen number format; afterwards every module is in the mode it
        was in. Raises UserError as `at_work` does.
        """
        models = self.models
        before = [(module, module.training) for model in models for module in model.modules()]
        for model in models:
            model.eval()
        try:
            with at_work(self.device.type), torch.inference_mode(), autocast(self.device, self.format):
                yield
        finally:
            for module, training in before:
                module.training = training

    def _memories(self, sources: Sequence[Sequence[Source]], seeds: Sequence[int]) -> list[memory.Memory]:
        stream_B = torch.tensor([seed % STREAMS for seed in seeds], device=self.device)
        return [self._memory(member, side)._replace(stream_B=stream_B) for member, side in enumerate(sources)]

    def _memory(self, member: int, sources: Sequence[Source]) -> memory.Memory:
        source, mask = (tensor.to(self.device) for tensor in self._read(member, sources))
        made: memory.Memory = self.models[member].encoder(source, mask)
        return made

    def _start(self, sources: Sequence[Sequence[Source]], width: int, seeds: Sequence[int]) -> _State:
        decoders = [model.decoder for model in self.models]
        pairs = [
            (decoder, memory)
            for decoder, memory in zip(decoders, self._memories(sources, seeds), strict=True)
        ]
        read = memory.Shared(tuple(decoder.project_memory(m) for decoder, m in pairs), len(sources[0]), width)
        return _State(tuple(decoder.initial_state(m, width) for decoder, m in pairs), read)

    def _step(
        self, token_R: Tensor, state: _State, weights: bool = True
    ) -> tuple[Tensor, _State, Tensor | None]:
        log_ps, states, read = [], [], []
        for model, decoder_state, source in zip(
            self.models, state.decoders, state.sources.parts, strict=True
        ):
            output, after = model.decoder.step(token_R, decoder_state, source, weights)
            log_ps.append(output.logits if len(self.models) == 1 else output.logits.float().log_softmax(-1))
            states.append(after)
            read.append(self._selected(output.weights))
        return _mean_p(log_ps), state._replace(decoders=tuple(states)), self._mean_weights(read)

    def _blind_step(self, token_R: Tensor, state: _State) -> tuple[Tensor, _State, None]:
        log_p, state, _ = self._step(token_R, state, weights=False)
        return log_p, state, None

    def _forced(
        self,
        sources: Sequence[Sequence[Source]],
        seeds: Sequence[int],
        inputs_BT: Tensor,
        targets_BT: Tensor,
        attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """log p of each target token (B, T), and weights (B, T, S). Logits are made and read block by block."""
        log_ps, weights = [], []
        for model, member_memory in zip(self.models, self._memories(sources, seeds), strict=True):
            decoder = model.decoder
            features_BTD, weights_BTLHS, *_ = decoder.hidden_states(inputs_BT, member_memory, attention)
            block = max(1, LOGITS // (len(inputs_BT) * self.target_tokenizer.size))
            parts = []
            for start in range(0, inputs_BT.shape[1], block):
                log_p = decoder.output(features_BTD[:, start : start + block]).float().log_softmax(-1)
                parts.append(log_p.gather(2, targets_BT[:, start : start + block, None])[:, :, 0])
            log_ps.append(torch.cat(parts, 1))
            weights.append(self._selected(weights_BTLHS))
        mean_BTS = self._mean_weights(weights)
        return _mean_p(log_ps).cpu(), None if mean_BTS is None else mean_BTS.float().cpu()

    def _selected(self, weights_LHS: Tensor | None) -> Tensor | None:
        return None if weights_LHS is None else select_weights(weights_LHS, self.layer, self.head)

    def _mean_weights(self, weights: Sequence[Tensor | None]) -> Tensor | None:
        """The mean over the members that attend to the same positions as the first one."""
        alike = [w for member, w in enumerate(weights) if w is not None and self._alike(member)]
        if len(alike) < 2:
            return alike[0] if alike else None
        return torch.stack(alike).mean(0)


NO_NUMBERS = "the model's probabilities are not numbers: its weights are damaged, or too large for this precision (try fp32)"


def _mean_p(log_ps: list[Tensor]) -> Tensor:
    """log of the mean probability."""
    if len(log_ps) == 1:
        return log_ps[0]
    return torch.stack(log_ps).logsumexp(0) - math.log(len(log_ps))
