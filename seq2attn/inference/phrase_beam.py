"""Beam search for outputs that hold given phrases: dynamic beam allocation (Post and Vilar 2018).

Fast Lexically Constrained Decoding with Dynamic Beam Allocation for Neural Machine Translation. Hypotheses
are in banks, by the number of tokens of phrases that they hold. Each bank has its share of the beam, so that
those with a phrase, which is less probable at first, are not lost to those without.

Unlike in the paper, a hypothesis that begins a phrase goes on with it until it is whole, and where it begins
one depends on the attention, too: log p of the first token is taken with the weight on what the phrase
translates. A hypothesis that has every phrase may end. Bookkeeping is in Python, for each sentence: few
sentences need it.

The shape suffixes are those of `search.step`. C is the number of phrases of a sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seq2attn.search.backpointers import Backpointers, End
from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.step import Hypothesis, Select, State, Step, normalised, refuse_nan
from seq2attn.search.topk import log_softmax

LEAST_WEIGHT = 0.02  # of attention, where the logarithm of less is taken
PLACEMENT = 4.0  # how much that logarithm counts beside log p of all tokens: see tests/benchmarks/glossary.py
MOST_TOKENS = 48  # of all phrases of a sentence: each has a bank of the beam


class Way(NamedTuple):
    """One way to write a phrase in tokens, and where: anywhere, at the start of an output, or after a token
    that lets a word begin without a space.
    """

    tokens: tuple[int, ...]
    where: Literal["anywhere", "start", "boundary"] = "anywhere"


class Phrase(NamedTuple):
    """What an output must hold: one of several ways to write it. It translates the source positions
    `positions`, if they are known.
    """

    ways: tuple[Way, ...]
    positions: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Its number of tokens, in the first way to write it."""
        return len(self.ways[0].tokens)


class Edges(NamedTuple):
    """What tokens are at the edges of words, bool (N,): whether one goes on with the word before it, and
    whether a word may begin after it without a space.
    """

    continues_N: Tensor
    opens_N: Tensor


@dataclass(frozen=True)
class Progress:
    """Which phrases a hypothesis has begun, and how far it is in the last one."""

    begun: int = 0  # a bit for each phrase
    phrase: int = -1  # that it is in; -1: in none
    way: int = 0
    place: int = 0  # of the next token
    complete: bool = False  # whether its last token was the last one of a phrase
    tokens: int = 0  # of phrases that it has, which number its bank

    def after(self, phrases: Sequence[Phrase]) -> "Progress":
        """With the next token of its phrase."""
        place, phrase = self.place + 1, phrases[self.phrase]
        written = self.tokens + (place <= phrase.size)
        if place == len(phrase.ways[self.way].tokens):
            return Progress(self.begun, complete=True, tokens=written + max(0, phrase.size - place))
        return Progress(self.begun, self.phrase, self.way, place, tokens=written)


class Candidate(NamedTuple):
    rank: float  # log p, with the weights of attention where phrases began
    log_p: float
    row: int
    token: int
    progress: Progress


