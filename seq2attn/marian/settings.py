"""config.json and generation_config.json of a `MarianMTModel` as settings of this program, and back.

A Marian model is a Transformer as Vaswani (2017) has it, with norms after each sublayer. Other models
are refused by the name of what they have.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from seq2attn import config
from seq2attn.config import Config
from seq2attn.errors import UserError

# as transformers fills them in: older files hold only what differs from it
DEFAULTS: dict[str, Any] = {
    "vocab_size": 58101,
    "decoder_vocab_size": None,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "activation_function": "gelu",
    "dropout": 0.1,
    "scale_embedding": False,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
    "decoder_start_token_id": 58100,
}
# what a model of this program has, under the names of older files
FIXED = {
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
    "is_encoder_decoder": True,
}
ACTIVATIONS = {"swish": "silu", "silu": "silu", "relu": "relu", "gelu": "gelu"}
SEARCH = {
    "num_beams": "beam",
    "length_penalty": "length_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram",
    "min_length": "min_length",
}
COUNTS = (
    *("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim"),
    *("encoder_attention_heads", "decoder_attention_heads"),
)
# a first choice for training on from here: small steps, because the weights are good already
FINE_TUNING = {"lr": 5e-5, "schedule": "inverse-sqrt", "warmup": 500, "label_smoothing": 0.1}


class Facts(NamedTuple):
    """What config.json says of a Marian model."""

    sizes: tuple[int, int]  # tokens of the source's vocabulary, and of the target's
    width: int  # d_model
    layers: tuple[int, int]  # of encoder and decoder
    inner: tuple[int, int]  # hidden units of the feed-forward networks
    tied: str  # as model.tied
    shared: bool  # one vocabulary for both sides
    scaled: bool  # embeddings are multiplied by the root of d_model
    end: int
    start: int  # token with which an output begins

    @property
    def both_tied(self) -> bool:
        return self.tied == "all"


def read(tree: Mapping[str, Any], search: Mapping[str, Any], where: str) -> tuple[Facts, Config]:
    """What config.json (`tree`) and generation_config.json (`search`) say. `where` is the folder in errors.

    The settings are without the kind of the tokenizer. Raises UserError, which names the key, for a model
    that this program does not have.
    """
    if tree.get("model_type") != "marian":
        kind = str(tree.get("model_type"))[:60]
        raise UserError(f"{where}: model_type is {kind}: only Marian models (MarianMTModel) can be imported")
    values = DEFAULTS | {name: tree[name] for name in DEFAULTS if tree.get(name) is not None}
    for name in COUNTS:
        _count(name, values[name], where)
    for name, value in FIXED.items():
        if tree.get(name, value) != value:
            raise UserError(f"{where}: {name} is {str(tree[name])[:60]}: only {value} can be imported")
    activation = values["activation_function"]
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise UserError(f"{where}: activation_function is {str(activation)[:60]}: there are {known}")
    if values["d_model"] % 2:
        raise UserError(f"{where}: d_model is {values['d_model']}: an odd size cannot be imported")
    shared, tied = values["share_encoder_decoder_embeddings"], values["tie_word_embeddings"]
    target_size = values["vocab_size"]
    if not shared:
        target_size = values["decoder_vocab_size"] or target_size
        _count("decoder_vocab_size", target_size, where)
    facts = Facts(
        (values["vocab_size"], target_size),
        values["d_model"],
        (values["encoder_layers"], values["decoder_layers"]),
        (values["encoder_ffn_dim"], values["decoder_ffn_dim"]),
        "none" if not tied else "all" if shared else "output",
        bool(shared),
        bool(values["scale_embedding"]),
        _token("eos_token_id", values["eos_token_id"], where),
        _token("decoder_start_token_id", values["decoder_start_token_id"], where),
    )
    return facts, config.validate(_tree(values, facts, dict(tree) | dict(search)), f"{where}/config.json")


def _tree(values: Mapping[str, Any], facts: Facts, search: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a tree of plain values."""
    sides = {
        side: {
            "kind": "transformer",
            "size": facts.width,
            "layers": values[f"{side}_layers"],
            "heads": values[f"{side}_attention_heads"],
            "feedforward": values[f"{side}_ffn_dim"],
            "activation": ACTIVATIONS[values["activation_function"]],
        }
        for side in ("encoder", "decoder")
    }
    return {
        "about": "A Marian model (Junczys-Dowmunt 2018), imported.",
        "data": {"joint": facts.shared, "vocab_size": max(facts.sizes)},
        "model": {
            "embedding": facts.width,
            "tied": facts.tied,
            "dropout": values["dropout"],
            **sides,
            "attention": {"score": "scaled-dot", "heads": values["decoder_attention_heads"]},
        },
        "train": FINE_TUNING,
        "search": {
            own: float(search[name]) if own == "length_penalty" else search[name]
            for name, own in SEARCH.items()
            if isinstance(search.get(name), int | float)
        },
    }


def write(settings: Config, sizes: tuple[int, int], tokens: Mapping[str, int]) -> dict[str, Any]:
    """config.json of a run that `export.transformers_limits` accepts, for vocabularies of these sizes.

    `tokens` are the numbers of "pad", "eos" and "unk".
    """
    model = settings.model
    encoder, decoder = model.encoder, model.decoder
    assert encoder.kind == decoder.kind == "transformer"
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "d_model": encoder.size,
        "encoder_layers": encoder.layers,
        "decoder_layers": decoder.layers,
        "encoder_attention_heads": encoder.heads,
        "decoder_attention_heads": decoder.heads,
        "encoder_ffn_dim": encoder.feedforward,
        "decoder_ffn_dim": decoder.feedforward,
        "activation_function": encoder.activation,
        "dropout": model.dropout,
        "scale_embedding": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
        "share_encoder_decoder_embeddings": model.tied == "all",
        "tie_word_embeddings": model.tied != "none",
        "vocab_size": sizes[0],
        "decoder_vocab_size": sizes[1],
        "max_position_embeddings": 1024,
        "pad_token_id": tokens["pad"],
        "eos_token_id": tokens["eos"],
        "forced_eos_token_id": tokens["eos"],
        "decoder_start_token_id": tokens["pad"],
        "bos_token_id": None,
        "dtype": "float32",
    }


def write_search(settings: Config, tokens: Mapping[str, int]) -> dict[str, Any]:
    """generation_config.json: the search of the run. The start and unknown words are never written."""
    search = settings.search
    return {
        "bad_words_ids": [[tokens["pad"]], [tokens["unk"]]],
        "decoder_start_token_id": tokens["pad"],
        "eos_token_id": tokens["eos"],
        "forced_eos_token_id": tokens["eos"],
        "pad_token_id": tokens["pad"],
        "max_length": search.max_length or 512,
        **{name: getattr(search, own) for name, own in SEARCH.items()},
    }


def _count(name: str, value: object, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**24:
        raise UserError(f"{where}: {name} is {str(value)[:60]}: it is a number from 1")


def _token(name: str, value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UserError(f"{where}: {name} is {str(value)[:60]}: it is the number of a token")
    return value
