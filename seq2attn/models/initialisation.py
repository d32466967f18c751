"""Every first value of every weight, in one place."""

import torch
from torch import nn

from seq2attn.attention.scores import Additive, Concat
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.attention.windows import Predictive
from seq2attn.config import ModelConfig
from seq2attn.models.decoders.conv import ConvDecoder
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.layers.cells import Cell
from seq2attn.models.layers.gated_conv import WeightNorm
from seq2attn.models.layers.transformer import FeedForward
from seq2attn.models.vision.backbones import ExternalBackbone
from seq2attn.models.vision.resnet import ResNet


@torch.no_grad()
def initialise(model: nn.Module, settings: ModelConfig) -> None:
    """Draw the weights of `model` from torch's generator, as `settings.init` says.

    glorot: matrices Glorot-uniform, each apart where several stand in one, recurrent ones orthogonal gate by
    gate, embeddings N(0, 1/size), biases 0, an LSTM's forget gate 1.
        Where a side is convolutional (Gehring 2017, section 3.5), of n inputs to a unit of which dropout
        keeps the share p: N(0, 4p/n) before a gate, N(0, p/n) before
        none, embeddings and positions N(0, 0.1^2), one that both sides share too.
    uniform: everything uniform in +- init_range (Sutskever 2014: 0.08, Luong 2015: 0.1).
    bahdanau15: recurrent matrices orthogonal, W and U of the score N(0, 0.001^2), v and biases 0, the rest
    N(0, 0.01^2) (Bahdanau 2015, appendix B.1).
    Whichever it is, our residual networks are drawn as `ResNet.draw` says, and a backbone of somebody else's
    is as its maker drew it.
    """
    apart = {
        parameter
        for module in model.modules()
        if isinstance(module, ResNet | ExternalBackbone)
        for parameter in module.parameters()
    }
    parameters = [parameter for parameter in model.parameters() if parameter not in apart]
    for module in model.modules():
        if isinstance(module, ResNet):
            module.draw()
    if settings.init == "uniform":
        for parameter in parameters:
            nn.init.uniform_(parameter, -settings.init_range, settings.init_range)
        _set_norms(model)
        return
    small = settings.init == "bahdanau15"
    for parameter in parameters:
        if parameter.dim() < 2:
            nn.init.zeros_(parameter)
        elif small:
            nn.init.normal_(parameter, 0, 0.01)
        else:
            nn.init.xavier_uniform_(parameter)
    for module in model.modules():
        if isinstance(module, Cell):
            for gate in module.state.weight.split(module.size):
                nn.init.orthogonal_(gate)
            if module.kind == "lstm":
                # remember, until training says otherwise (Gers 2000)
                module.input.bias[module.size : 2 * module.size] = 1.0
        elif isinstance(module, SelfAttention | FeedForward) and not small:
            for part in module.parts():
                nn.init.xavier_uniform_(part)
        elif isinstance(module, nn.Embedding) and not small:
            nn.init.normal_(module.weight, 0, module.embedding_dim**-0.5)
        elif isinstance(module, Additive | Concat | Predictive):
            if not small:
                nn.init.uniform_(module.v, -(module.v.numel() ** -0.5), module.v.numel() ** -0.5)
            for parameter in module.parameters():
                if small and parameter.dim() == 2:
                    nn.init.normal_(parameter, 0, 0.001)
        elif isinstance(module, WeightNorm) and not small:
            inputs = module.weight[0].numel()
            nn.init.normal_(module.weight, 0, ((4 if module.gated else 1) * module.kept / inputs) ** 0.5)
    for side in model.modules():
        if isinstance(side, ConvEncoder | ConvDecoder) and not small:
            for module in side.modules():
                if isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0, 0.1)
    _set_norms(model)


def _set_norms(model: nn.Module) -> None:
    """A norm's gain is 1 and its shift 0, and where weights are normalised the matrix is as it was drawn,
    whatever the rest.
    """
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            module.reset_parameters()
        elif isinstance(module, WeightNorm):
            module.gain.copy_(module.lengths())
