"""Sizes that follow from several settings of a model: those of states, queries, keys and values."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from seq2attn.config.scores import traits_of

if TYPE_CHECKING:
    from seq2attn.config.schema import AttentionConfig, ModelConfig, Part


class AttentionSizes(NamedTuple):
    """The sizes with which an attention is built, in the order of its arguments."""

    query: int
    keys: int  # keys of the memory
    values: int
    hidden: int  # hidden units of the score, or size of mapped keys, of all heads together


class SharedSettings(NamedTuple):
    """The settings with which an encoder or a decoder is built, beside its own section.

    Neither sees the section of the other.
    """

    embedding: int  # size of a token's vector
    dropout: float
    tied: bool  # target embedding and output layer share one matrix
    states: int  # size of one encoder state
    parts: "tuple[Part, Part]"  # what keys and values are
    attention: "AttentionConfig"
    sizes: AttentionSizes


def shared_settings(model: "ModelConfig") -> SharedSettings:
    """The settings of a model that its encoder and its decoder share."""
    return SharedSettings(
        model.embedding,
        model.dropout,
        model.tied != "none",
        encoder_width(model),
        memory_parts(model),
        model.attention,
        attention_sizes(model),
    )


def attention_sizes(model: "ModelConfig") -> AttentionSizes:
    """The sizes of the attention to the source."""
    keys, values = memory_size(model, "keys"), memory_size(model, "values")
    return AttentionSizes(query_size(model), keys, values, attention_size(model))


def encoder_width(model: "ModelConfig") -> int:
    """The size of one encoder state. A convolutional encoder has the embedding's size (Gehring 2017)."""
    encoder = model.encoder
    match encoder.kind:
        case "conv":
            return model.embedding
        case "rnn":
            return encoder.size * (2 if encoder.bidirectional else 1)
        case _:
            return encoder.size


def decoder_size(model: "ModelConfig") -> int:
    """The size of a decoder state as a query.

    A convolutional decoder maps its states to the embedding's size.
    """
    return model.embedding if model.decoder.kind == "conv" else model.decoder.size


def memory_parts(model: "ModelConfig") -> tuple["Part", "Part"]:
    """What keys and values are, in this order: states, embeddings or their sum."""
    attends = model.decoder.context_source == "attention"
    return (model.attention.keys, model.attention.values) if attends else ("states", "states")


def memory_size(model: "ModelConfig", part: Literal["keys", "values"]) -> int:
    """The size of the encoder's keys or values before the attention maps them."""
    embeddings = memory_parts(model)[part == "values"] == "embeddings"
    return model.embedding if embeddings else encoder_width(model)


def query_size(model: "ModelConfig") -> int:
    """The size of a query: of the decoder state, the last token's embedding, or both together."""
    state, embedding = decoder_size(model), model.embedding
    return {"state": state, "embedding": embedding, "both": state + embedding}[model.attention.query_input]


def attention_size(model: "ModelConfig") -> int:
    """Hidden units of the scores and size of mapped keys, all heads together."""
    return model.attention.size or decoder_size(model)


def uses_attention_size(model: "ModelConfig") -> bool:
    """Whether `model.attention.size` changes the attention."""
    a = model.attention
    keyed = a.score == "keyed" and "identity" not in (a.query_map, a.key_map)
    return keyed or traits_of(a.score).hidden_units or a.window == "local-p" or projects(model)


def projects(model: "ModelConfig") -> bool:
    """Whether attention maps queries, keys, values and outputs: with several heads, and in a Transformer."""
    return model.attention.heads > 1 or model.decoder.kind == "transformer"
