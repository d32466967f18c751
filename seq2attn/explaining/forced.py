"""Passes of a model over forced pairs, in batches: log-probabilities of words, attention, and distributions.

Unlike `inference.forced` the source is given as vectors, so that a pass can be differentiated, and parts of a
source can be hidden. Shapes: B pairs, T target tokens with EOS, P source positions, U units of a source, W
words of a target, L layers with attention, H heads, N entries of the target vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.errors import UserError
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.explaining.partly_known import PartlyKnownPointer
from seq2attn.explaining.replaced_weights import Replace, twin
from seq2attn.explaining.sources import ImageSources, Sources, SourceVectors, TextSources
from seq2attn.inference.encoding import pad
from seq2attn.inference.predictor import NO_NUMBERS, STREAMS, Predictor
from seq2attn.models.memory import HiddenStates, Memory
from seq2attn.models.seq2seq import Seq2Seq

BATCH = 4096  # padded source and target positions of a batch


class Batch(NamedTuple):
    """Some pairs as tensors."""

    pairs: list[ForcedPair]
    vectors: SourceVectors
    inputs_BT: Tensor
    targets_BT: Tensor
    to_word_BTW: Tensor  # 1 where a token belongs to a word, else 0
    to_unit_BPU: Tensor  # 1 where a position belongs to a unit, else 0
    stream_B: Tensor

    def repeat(self, count: int) -> Self:
        """Each pair `count` times, as neighbours."""
        tensors = (self.inputs_BT, self.targets_BT, self.to_word_BTW, self.to_unit_BPU, self.stream_B)
        return type(self)(
            [pair for pair in self.pairs for _ in range(count)],
            self.vectors.repeat(count),
            *(part.repeat_interleave(count, 0) for part in tensors),
        )


class ForcedModel:
    """The model of a predictor, forced on pairs. It shares its numbers, and is never in training mode."""

    def __init__(self, predictor: Predictor[Any, Any], replace: Replace | None = None) -> None:
        """`replace` gives other attention weights, as `replaced_weights.twin` describes."""
        # half-precision weights are for searches; gradients, and the ids of a pointer, need float32
        self.model: Seq2Seq = twin(predictor.models[0], replace).float()
        if self.model.decoder.pointer is not None:
            self.model.decoder.pointer = PartlyKnownPointer(self.model.decoder.pointer)
        text = predictor.config.model.modality.has_vocabulary
        self.sources: Sources = TextSources() if text else ImageSources()
        self.device = predictor.device

    def batches(self, pairs: Sequence[ForcedPair], copies: int = 1) -> Iterator[tuple[list[int], Batch]]:
        """The pairs in batches of similar length, each with the places of its pairs in `pairs`.

        Each pair will be computed `copies` times at once.
        """
        lengths = [len(pair.unit_of) + len(pair.target) for pair in pairs]
        order = sorted(range(len(pairs)), key=lambda place: lengths[place])
        start = 0
        for end in range(1, len(order) + 1):
            longer = end == len(order) or lengths[order[end]] * (end + 1 - start) * copies > BATCH
            if longer:
                yield order[start:end], self.batch([pairs[place] for place in order[start:end]])
                start = end

    def batch(self, pairs: list[ForcedPair]) -> Batch:
        vectors = self.sources.vectors(self.model, pairs)
        inputs_BT = pad([[BOS, *pair.target] for pair in pairs], PAD)
        targets_BT = pad([[*pair.target, EOS] for pair in pairs], PAD)
        words, units = max(len(pair.words) for pair in pairs), max(len(pair.units) for pair in pairs)
        to_word = _membership([pair.word_of for pair in pairs], inputs_BT.size(1), words)
        to_unit = _membership([pair.unit_of for pair in pairs], vectors.x_BPE.size(1), units)
        stream_B = torch.tensor([pair.number % STREAMS for pair in pairs])
        tensors = (part.to(self.device) for part in (inputs_BT, targets_BT, to_word, to_unit, stream_B))
        return Batch(pairs, vectors, *tensors)

    def memory(self, batch: Batch, x_BPE: Tensor | None = None) -> Memory:
        """The memory of the batch's sources, or of other vectors in their place."""
        x_BPE = batch.vectors.x_BPE if x_BPE is None else x_BPE
        memory = self.sources.memory(self.model, x_BPE, batch.vectors)
        return memory._replace(stream_B=batch.stream_B)

    def states(self, batch: Batch, memory: Memory, weights: bool = False) -> HiddenStates:
        """What the output layer reads at each step and, with `weights`, attention (B, T, L, H, S)."""
        return self.model.decoder.hidden_states(batch.inputs_BT, memory, weights)

    def log_probs(self, batch: Batch, x_BPE: Tensor | None = None) -> Tensor:
        """log p (B, W) of each target word: of all its tokens, each given those before it."""
        return self.of_words(batch, self.states(batch, self.memory(batch, x_BPE)))

    def of_words(self, batch: Batch, hidden: HiddenStates) -> Tensor:
        """log p (B, W) of each target word. Raises UserError if the model returns NaN."""
        log_p_BTN = self.logits(hidden).log_softmax(-1)
        log_p_BT = log_p_BTN.gather(2, batch.targets_BT[..., None])[..., 0]
        if log_p_BT.isnan().any():
            raise UserError(NO_NUMBERS)
        # padding may hold any number, and 0 times infinity is none
        return torch.einsum("bt,btw->bw", log_p_BT.nan_to_num(neginf=-1e4), batch.to_word_BTW)

    def distributions(self, batch: Batch) -> Tensor:
        """The distribution (B, T, N) of each step's output."""
        return self.logits(self.states(batch, self.memory(batch))).softmax(-1)

    def logits(self, hidden: HiddenStates) -> Tensor:
        """The logits (B, T, N) of all steps, in float32."""
        return self.model.decoder.logits(hidden.features_BTD, hidden.copies).float()


def _membership(numbers: Sequence[Sequence[int]], length: int, count: int) -> Tensor:
    """(B, length, count): 1 where a position belongs to a number."""
    table = torch.zeros(len(numbers), length, count)
    for row, of_pair in enumerate(numbers):
        for position, number in enumerate(of_pair):
            if number >= 0:
                table[row, position, number] = 1.0
    return table
