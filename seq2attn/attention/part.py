"""What the parts of an attention have in common: how they draw their first parameters."""

from collections.abc import Sequence

from torch import Tensor, nn


class AttentionPart(nn.Module):
    """A score, a window or a history feature."""

    def draw_parameters(self, init: str) -> None:
        """Redraw the vectors of this module, and the matrices beside them, as `model.init` says.

        Before this call the whole model has been drawn: vectors are 0, as biases are. "glorot": a vector of n
        units is uniform in +-n^-0.5. "bahdanau15" (Bahdanau 2015, appendix B.1): the vector v stays 0, and
        the matrices W and U of the same score are N(0, 0.001^2). "uniform": nothing changes.
        """
        own = self.named_parameters(recurse=False)
        vectors = [parameter for name, parameter in own if parameter.dim() == 1 and name != "bias"]
        if init == "glorot":
            for vector in vectors:
                nn.init.uniform_(vector, -(vector.numel() ** -0.5), vector.numel() ** -0.5)
        elif init == "bahdanau15" and vectors:
            for parameter in self.parameters():
                if parameter.dim() == 2:
                    nn.init.normal_(parameter, 0, 0.001)


class StackedLinear(nn.Linear):
    """Several linear maps of one input, computed as one product."""

    def __init__(self, size: int, outputs: Sequence[int], bias: bool) -> None:
        super().__init__(size, sum(outputs), bias=bias)
        self.outputs = tuple(outputs)

    def parts(self) -> tuple[Tensor, ...]:
        """The matrix of each map, (outputs, size), as a view."""
        return self.weight.split(self.outputs)  # type: ignore[no-any-return]

    def draw_parameters(self, init: str) -> None:
        """Redraw each matrix by itself where `init` looks at sizes."""
        if init == "glorot":
            for part in self.parts():
                nn.init.xavier_uniform_(part)
