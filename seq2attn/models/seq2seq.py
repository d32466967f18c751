"""An encoder and a decoder made one model from its settings."""

from typing import cast

from torch import Tensor, nn

from seq2attn.config import ModelConfig
from seq2attn.models.decoders.conv import ConvDecoder
from seq2attn.models.decoders.rnn import RNNDecoder
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.encoders.image import ImageEncoder
from seq2attn.models.encoders.rnn import RNNEncoder
from seq2attn.models.encoders.transformer import TransformerEncoder
from seq2attn.models.initialisation import initialise
from seq2attn.models.interfaces import Decoder, Encoder, TextEncoder
from seq2attn.models.memory import Output


class Seq2Seq(nn.Module):
    """p(y | x): `encoder` makes a memory of the source, `decoder` reads it."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source_BS: Tensor, mask_BS: Tensor, inputs_BT: Tensor, weights: bool = False) -> Output:
        """Teacher forcing: logits (B, T, N) after each of the target tokens; attention weights (B, T, L, H, S)
        when asked for.
        """
        output: Output = self.decoder(inputs_BT, self.encoder(source_BS, mask_BS), weights)
        return output


def build(settings: ModelConfig, source_size: int, target_size: int, draw: bool = True) -> Seq2Seq:
    """A model with first weights from torch's generator; sizes are of the two vocabularies, the source's 0
    where it is images.

    Without `draw` its weights are of no use before others are loaded.

    Raises ValueError when one embedding cannot serve both, UserError when a backbone cannot be had.
    """
    if settings.tied == "all" and source_size != target_size:
        raise ValueError(
            f'model.tied="all" needs one vocabulary for both sides: they have {source_size} and {target_size} entries'
        )
    model = Seq2Seq(_encoder(settings, source_size), _decoder(settings, target_size))
    if settings.tied == "all":
        cast(TextEncoder, model.encoder).embedding.weight = model.decoder.target_embedding.weight
    if draw:
        initialise(model, settings)
    return model


def _encoder(settings: ModelConfig, vocabulary: int) -> Encoder:
    match settings.encoder.kind:
        case "rnn":
            return RNNEncoder(settings, vocabulary)
        case "conv":
            return ConvEncoder(settings, vocabulary)
        case "transformer":
            return TransformerEncoder(settings, vocabulary)
        case "image":
            return ImageEncoder(settings)


def _decoder(settings: ModelConfig, vocabulary: int) -> Decoder:
    match settings.decoder.kind:
        case "rnn":
            return RNNDecoder(settings, vocabulary)
        case "conv":
            return ConvDecoder(settings, vocabulary)
        case "transformer":
            return TransformerDecoder(settings, vocabulary)
