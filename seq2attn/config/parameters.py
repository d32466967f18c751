"""The number of parameters of a model, estimated from its settings before it is built."""

from typing import TYPE_CHECKING

from seq2attn.config import sizes

if TYPE_CHECKING:
    from seq2attn.config.schema import Cell, ModelConfig, TransformerConfig

_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def estimate_parameters(model: "ModelConfig", vocabulary: int) -> int:
    """The number of parameters with `vocabulary` tokens on each side.

    The estimate is right within a factor of two, except for tiny models.
    """
    embeddings = vocabulary * model.embedding * {"all": 1, "output": 2, "none": 3}[model.tied]
    queries, memory = (
        sizes.query_size(model),
        sizes.memory_size(model, "keys") + sizes.memory_size(model, "values"),
    )
    attention = sizes.attention_size(model) * (queries + memory)
    attention += model.attention.max_positions * queries
    return embeddings + _encoder(model) + _decoder(model, sizes.encoder_width(model)) + attention


def _encoder(model: "ModelConfig") -> int:
    e = model.encoder
    match e.kind:
        case "rnn":
            return _recurrent(e.cell, model.embedding, e.size, e.layers, 1 + e.bidirectional)
        case "conv":
            blocks = (e.layers * 2 * e.kernel * e.size + 2 * model.embedding) * e.size
            return blocks + e.max_positions * model.embedding
        case "transformer":
            return _transformer(e, 1)
        case "image":
            channels = [e.channels << stage for stage in range(len(e.blocks))]
            stages = zip(e.blocks, channels, strict=True)
            backbone = sum(18 * blocks * size**2 for blocks, size in stages) if e.backbone == "resnet" else 0
            return backbone + e.size * (channels[-1] + 12 * e.size * e.temporal_layers)


def _decoder(model: "ModelConfig", width: int) -> int:
    d = model.decoder
    match d.kind:
        case "rnn":
            readout = (d.readout_size or d.size) * (d.size + width + model.embedding)
            cells = _recurrent(d.cell, model.embedding + width, d.size, d.layers)
            return cells + readout + d.layers * d.size * width
        case "conv":
            blocks = (d.layers * (2 * d.kernel * d.size + 2 * model.embedding) + 2 * model.embedding) * d.size
            return blocks + d.max_positions * model.embedding
        case "transformer":
            return _transformer(d, 2)


def _recurrent(cell: "Cell", inputs: int, size: int, layers: int, directions: int = 1) -> int:
    return directions * _GATES[cell] * size * (inputs + size + (layers - 1) * (directions + 1) * size)


def _transformer(part: "TransformerConfig", attentions: int) -> int:
    feedforward = part.feedforward * (3 if part.activation == "swiglu" else 2)
    layers = part.layers * part.size * (attentions * 4 * part.size + feedforward)
    return layers + part.max_positions * part.size
