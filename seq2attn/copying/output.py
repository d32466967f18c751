"""The output side of a decoder: the output layer, and beside it a pointer, if the decoder copies.

It knows no family of decoders. Without a pointer the logits are those of the output layer alone.
"""

from torch import Tensor, nn

from seq2attn.copying.pointer import Copies, Pointer, SourceTokens, mixture


class OutputSide(nn.Module):
    """A decoder whose output layer `output` maps features to logits, and which embeds its input tokens by
    `target_embedding`. `pointer` mixes the softmax with copies of source tokens; None: nothing is copied.
    """

    target_embedding: nn.Embedding
    output: nn.Linear
    pointer: Pointer | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("pointer", None)

    def output_layer(self, features: int, vocabulary: int, tied: bool) -> nn.Linear:
        """An output layer of so many features. If `tied`, its matrix is the target embedding."""
        layer = nn.Linear(features, vocabulary)
        if tied:
            layer.weight = self.target_embedding.weight
        return layer

    def add_pointer(self, source_size: int) -> None:
        """Copy from sources of a vocabulary of `source_size` tokens."""
        sizes = self.output.in_features, self.target_embedding.embedding_dim
        self.add_module("pointer", Pointer(*sizes, source_size))

    def source_tokens(self, source_BS: Tensor | None) -> SourceTokens | None:
        """What the steps copy of sources of ids (B, S); None without a pointer."""
        return None if self.pointer is None or source_BS is None else self.pointer.read(source_BS)

    def copies(
        self, features: Tensor, tokens: Tensor, weights: Tensor | None, source: SourceTokens | None
    ) -> Copies | None:
        """The copies of steps, of their features (R, D) or (B, T, D), input tokens (R,) or (B, T) and
        attention weights (R, H, S) or (B, T, H, S); None without a pointer.
        """
        if self.pointer is None or source is None or weights is None:
            return None
        copies: Copies = self.pointer(features, self.target_embedding(tokens), weights, source)
        return copies

    def logits(self, features: Tensor, copies: Copies | None) -> Tensor:
        """Logits of features, whose softmax is the distribution: with copies they are its logarithm."""
        logits: Tensor = self.output(features)
        return logits if copies is None else mixture(logits, copies)
