"""Beam search whose steps are CUDA graphs: a step of the decoder, and of the search, is launched by one call.

A step of a search launches dozens or hundreds of kernels, and for a few sentences each takes less time than
its launch. Here a graph holds the whole step. It is recorded once for each shape, so that shapes are rounded
up: the sentences of a batch, the source positions, and the steps for which a Transformer has room. Sentences
that have finished stay in the batch until it can be half as large.

Slow twin: `search.beam.beam_search`, with `search.constraints` and `search.backpointers`. Held equal by
tests/cuda/on_device/graphed_searches.py.

Shapes: B sentences of the batch, W rows of a sentence, R = B x W rows, N tokens of the vocabulary, K
candidates, S source positions, L layers with attention, H heads, V forbidden tokens, T steps.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.cuda_graphs import Graphs, StaticMemory, round_up
from seq2attn.errors import UserError
from seq2attn.inference.ensemble import Ensemble, EnsembleState
from seq2attn.inference.options import AttentionOption
from seq2attn.inference.static_state import make_static, map_state, settle, tensors_of, widen
from seq2attn.kernels.finished_test import FinishedTest
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.memory import Memory
from seq2attn.models.state import select
from seq2attn.search.backpointers import Backpointers
from seq2attn.search.beam import FinishedPool
from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.no_repeat_ngram import NoRepeatNgram
from seq2attn.search.step import Hypothesis, refuse_nan
from seq2attn.search.topk import log_softmax, top_candidates

MOST = 64  # graphs that are kept
POSITIONS = 16  # the source positions of a batch are a multiple of it
FIRST_STEPS = 31  # for which there is room at first; then there are twice as many and one more


class Options(NamedTuple):
    """What a graph holds as numbers."""

    attention: AttentionOption
    n_best: int
    length_penalty: float
    eos: int
    no_repeat_ngram: int


class Hypotheses(NamedTuple):
    """All that a step reads and changes. It is the same memory at each step."""

    time: Tensor  # int64 (1,): the number of the step, from 0
    token_R: Tensor  # int64: the last token of each row
    state: EnsembleState
    alive_BW: Tensor  # log p of live hypotheses
    finished: FinishedPool
    limit_B: Tensor
    minimum_B: Tensor
    prefix_B: Tensor  # int64: the only next token, -1: any
    banned_V: Tensor
    tokens_BWT: Tensor | None  # int64: the last T tokens with EOS before them, for `no_repeat_ngram`
    link_2BW: Tensor  # int64: the row that each new row extends, and its token
    is_finished_B: Tensor
    unfinished: Tensor  # int64 (): the number of sentences that are not finished
    has_nan: Tensor  # bool ()


Key = tuple[object, ...]


@dataclass
class Static:
    """What a graph reads and leaves."""

    hypotheses: Hypotheses
    weights_RLHS: Tensor | None = None  # of the last step


class GraphedBeamSearch:
    """Beam search with the models of an ensemble. One search runs at a time."""

    def __init__(self, ensemble: Ensemble, device: torch.device) -> None:
        self._ensemble, self._device = ensemble, device
        self._graphs: Graphs[Key, Static] = Graphs(device, MOST)
        self._memory = StaticMemory(device)
        self._one_at_a_time = threading.Lock()

    def __call__(
        self,
        memories: Sequence[Memory],
        limits: Limits,
        *,
        attention: AttentionOption,
        beam: int,
        n_best: int,
        length_penalty: float,
    ) -> list[list[Hypothesis]]:
        """The `n_best` hypotheses of each sentence, as `beam_search` returns them.

        Raises NonFiniteProbabilities if a step returns NaN, and UserError if it cannot be a graph.
        """
        options = Options(attention, n_best, length_penalty, limits.eos, limits.no_repeat_ngram)
        with self._one_at_a_time, torch.no_grad(), _without_cached_casts():
            return self._search(memories, limits, beam, options)

    def _search(
        self, memories: Sequence[Memory], limits: Limits, beam: int, options: Options
    ) -> list[list[Hypothesis]]:
        sentences, positions = len(limits.max_length_B), memories[0].mask_BS.size(1)
        if sentences == 0:
            return []
        # sentences that fill the batch up are the first one again, with outputs of no tokens
        source_B = torch.arange(round_up(sentences), device=self._device)
        source_B = source_B.masked_fill(source_B >= sentences, 0)
        missing = len(source_B) - sentences
        limits = limits._replace(max_length_B=F.pad(limits.max_length_B, (0, missing)))
        if limits.prefix_BP is not None:
            limits = limits._replace(prefix_BP=F.pad(limits.prefix_BP, (0, 0, 0, missing), value=-1))
        constraints = Constraints(limits)
        max_lengths: list[int] = constraints.limit_B.tolist()
        here = self._first(memories, source_B, beam, limits, constraints)
        decoders = [model.decoder for model in self._ensemble.models]
        grows = limits.no_repeat_ngram > 0 or any(isinstance(one, TransformerDecoder) for one in decoders)
        room = FIRST_STEPS
        backpointers, finished_test = Backpointers(), FinishedTest(1)
        sentence_B = torch.arange(len(source_B), device=self._device)
        results = FinishedPool.empty(len(source_B), beam, self._device)
        # a model that was moved has other weights
        weights = hash(tuple(p.data_ptr() for model in self._ensemble.models for p in model.parameters()))
        key, here = self._place(here, options, weights)
        for length in range(constraints.longest + 1):
            if limits.prefix_BP is not None:
                here.prefix_B.copy_(constraints.forced_BT[:, length])
            weights_RLHS = self._step(key, here, options).weights_RLHS
            weights_RLHS = None if weights_RLHS is None else weights_RLHS[..., :positions].clone()
            parent_BW, token_BW = here.link_2BW.clone()
            backpointers.add(sentence_B, parent_BW, token_BW, weights_RLHS)
            unfinished = finished_test.read(here.unfinished)
            if unfinished == 0:
                break
            size = len(sentence_B) if unfinished is None else round_up(unfinished)
            if 2 * size <= len(sentence_B):
                results.put(sentence_B, here.finished)
                keep_B = here.is_finished_B.long().argsort(stable=True)[:size].sort().values
                sentence_B = sentence_B[keep_B]
                constraints.select_sentences(keep_B)
                key, here = self._place(_select_sentences(here, keep_B), options, weights)
            if grows and length + 1 == room <= constraints.longest:
                room = 2 * room + 1
                key, here = self._place(_make_room(here, room, options.eos), options, weights)
        results.put(sentence_B, here.finished)
        refuse_nan(here.has_nan)
        return backpointers.hypotheses(results.ends(options.n_best)[:sentences], max_lengths[:sentences])

    def _first(
        self, memories: Sequence[Memory], source_B: Tensor, beam: int, limits: Limits, bounds: Constraints
    ) -> Hypotheses:
        """The hypotheses before the first step."""
        sentences, new = len(source_B), source_B.new_zeros
        time = new(1)
        longer = [_pad(memory, source_B) for memory in memories]
        state = self._ensemble.initial_state(longer, beam)
        decoders = [model.decoder for model in self._ensemble.models]
        states = tuple(
            make_static(decoder, one, sentences * beam, time, FIRST_STEPS)
            for decoder, one in zip(decoders, state.decoders, strict=True)
        )
        alive_BW = torch.full((sentences, beam), -torch.inf, device=self._device)
        alive_BW[:, 0] = 0.0  # at first the rows of a sentence are equal: only row 0 competes
        tokens_BWT = new(sentences, beam, FIRST_STEPS) + limits.eos if limits.no_repeat_ngram else None
        return Hypotheses(
            time,
            new(sentences * beam) + limits.bos,
            state._replace(decoders=states),
            alive_BW,
            FinishedPool.empty(sentences, beam, self._device),
            bounds.limit_B,
            bounds.minimum_B,
            new(sentences) - 1,
            bounds.banned,
            tokens_BWT,
            new(2, sentences, beam),
            new(sentences).bool(),
            new(()),
            new(()).bool(),
        )

    def _place(self, here: Hypotheses, options: Options, weights: int) -> tuple[Key, Hypotheses]:
        """The same values in the memory that graphs of these shapes know, and the key of these graphs."""
        tensors = tensors_of(here)
        values = [tensor.clone() if self._memory.holds(tensor) else tensor for tensor in tensors]
        if self._memory.begin(tensors):
            self._graphs.clear()
        time = self._memory.take(here.time)
        new = map_state(lambda old: time if old is here.time else self._memory.take(old), here)
        torch._foreach_copy_(tensors_of(new), values)
        return (*((tensor.shape, tensor.dtype) for tensor in tensors), options, weights), new

    def _step(self, key: Key, here: Hypotheses, options: Options) -> Static:
        """Launch a step, by its graph if there is one."""
        graph, own = self._graphs.find(key), Static(here)
        if graph is None and not self._graphs.has_run(key):
            with self._graphs.aside(key):
                self._run(own, options)
            return own
        if graph is None:
            try:
                graph = self._graphs.record(key, own, lambda own: self._run(own, options))
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise UserError(
                    f"search.cuda_graphs: the step cannot be a CUDA graph ({str(error).splitlines()[0]}); "
                    "set search.cuda_graphs=false",
                    setting="search.cuda_graphs",
                ) from None
        graph.replay()
        return graph.static

    def _run(self, static: Static, options: Options) -> None:
        """One step, as in the loop of `beam_search`, which has the number of the step as an integer.

        Written twice: the loop has less to do on a CPU, where it changes nothing in place. Both are held
        equal by `test_search_by_graphs_equals_one_without` in tests/cuda/on_device/graphed_searches.py.
        """
        here, eos, beam = static.hypotheses, options.eos, static.hypotheses.alive_BW.size(1)
        logits_RN, state, weights_RLHS = self._ensemble.step(here.token_R, here.state, options.attention)
        log_p_BWN = _apply_limits(log_softmax(logits_RN).unflatten(0, (-1, beam)), here, options)
        log_p_BK, row_BK, token_BK = top_candidates(log_p_BWN, here.alive_BW, 2 * beam)
        is_end_BK = token_BK == eos

        end_log_p_BW = log_p_BK[:, :beam].double().masked_fill(~is_end_BK[:, :beam], -torch.inf)
        score_BW = end_log_p_BW / (here.time + 1).double() ** options.length_penalty
        row_BW = row_BK[:, :beam]
        new = FinishedPool(score_BW, end_log_p_BW, here.time.expand_as(row_BW), row_BW)
        finished = here.finished.merge(new)

        alive_BW, index_BW = log_p_BK.masked_fill(is_end_BK, -torch.inf).topk(beam)
        parent_BW, token_BW = row_BK.gather(1, index_BW), token_BK.gather(1, index_BW)
        best_B = alive_BW[:, 0].double() / (here.limit_B + 1).double() ** options.length_penalty
        if beam == 1:
            best_B = best_B.masked_fill(finished.score[:, 0] > -torch.inf, -torch.inf)
        is_finished_B = ~(best_B > finished.score[:, options.n_best - 1])

        first_row_B1 = torch.arange(len(best_B), device=best_B.device)[:, None] * beam
        new_state = select(settle(state), (first_row_B1 + parent_BW).flatten())
        tokens_BWT = here.tokens_BWT
        if tokens_BWT is not None:
            index_BWT = parent_BW[:, :, None].expand_as(tokens_BWT)
            tokens_BWT = torch.cat([tokens_BWT.gather(1, index_BWT), token_BW[:, :, None]], 2)[:, :, 1:]
        after = here._replace(
            token_R=token_BW.flatten(),
            state=new_state,
            # a finished sentence has no live hypotheses any more
            alive_BW=alive_BW.masked_fill(is_finished_B[:, None], -torch.inf),
            finished=finished,
            tokens_BWT=tokens_BWT,
            link_2BW=torch.stack([parent_BW, token_BW]),
            is_finished_B=is_finished_B,
            unfinished=(~is_finished_B).sum(),
            has_nan=here.has_nan | best_B.isnan().any(),
        )
        for old, value in zip(tensors_of(here), tensors_of(after), strict=True):
            if value is not old and old is not here.time:  # convolutional decoders count by themselves
                old.copy_(value)
        here.time.add_(1)
        static.weights_RLHS = weights_RLHS


def _apply_limits(log_p_BWN: Tensor, here: Hypotheses, options: Options) -> Tensor:
    """`Constraints.apply`, where the number of the step is a tensor."""
    forced_B11 = here.prefix_B.masked_fill(here.time >= here.limit_B, options.eos)[:, None, None]
    index_BW1 = forced_B11.clamp(min=0).expand(-1, log_p_BWN.size(1), 1)
    forced_log_p_BW1 = log_p_BWN.gather(2, index_BW1)
    log_p_BWN.index_fill_(2, here.banned_V, -torch.inf)
    if here.tokens_BWT is not None:
        no_repeat = NoRepeatNgram(options.no_repeat_ngram, options.eos)
        no_repeat.tokens_BWT = here.tokens_BWT
        no_repeat.apply(log_p_BWN)
    log_p_BWN[:, :, options.eos].masked_fill_((here.time < here.minimum_B)[:, None], -torch.inf)
    log_p_BWN.masked_fill_(forced_B11 >= 0, -torch.inf)
    value_BW1 = torch.where(forced_B11 >= 0, forced_log_p_BW1, log_p_BWN.gather(2, index_BW1))
    return log_p_BWN.scatter_(2, index_BW1, value_BW1)


def _pad(memory: Memory, source_B: Tensor) -> Memory:
    """The memory of the sources `source_B`. That of texts has a rounded number of positions."""
    if len(source_B) > len(memory.mask_BS):
        memory = memory.repeat_for(source_B)
    more = 0 if memory.grid is not None else -memory.mask_BS.size(1) % POSITIONS
    keys_BSK, values_BSV = (F.pad(part, (0, 0, 0, more)) for part in (memory.keys_BSK, memory.values_BSV))
    source_BS = None if memory.source_BS is None else F.pad(memory.source_BS, (0, more))
    memory = memory._replace(keys_BSK=keys_BSK, values_BSV=values_BSV, source_BS=source_BS)
    return memory._replace(mask_BS=F.pad(memory.mask_BS, (0, more)))


def _select_sentences(here: Hypotheses, keep_B: Tensor) -> Hypotheses:
    """The hypotheses of these sentences, in ascending order."""
    beam = here.alive_BW.size(1)
    row_R = (keep_B[:, None] * beam + torch.arange(beam, device=keep_B.device)).flatten()
    by_row, by_sentence = ("token_R", "state"), ("alive_BW", "finished", "limit_B", "minimum_B", "prefix_B")
    parts = {name: select(getattr(here, name), row_R) for name in by_row}
    for name in (*by_sentence, "tokens_BWT", "is_finished_B"):
        parts[name] = select(getattr(here, name), keep_B)
    return here._replace(link_2BW=here.link_2BW[:, keep_B], **parts)


def _make_room(here: Hypotheses, steps: int, eos: int) -> Hypotheses:
    """The hypotheses with room for so many steps."""
    tokens_BWT = here.tokens_BWT
    if tokens_BWT is not None:
        tokens_BWT = F.pad(tokens_BWT, (steps - tokens_BWT.size(2), 0), value=eos)
    return here._replace(state=widen(here.state, steps), tokens_BWT=tokens_BWT)


@contextmanager
def _without_cached_casts() -> Iterator[None]:
    """Autocast keeps converted weights until its context ends, but a graph needs them longer."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
