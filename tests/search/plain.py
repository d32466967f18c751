"""Beam search for one sentence in lists and loops, until no hypothesis is left alive: what the real one must
find. Shares no code with it.
"""

import math
from collections.abc import Callable, Sequence

Next = Callable[[list[list[int]]], Sequence[Sequence[float]]]
"""Outputs so far, with their first token -> log p of each token to come, for each."""


def plain_beam(
    following: Next,
    limit: int,
    beam: int,
    length_penalty: float,
    *,
    bos: int,
    eos: int,
    banned: Sequence[int],
    ngram: int = 0,
    begins: tuple[int, ...] = (),
    shortest: int = 0,
) -> list[tuple[float, list[int]]]:
    """(score, tokens) of the `beam` best, best first."""
    limit = max(limit, len(begins))
    shortest = min(shortest, limit)

    def may(tokens: list[int], token: int) -> bool:
        written = tokens[1:]
        if len(written) < len(begins):
            return token == begins[len(written)]
        if token == eos:
            return len(written) >= shortest
        grams = [written[i : i + ngram] for i in range(len(written) - ngram + 1)] if ngram else []
        return (
            token not in banned
            and len(written) < limit
            and [*written, token][len(written) + 1 - ngram :] not in grams
        )

    alive, pool = [(0.0, [bos])], []
    for length in range(limit + 1):
        candidates = []
        if not alive:
            break
        for (log_p, tokens), log_ps in zip(alive, following([tokens for _, tokens in alive]), strict=True):
            for token, more in enumerate(log_ps):
                if may(tokens, token) and log_p + more > -math.inf:
                    candidates.append((log_p + more, [*tokens, token]))
        candidates.sort(key=lambda pair: -pair[0])
        ended = [
            (log_p / (length + 1) ** length_penalty, tokens[1:-1])
            for log_p, tokens in candidates[:beam]
            if tokens[-1] == eos
        ]
        pool = sorted(pool + ended, key=lambda pair: -pair[0])[:beam]
        alive = [pair for pair in candidates if pair[1][-1] != eos][:beam]
    return pool
