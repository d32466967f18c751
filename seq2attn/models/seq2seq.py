"""An encoder and a decoder as one model, built from its settings."""

from typing import cast

from torch import Tensor, nn

from seq2attn import config
from seq2attn.config import ModelConfig
from seq2attn.config.sizes import SharedSettings, shared_settings
from seq2attn.models.decoders.conv import ConvDecoder
from seq2attn.models.decoders.rnn import RNNDecoder
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.encoders.image import ImageEncoder
from seq2attn.models.encoders.rnn import RNNEncoder
from seq2attn.models.encoders.transformer import TransformerEncoder
from seq2attn.models.encoders.video import VideoEncoder
from seq2attn.models.initialisation import initialise
from seq2attn.models.interfaces import Decoder, Encoder, TextEncoder
from seq2attn.models.memory import DecoderOutput


class Seq2Seq(nn.Module):
    """p(y | x): `encoder` turns the source x into a memory, and `decoder` reads it."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(
        self, source_BS: Tensor, mask_BS: Tensor, inputs_BT: Tensor, weights: bool = False
    ) -> DecoderOutput:
        """Teacher forcing: logits (B, T, N) after each target token, and attention weights (B, T, L, H, S) if
        `weights` is True.
        """
        output: DecoderOutput = self.decoder(inputs_BT, self.encoder(source_BS, mask_BS), weights)
        return output


def build(model: ModelConfig, source_size: int, target_size: int, draw: bool = True) -> Seq2Seq:
    """A model with first weights from torch's generator, for vocabularies of these sizes (source 0: images).

    Without `draw` the model has no useful weights until some are loaded.

    Raises ValueError if one embedding cannot serve both sides, UserError if a backbone cannot be built.
    """
    if model.tied == "all" and source_size != target_size:
        raise ValueError(
            f'model.tied="all" needs one vocabulary for both sides: they have {source_size} and '
            f"{target_size} entries"
        )
    shared = shared_settings(model)
    seq2seq = Seq2Seq(_encoder(model, shared, source_size), _decoder(model, shared, target_size))
    if model.tied == "all":
        cast(TextEncoder, seq2seq.encoder).embedding.weight = seq2seq.decoder.target_embedding.weight
    if model.pointer:
        seq2seq.decoder.add_pointer(source_size)
    if draw:
        initialise(seq2seq, model.init, model.init_range)
    return seq2seq


def _encoder(model: ModelConfig, shared: SharedSettings, vocabulary: int) -> Encoder:
    decoder = model.decoder
    match model.encoder:
        case config.RNNEncoderConfig() as encoder:
            # a decoder that starts from the final states needs the c of an LSTM at the last real words, which
            # torch's fused call does not return on a CPU
            keep_final = decoder.kind == "rnn" and decoder.bridge == "last"
            return RNNEncoder(encoder, shared, vocabulary, keep_final)
        case config.ConvEncoderConfig() as encoder:
            # each layer of a convolutional decoder reads the states twice, as keys and as values: the sum of
            # these gradients is scaled to the size of one (Gehring 2017, section 3.4)
            share = 1 / (2 * decoder.layers) if decoder.kind == "conv" else 1.0
            return ConvEncoder(encoder, shared, vocabulary, share)
        case config.TransformerEncoderConfig() as encoder:
            return TransformerEncoder(encoder, shared, vocabulary)
        case config.ImageEncoderConfig() as encoder:
            return (VideoEncoder if encoder.clips else ImageEncoder)(encoder, dropout=model.dropout)


def _decoder(model: ModelConfig, shared: SharedSettings, vocabulary: int) -> Decoder:
    match model.decoder:
        case config.RNNDecoderConfig() as decoder:
            return RNNDecoder(decoder, shared, vocabulary)
        case config.ConvDecoderConfig() as decoder:
            return ConvDecoder(decoder, shared, vocabulary)
        case config.TransformerDecoderConfig() as decoder:
            return TransformerDecoder(decoder, shared, vocabulary)