@torch.no_grad()
def phrase_beam_search(
    step: Step[State],
    state: State,
    limits: Limits,
    phrases: Sequence[Sequence[Phrase]],
    edges: Edges,
    *,
    select: Select[State],
    beam: int,
    n_best: int,
    length_penalty: float,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each sentence that hold all of its `phrases`, the best score first.

    As `search.beam.beam_search`, which it is without phrases, except that `beam` must be larger than the
    number of tokens in the phrases of a sentence, that the best is chosen by log p, not by log p divided by a
    power of the length, for which long outputs would hide an improbable phrase, and that finished sentences
    stay in the batch. The maximum length is that of the limits and of the phrases. An output that reaches it
    may lack a phrase.

    Raises NonFiniteProbabilities if the step returns NaN, and ValueError for settings out of range.
    """
    sentences, device = len(limits.max_length_B), limits.max_length_B.device
    most = max((sum(phrase.size for phrase in own) for own in phrases), default=0)
    if not 1 <= n_best <= beam or beam <= most or length_penalty < 0:
        raise ValueError(
            f"n_best {n_best}, beam {beam}, phrases of {most} tokens, length_penalty {length_penalty}"
        )
    room = [sum(max(len(way.tokens) for way in phrase.ways) for phrase in own) for own in phrases]
    limits = limits._replace(max_length_B=limits.max_length_B + torch.tensor(room, device=device))
    prefix_BP = limits.prefix_BP
    prefix = [0] * sentences if prefix_BP is None else (prefix_BP >= 0).sum(1).tolist()
    constraints, backpointers = Constraints(limits), Backpointers()
    max_lengths: list[int] = constraints.limit_B.tolist()
    own = [
        _Sentence(those, limit, first, limits.eos, beam, n_best, length_penalty)
        for those, limit, first in zip(phrases, max_lengths, prefix, strict=True)
    ]
    first_row_B1 = torch.arange(sentences, device=device)[:, None] * beam
    has_nan = torch.zeros((), dtype=torch.bool, device=device)
    token_R = torch.full((sentences * beam,), limits.bos, dtype=torch.long, device=device)
    opens = edges.opens_N.tolist()

    for length in range(constraints.longest + 1):
        logits_RN, state, weights_RLHS = step(token_R, state)
        log_p_BWN = log_softmax(logits_RN).view(sentences, beam, -1)
        has_nan |= log_p_BWN.isnan().any()
        next_BWN = constraints.apply(log_p_BWN.clone(), length)
        after_BW = torch.tensor([one.after_phrase for one in own], device=device)
        next_BWN.masked_fill_(after_BW[:, :, None] & edges.continues_N, -torch.inf)
        best = next_BWN.topk(min(2 * beam, next_BWN.shape[2]), 2)
        values, tokens = best.values.tolist(), best.indices.tolist()
        attention_BWS = None
        if weights_RLHS is not None:
            attention_BWS = weights_RLHS.float().mean((1, 2)).view(sentences, beam, -1).cpu()
        all_log_p = log_p_BWN.cpu()
        last = token_R.view(sentences, beam).tolist()
        parents, written = [], []
        for b, one in enumerate(own):
            may_open = [token == limits.bos or opens[token] for token in last[b]]
            weights_WS = None if attention_BWS is None else attention_BWS[b]
            parent, token = one.extend(length, values[b], tokens[b], all_log_p[b], weights_WS, may_open)
            parents.append(parent)
            written.append(token)
        parent_BW, token_BW = torch.tensor(parents, device=device), torch.tensor(written, device=device)
        backpointers.add(torch.arange(sentences, device=device), parent_BW, token_BW, weights_RLHS)
        constraints.advance(parent_BW, token_BW)
        if all(one.is_finished for one in own):
            break
        token_R = token_BW.flatten()
        state = select(state, (first_row_B1 + parent_BW).flatten())

    refuse_nan(has_nan)
    return backpointers.hypotheses([one.ends() for one in own], max_lengths)


class _Sentence:
    """The live and the finished hypotheses of one sentence."""

    def __init__(
        self,
        phrases: Sequence[Phrase],
        limit: int,
        prefix: int,
        eos: int,
        beam: int,
        n_best: int,
        length_penalty: float,
    ) -> None:
        self.phrases, self.limit, self.prefix, self.eos = phrases, limit, prefix, eos
        self.beam, self.n_best, self.length_penalty = beam, n_best, length_penalty
        self.every = (1 << len(phrases)) - 1
        self.size = sum(phrase.size for phrase in phrases)
        self.alive: list[Candidate | None] = [Candidate(0.0, 0.0, 0, -1, Progress())]
        self.alive += [None] * (beam - 1)
        self.finished: list[tuple[float, End]] = []  # with the score that orders them, the best first

    @property
    def after_phrase(self) -> list[bool]:
        """Of each row, whether its last token was the last one of a phrase."""
        return [one is not None and one.progress.complete for one in self.alive]

    @property
    def is_finished(self) -> bool:
        best = max((one.rank for one in self.alive if one is not None), default=-math.inf)
        if len(self.finished) >= self.n_best:
            least = self.finished[self.n_best - 1][0]
            return best <= least
        return best == -math.inf

    def extend(
        self,
        length: int,
        values: Sequence[Sequence[float]],
        tokens: Sequence[Sequence[int]],
        log_p_WN: Tensor,
        weights_WS: Tensor | None,
        may_open: Sequence[bool],
    ) -> tuple[list[int], list[int]]:
        """The row that each new row extends, and the token that it adds.

        `values` and `tokens` are the most probable next tokens of each row, within the limits.
        """
        banks: dict[int, list[Candidate]] = {}
        if not self.is_finished:
            for row, one in enumerate(self.alive):
                if one is None:
                    continue
                weights_S = None if weights_WS is None else weights_WS[row]
                freely = zip(values[row], tokens[row], strict=True)
                for new in self._next(
                    one, row, length, list(freely), log_p_WN[row], weights_S, may_open[row]
                ):
                    banks.setdefault(new.progress.tokens, []).append(new)
        self.alive = self._allocate(banks, length)
        rows = [(0, self.eos) if one is None else (one.row, one.token) for one in self.alive]
        return [row for row, _ in rows], [token for _, token in rows]

    def _next(
        self,
        one: Candidate,
        row: int,
        length: int,
        freely: Sequence[tuple[float, int]],
        log_p_N: Tensor,
        weights_S: Tensor | None,
        may_open: bool,
    ) -> list[Candidate]:
        progress = one.progress
        if progress.phrase >= 0:
            if length >= self.limit:
                return []
            token = self.phrases[progress.phrase].ways[progress.way].tokens[progress.place]
            more = float(log_p_N[token])
            return [Candidate(one.rank + more, one.log_p + more, row, token, progress.after(self.phrases))]
        ready = Progress(progress.begun, tokens=progress.tokens)
        results = [
            Candidate(one.rank + more, one.log_p + more, row, token, ready)
            for more, token in freely
            if more > -math.inf
            if token != self.eos or progress.begun == self.every or length >= self.limit
        ]
        if length < self.prefix:
            return results
        for number, phrase in enumerate(self.phrases):
            if progress.begun >> number & 1:
                continue
            weight = 1.0
            if weights_S is not None and phrase.positions:
                weight = float(weights_S[list(phrase.positions)].sum())
            bonus = PLACEMENT * math.log(max(weight, LEAST_WEIGHT))
            for name, way in enumerate(phrase.ways):
                fits = length + len(way.tokens) <= self.limit
                if (
                    not fits
                    or (way.where == "start" and length)
                    or (way.where == "boundary" and not may_open)
                ):
                    continue
                more = float(log_p_N[way.tokens[0]])
                begun = Progress(progress.begun | 1 << number, number, name, tokens=progress.tokens)
                log_p, rank = one.log_p + more, one.rank + more + bonus
                results.append(Candidate(rank, log_p, row, way.tokens[0], begun.after(self.phrases)))
        return results

    def _allocate(self, banks: dict[int, list[Candidate]], length: int) -> list[Candidate | None]:
        """The live hypotheses, an equal share from each bank, and more where another bank has too few. Those
        that end go to the finished ones.
        """
        for bank in banks.values():
            bank.sort(key=lambda new: -new.rank)
        full = banks.get(self.size, [])[: self.beam]
        ended = [new for new in full if new.token == self.eos]
        if length >= self.limit and not self.finished and not ended:
            ended = [new for bank in banks.values() for new in bank if new.token == self.eos]
        for new in ended:
            score = normalised(new.log_p, length + 1, self.length_penalty)
            self.finished.append((new.rank, End(score, new.log_p, length, new.row)))
        self.finished.sort(key=lambda pair: -pair[0])
        del self.finished[self.beam :]
        waiting = [[new for new in banks.get(n, []) if new.token != self.eos] for n in range(self.size + 1)]
        share = self.beam // len(waiting)
        alive = [new for bank in waiting for new in bank[:share]]
        rest = sorted((new for bank in waiting for new in bank[share:]), key=lambda new: -new.rank)
        alive += rest[: self.beam - len(alive)]
        return [*alive, *[None] * (self.beam - len(alive))]

    def ends(self) -> list[End]:
        """The ends of the best hypotheses, in the order of their scores."""
        return sorted((end for _, end in self.finished[: self.n_best]), key=lambda end: -end.score)
