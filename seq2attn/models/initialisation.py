"""First weights by the scheme of `model.init`. A module for which a scheme says something special has a
method `draw_parameters`.
"""

import torch
from torch import nn

from seq2attn.models.interfaces import Backbone


@torch.no_grad()
def initialise(model: nn.Module, init: str, init_range: float) -> None:
    """Draw the weights of an encoder and a decoder, the children of `model`, from torch's generator.

    glorot: matrices Glorot-uniform (Glorot and Bengio 2010), embeddings N(0, 1/size), biases 0.
    uniform: everything uniform in +- init_range (Sutskever 2014: 0.08, Luong 2015: 0.1).
    bahdanau15: matrices N(0, 0.01^2), biases 0 (Bahdanau 2015, appendix B.1).
    Always: a norm's gain 1 and its shift 0; all of a backbone as `Backbone.draw` says.

    Then each module with `draw_parameters` draws some of its parameters again, in the order of
    `model.modules()`, encoder and decoder last.
    """
    backbones = [module for module in model.modules() if isinstance(module, Backbone)]
    for backbone in backbones:
        backbone.draw()
    theirs = {part for backbone in backbones for part in (*backbone.parameters(), *backbone.modules())}
    for parameter in (parameter for parameter in model.parameters() if parameter not in theirs):
        if init == "uniform":
            nn.init.uniform_(parameter, -init_range, init_range)
        elif parameter.dim() < 2:
            nn.init.zeros_(parameter)
        elif init == "bahdanau15":
            nn.init.normal_(parameter, 0, 0.01)
        else:
            nn.init.xavier_uniform_(parameter)
    sides = list(model.children())
    own = [module for module in model.modules() if module not in sides and module not in theirs]
    for module in (*own, *sides):
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Embedding) and init == "glorot":
            nn.init.normal_(module.weight, 0, module.embedding_dim**-0.5)
        elif draw := getattr(module, "draw_parameters", None):
            draw(init)
