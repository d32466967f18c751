"""What scores, windows and history features have in common: they draw their first parameters themselves."""

from torch import nn


class Part(nn.Module):
    def draw_parameters(self, init: str, init_range: float) -> None:
        """Redraw the vectors of this module, and what is beside them, as `model.init` says.

        Before this call the whole model has been drawn, and vectors are 0, as biases are. "glorot": a vector
        v of n units is uniform in +-n^-0.5. "bahdanau15" (Bahdanau 2015, appendix B.1): v stays 0, and the
        matrices beside it, W and U, are N(0, 0.001^2). "uniform": nothing changes.
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
