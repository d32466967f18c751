"""The tree of a beam search, recorded from outside while it runs.

A recorder stands between the search and the step function. It reads what the search hands to each step: the
token of each row, and the row that it extends. The candidates of a step are computed as the search does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from seq2attn.search.constraints import Constraints, Limits
from seq2attn.search.topk import log_softmax, top_candidates

ROOT = -1


@dataclass(frozen=True)
class BeamNode:
    """A candidate of a step: a token that continues one hypothesis."""

    parent: int  # the node that it continues; ROOT: none
    step: int  # from 1
    id: int
    log_probability: float  # of the whole path, natural log
    # "alive": in the beam of the next step; "finished": an end that the search counts; "pruned": neither
    state: Literal["alive", "finished", "pruned"]
    best: bool = False  # on the path of the best output
    subword: str = ""  # of the id, as text for people


class BeamRecorder:
    """The search of one sentence, or of equal ones: the first is recorded. W is the beam."""

    def __init__(self, limits: Limits, width: int) -> None:
        """`limits` are those of the recorded sentence alone."""
        self.nodes: list[BeamNode] = []
        self.width, self.eos = width, limits.eos
        self._constraints = Constraints(limits)
        self._length = 0
        self._node_of_row: list[int | None] = [ROOT, *[None] * (width - 1)]  # None: a dead row
        self._open: dict[tuple[int, int], int] = {}  # (row, token) -> a node that may stay alive

    def record(self, tokens_R: Tensor, parents_R: Tensor, logits_RN: Tensor) -> None:
        """A step: the last token of each row, the row of the step before that it extends, and the logits."""
        width, device = self.width, logits_RN.device
        if self._length:
            tokens_1W, parents_1W = tokens_R[None, :width], parents_R[None, :width]
            self._constraints.advance(parents_1W, tokens_1W)
            rows = zip(parents_1W[0].tolist(), tokens_1W[0].tolist(), strict=True)
            # a place whose hypothesis has log p -inf may repeat a row: it continues nothing
            self._node_of_row = [self._open.pop(row, None) for row in rows]
            for node in self._node_of_row:
                if node is not None:
                    self.nodes[node] = replace(self.nodes[node], state="alive")
        log_p = [self._log_probability(node) for node in self._node_of_row]
        before_1W = torch.tensor([log_p], dtype=torch.float32, device=device)
        log_p_1WN = self._constraints.apply(log_softmax(logits_RN[:width])[None], self._length)
        best = top_candidates(log_p_1WN, before_1W, 2 * width)
        self._open = {}
        for place, (total, row, token) in enumerate(zip(*(part[0].tolist() for part in best), strict=True)):
            if not math.isfinite(total):
                continue
            parent = self._node_of_row[row]
            assert parent is not None  # a dead row has log p -inf
            ends = token == self.eos
            if not ends:
                self._open[row, token] = len(self.nodes)
            state: Any = "finished" if ends and place < width else "pruned"
            self.nodes.append(BeamNode(parent, self._length + 1, token, total, state))
        self._length += 1

    def tree(self, output: Sequence[int]) -> list[BeamNode]:
        """All nodes, in the order of their steps; those of the output (ids without EOS) are marked."""
        nodes, at = list(self.nodes), ROOT
        for token in [*output, self.eos]:
            children = (i for i, node in enumerate(nodes) if node.parent == at and node.id == token)
            at = next(children, ROOT)
            if at == ROOT:
                break
            nodes[at] = replace(nodes[at], best=True)
        return nodes

    def _log_probability(self, node: int | None) -> float:
        if node is None:
            return -math.inf
        return 0.0 if node == ROOT else self.nodes[node].log_probability
