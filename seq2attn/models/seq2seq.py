"""An encoder and a decoder made one model from its settings."""

from torch import Tensor, nn

from seq2attn.config import Model as Settings
from seq2attn.models.decoders.rnn import RNNDecoder
from seq2attn.models.encoders.rnn import RNNEncoder
from seq2attn.models.initial import initialise
from seq2attn.models.memory import Output


class Seq2Seq(nn.Module):
    """p(y | x): `encoder` makes a memory of the source, `decoder` reads it."""

    def __init__(self, encoder: RNNEncoder, decoder: RNNDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source_BS: Tensor, mask_BS: Tensor, inputs_BT: Tensor, weights: bool = False) -> Output:
        """Teacher forcing: logits (B, T, N) after each of the target tokens; attention weights (B, T, S) when asked for."""
        output: Output = self.decoder(inputs_BT, self.encoder(source_BS, mask_BS), weights)
        return output


def build(settings: Settings, source_size: int, target_size: int) -> Seq2Seq:
    """A model with first weights from torch's generator; sizes are of the two vocabularies. Raises ValueError when one embedding cannot serve both."""
    if settings.tied == "all" and source_size != target_size:
        raise ValueError(f'model.tied="all" needs one vocabulary for both sides: they have {source_size} and {target_size} entries')
    e, d = settings.encoder, settings.decoder
    parts = (settings.attention.keys, settings.attention.values) if d.reads == "attention" else ()
    encoder = RNNEncoder(e, source_size, settings.embedding, settings.dropout, d.bridge == "last", *parts)
    decoder = RNNDecoder(settings, target_size)
    if settings.tied == "all":
        encoder.embedding.weight = decoder.target_embedding.weight
    model = Seq2Seq(encoder, decoder)
    initialise(model, settings)
    return model
