"""Markov chains whose best outputs are known: by arithmetic, or by listing every output there is. Shares no
code with the search.
"""

import itertools
import math

import torch
from torch import Tensor

BOS, EOS = 0, 1


class Chain:
    """log p(next | last, length) from tables; its state is all tokens so far, so that a wrong reordering
    shows.

    One table serves every length; with several, the last one serves all that is longer. (With one table
    outputs of the same pairs of tokens tie.)
    """

    def __init__(self, *tables_NN: Tensor) -> None:
        self.log_p_LNN = torch.stack(tables_NN).log()
        self.steps = 0
        self.rows: list[int] = []

    @property
    def size(self) -> int:
        return self.log_p_LNN.shape[-1]

    def after(self, length: int) -> Tensor:
        """log p (N, N) of the next token, by the last one, in an output of `length` tokens."""
        return self.log_p_LNN[min(length, len(self.log_p_LNN) - 1)]

    def start(self, rows: int) -> Tensor:
        return torch.zeros(rows, 0, dtype=torch.long)

    def step(self, token_R: Tensor, state_RT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.steps += 1
        self.rows.append(len(token_R))
        state_RT = torch.cat([state_RT, token_R[:, None]], dim=1)
        # "Attention" that tells which token was read at this step by which row, so that a wrong back-pointer
        # is seen.
        weights_RS = torch.nn.functional.one_hot(token_R, self.size).float()
        logits_RN = self.after(state_RT.shape[1] - 1)[token_R]
        if logits_RN.dtype != torch.bfloat16:  # which would round the sum
            # a search takes each row up to a number of its own
            logits_RN = logits_RN + (token_R % 3 - 1)[:, None]
        return logits_RN, state_RT, weights_RS

    def log_probability(self, tokens: list[int]) -> float:
        return sum(
            float(self.after(length)[a, b])
            for length, (a, b) in enumerate(itertools.pairwise([BOS, *tokens, EOS]))
        )

    def every(
        self,
        longest: int,
        length_penalty: float,
        shortest: int = 0,
        begins: tuple[int, ...] = (),
        banned: tuple[int, ...] = (BOS,),
    ) -> list[tuple[float, list[int]]]:
        """(score, tokens) of every output of any probability within the limits, best first."""
        outputs = []
        words = [token for token in range(self.size) if token != EOS and token not in banned]
        for length in range(max(shortest, len(begins)), longest + 1):
            for rest in itertools.product(words, repeat=length - len(begins)):
                tokens = [*begins, *rest]
                log_p = self.log_probability(tokens)
                if math.isfinite(log_p):
                    outputs.append((log_p / (length + 1) ** length_penalty, tokens))
        return sorted(outputs, key=lambda pair: -pair[0])


def select(state: Tensor, index_R: Tensor) -> Tensor:
    return state[index_R]


def random_chain(seed: int, size: int, sharpness: float = 1.0) -> Chain:
    generator = torch.Generator().manual_seed(seed)
    return Chain(
        *torch.softmax(
            sharpness * torch.randn(10, size, size, generator=generator, dtype=torch.float64), dim=-1
        )
    )
