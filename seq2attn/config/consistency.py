"""What settings must agree on. A function for each rule raises ValueError with the setting and the way out.

Each section of `schema` lists its rules. `check` runs them after the conditions that the settings declare.
"""

import json
import re
from typing import TYPE_CHECKING

from seq2attn.config import sizes
from seq2attn.config.marks import When, marks_of
from seq2attn.config.own_code import is_code
from seq2attn.config.parameters import estimate_parameters
from seq2attn.config.scores import traits_of
from seq2attn.near import nearest

if TYPE_CHECKING:
    from seq2attn.config.schema import (
        AttentionConfig,
        Config,
        ConvEncoderConfig,
        DataConfig,
        ImageEncoderConfig,
        ModelConfig,
        RNNDecoderConfig,
        RNNEncoderConfig,
        SearchConfig,
        Section,
        SelfCriticalConfig,
        TrainConfig,
        TransformerConfig,
    )

MOST_PARAMETERS = 1_000_000_000  # parameters of a model, estimated from its settings
HARD = ("hard-topk", "hard-sample", "gumbel")  # normalisers whose weights are 0 or 1
DISTRIBUTIONS = ("softmax", "sparsemax", "entmax15")  # normalisers whose weights are probabilities
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
BACKBONES = ("resnet", *RESNETS)
STAGES = 4  # stages of a residual network


def check(section: "Section") -> None:
    """Raise ValueError if a section breaks a rule, or a condition that a setting declares."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value == field.default:
            continue
        for mark in marks_of(field):
            if isinstance(mark, When) and not mark.holds(owner := getattr(section, mark.name)):
                why = mark.why or (
                    f"is for {mark.choices(mark.full_name(section.path))}: "
                    f"with {json.dumps(owner)} it does nothing; "
                    f"leave it at {json.dumps(field.default)}"
                )
                raise ValueError(f"{section.path}.{name} {why}")
    for rule in section.rules:
        rule(section)


# Encoders


def reverse_needs_one_direction(encoder: "RNNEncoderConfig") -> None:
    if encoder.reverse and encoder.bidirectional:
        raise ValueError(
            "model.encoder.reverse needs model.encoder.bidirectional=false: both directions are read already"
        )


def kernel_is_odd(section: "ConvEncoderConfig | AttentionConfig") -> None:
    if section.kernel % 2 == 0:
        raise ValueError(
            f"{section.path}.kernel is {section.kernel}: a kernel centred on a position has an odd width"
        )


def kv_heads_divide_heads(section: "TransformerConfig | AttentionConfig") -> None:
    name, heads, kv_heads = section.path, section.heads, section.kv_heads
    if kv_heads is not None and heads == 1:
        raise ValueError(
            f"{name}.kv_heads is what several heads share: with {name}.heads=1 it does nothing; leave it out"
        )
    if kv_heads is not None and heads % kv_heads:
        raise ValueError(f"{name}.kv_heads={kv_heads} must divide {name}.heads, {heads}, without rest")


def heads_divide_size(section: "TransformerConfig") -> None:
    if section.size % section.heads:
        raise ValueError(
            f"{section.path}.heads={section.heads} must divide {section.path}.size, {section.size}, "
            "without rest"
        )


def rotary_turns_pairs(section: "TransformerConfig") -> None:
    size = section.size // section.heads
    if section.positions == "rotary" and size % 2:
        raise ValueError(
            f'{section.path}.positions="rotary" turns pairs of numbers: a head has {size}, which is odd; '
            "change size or heads"
        )


# Data


def markers_are_subwords(data: "DataConfig") -> None:
    if data.protect and data.tokenizer == "word":
        raise ValueError(
            'data.protect needs subwords or characters: with data.tokenizer="word" a marker beside a comma '
            "would be an unknown word; choose another tokenizer"
        )


# Images


def backbone_is_known(encoder: "ImageEncoderConfig") -> None:
    timm = re.fullmatch(r"timm:[\w./-]+", encoder.backbone)
    if encoder.residual or timm or is_code(encoder.backbone):
        return
    near = nearest(encoder.backbone, BACKBONES)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f'model.encoder.backbone="{encoder.backbone}"{hint}: choose {", ".join(BACKBONES)}, timm:NAME, '
        "or package.module:function for one of your own"
    )


def blocks_are_stages(encoder: "ImageEncoderConfig") -> None:
    if len(encoder.blocks) > STAGES:
        raise ValueError(f"model.encoder.blocks has {len(encoder.blocks)} stages: {STAGES} are the most")
    if not encoder.blocks:
        raise ValueError("model.encoder.blocks is empty: say how many residual blocks each stage has")


def self_attention_follows_a_stage(encoder: "ImageEncoderConfig") -> None:
    if encoder.self_attention is None or (encoder.residual and encoder.self_attention <= encoder.depth):
        return
    stages = f"it has {encoder.depth}" if encoder.residual else "it has none that we know"
    raise ValueError(
        f'model.encoder.self_attention is a stage of the backbone, "{encoder.backbone}", and {stages}: '
        "leave it out, or choose another backbone"
    )


def batch_norm_has_published_statistics(encoder: "ImageEncoderConfig") -> None:
    if encoder.norm == "batch" and encoder.weights is None:
        raise ValueError(
            'model.encoder.norm="batch" uses the statistics of pretrained weights: '
            "set model.encoder.weights, or choose group"
        )


def published_weights_fit_the_backbone(encoder: "ImageEncoderConfig") -> None:
    ours = encoder.residual and (encoder.backbone == "resnet" or encoder.norm == "group")
    if encoder.weights is not None and ours:
        raise ValueError(
            "model.encoder.weights are those of a published network: set model.encoder.backbone to resnet18 "
            'or the like, and model.encoder.norm="batch"'
        )


def frozen_backbone_is_whole_and_trained(encoder: "ImageEncoderConfig") -> None:
    if encoder.frozen and encoder.self_attention is not None:
        raise ValueError(
            "model.encoder.frozen=true trains nothing of the backbone, so the layer that "
            "model.encoder.self_attention adds would never learn: leave one out"
        )
    if encoder.frozen and encoder.code is None and encoder.weights is None:
        raise ValueError(
            "model.encoder.frozen=true with random weights never learns to see: set model.encoder.weights"
        )


def image_positions_fit_the_size(encoder: "ImageEncoderConfig") -> None:
    if encoder.positions != "none" and encoder.size % 4:
        raise ValueError(
            "model.encoder.positions encodes rows and columns in pairs of numbers: "
            f"model.encoder.size, {encoder.size}, must be divisible by 4"
        )


def temporal_model_fits_the_size(encoder: "ImageEncoderConfig") -> None:
    if encoder.clips and encoder.temporal == "transformer" and encoder.size % encoder.temporal_heads:
        raise ValueError(
            f"model.encoder.temporal_heads={encoder.temporal_heads} must divide model.encoder.size, "
            f"{encoder.size}, without rest"
        )
    if encoder.clips and encoder.temporal == "rnn" and encoder.size % 2:
        raise ValueError(
            f"model.encoder.size is {encoder.size}: each of two directions has half of it; make it even"
        )


# The recurrent decoder


def context_goes_somewhere(decoder: "RNNDecoderConfig") -> None:
    source, places = decoder.context_source, decoder.context_to
    if len(set(places)) != len(places):
        raise ValueError("model.decoder.context_to names a place twice")
    if source == "none" and places:
        raise ValueError(
            'model.decoder.context_source="none" has no context to send anywhere: '
            "set model.decoder.context_to=[]"
        )
    if source != "none" and not places:
        raise ValueError(
            "model.decoder.context_to is empty, so the context is never used: name a place, "
            f'or set model.decoder.context_source="none" (it is "{source}")'
        )
    if source == "none" and decoder.bridge == "zero":
        raise ValueError(
            'model.decoder.context_source="none" with model.decoder.bridge="zero" never sees the source: '
            "choose another bridge"
        )


def gate_needs_attention(decoder: "RNNDecoderConfig") -> None:
    if decoder.gate != "none" and decoder.context_source != "attention":
        raise ValueError(
            "model.decoder.gate scales the context of attention, and model.decoder.context_source is "
            f'"{decoder.context_source}": leave the gate out'
        )


def context_to_a_layer_needs_two(decoder: "RNNDecoderConfig") -> None:
    if "layer" in decoder.context_to and decoder.layers == 1:
        raise ValueError(
            'model.decoder.context_to holds "layer" (the next layer of the stack): '
            "model.decoder.layers must be at least 2"
        )


def input_feeding_needs_a_readout(decoder: "RNNDecoderConfig") -> None:
    if decoder.input_feeding and decoder.readout == "linear" and decoder.readout_size is None:
        raise ValueError(
            "model.decoder.input_feeding feeds the readout vector: a linear readout needs "
            "model.decoder.readout_size"
        )


# Attention


def concat_location_needs_both_queries(attention: "AttentionConfig") -> None:
    if attention.score == "concat-location" and attention.query_input != "both":
        raise ValueError(
            'model.attention.score="concat-location" reads state and embedding together: '
            'set model.attention.query_input="both", or choose location'
        )


def keys_are_compared(attention: "AttentionConfig") -> None:
    if not attention.compares and attention.keys != "states":
        raise ValueError(
            "model.attention.keys is what a score compares: "
            f'model.attention.score="{attention.score}" compares nothing, so it does nothing; '
            "leave it at states"
        )


def gaussian_window_needs_soft_weights(attention: "AttentionConfig") -> None:
    if attention.window == "local-p" and attention.normaliser in HARD:
        raise ValueError(
            'model.attention.window="local-p" multiplies weights by a Gaussian, and those of '
            f'model.attention.normaliser="{attention.normaliser}" are 0 or 1: choose local-m, or softmax'
        )


def expectation_needs_one_sample(attention: "AttentionConfig") -> None:
    expects = attention.at_inference == "expected"
    if (
        attention.normaliser != "hard-sample"
        or attention.k == 1
        or not (attention.expectation_prob or expects)
    ):
        return
    ways = ["set model.attention.expectation_prob=0"] if attention.expectation_prob else []
    ways += ["choose another model.attention.at_inference than expected"] if expects else []
    raise ValueError(
        f"model.attention.k is {attention.k}: the expected context needs a single position; "
        f"{' and '.join(ways)}, or set model.attention.k=1"
    )


def heads_map_the_values(attention: "AttentionConfig") -> None:
    if attention.heads > 1 and attention.value_map != "identity":
        raise ValueError(
            f"model.attention.heads is {attention.heads}: each head maps the values already; "
            "leave model.attention.value_map out"
        )


# The model


def _attends(model: "ModelConfig") -> bool:
    return model.decoder.context_source == "attention"


def sums_need_equal_sizes(model: "ModelConfig") -> None:
    a, width = model.attention, sizes.encoder_width(model)
    if _attends(model) and "sum" in (a.keys, a.values) and model.embedding != width:
        raise ValueError(
            f'model.attention.{"keys" if a.keys == "sum" else "values"}="sum" adds states and embeddings: '
            f"the encoder's states have {width}, model.embedding is {model.embedding}; make them equal, "
            "or choose states"
        )


def encoder_is_read(model: "ModelConfig") -> None:
    a, d = model.attention, model.decoder
    unread = a.values == "embeddings" and not (a.compares and a.keys != "embeddings")
    if not _attends(model) or not unread or (d.kind == "rnn" and d.bridge in ("last", "linear")):
        return
    bridge = f' with model.decoder.bridge="{d.bridge}"' if d.kind == "rnn" else ""
    raise ValueError(
        f'model.attention.values="embeddings"{bridge}: nothing reads the encoder\'s states; '
        f"choose values or keys of states{', or another bridge' if bridge else ''}"
    )


def heads_divide_attention(model: "ModelConfig") -> None:
    heads, size = model.attention.heads, sizes.attention_size(model)
    values = size if model.decoder.kind == "transformer" else sizes.memory_size(model, "values")
    if _attends(model) and (size % heads or values % heads):
        raise ValueError(
            f"model.attention.heads={heads} must divide the attention's size, {size}, and the values', "
            f"{values}, without rest"
        )


def parallel_decoder_has_no_history(model: "ModelConfig") -> None:
    a, kind = model.attention, model.decoder.kind
    if kind == "rnn":
        return
    if a.history != "none":
        raise ValueError(
            f'model.attention.history="{a.history}" reads the weights of earlier steps, and a {kind} decoder '
            "takes all steps at once: choose a recurrent one"
        )
    if a.score == "concat-location":
        raise ValueError(
            'model.attention.score="concat-location" is for a recurrent decoder, which has an embedding '
            f"beside its state: with {kind} choose location"
        )
    if a.query_input != "state":
        raise ValueError(
            f'model.attention.query_input="{a.query_input}" is for a recurrent decoder: the states of '
            f"a {kind} decoder hold the embedding already; leave it at state"
        )
    if kind == "transformer" and a.value_map != "identity":
        raise ValueError(
            "model.attention.value_map: a transformer decoder maps the values already; leave it out"
        )


def products_need_equal_sizes(model: "ModelConfig") -> None:
    a = model.attention
    equal = traits_of(a.score).equal_sizes or (a.score == "keyed" and a.key_map == a.query_map == "identity")
    queries, keys = sizes.query_size(model), sizes.memory_size(model, "keys")
    if _attends(model) and equal and not sizes.projects(model) and queries != keys:
        raise ValueError(
            f'model.attention.score="{a.score}" needs queries and keys of one size: queries have {queries} '
            f"(the decoder's states have {sizes.decoder_size(model)}), keys {keys} "
            f"(the encoder's states have {sizes.encoder_width(model)}); make them equal, "
            "or choose general or additive"
        )


def images_have_no_embeddings(model: "ModelConfig") -> None:
    attention, sources = model.attention, model.modality
    if model.grid and attention.window != "none":
        raise ValueError(
            f'model.attention.window="{attention.window}" is over a line of positions, and those of an image '
            "are a grid: leave it out"
        )
    if sources.has_vocabulary:
        return
    if model.tied == "all":
        raise ValueError(
            f'model.tied="all" shares the embedding of the source, and {sources.name} have none: '
            "choose output"
        )
    for name, part in (("keys", attention.keys), ("values", attention.values)):
        if part != "states":
            raise ValueError(
                f'model.attention.{name}="{part}" reads embedded tokens, and {sources.name} have '
                "none: leave it at states"
            )


def transformer_adds_to_the_embedding(model: "ModelConfig") -> None:
    for part in (model.encoder, model.decoder):
        if part.kind == "transformer" and part.size != model.embedding:
            raise ValueError(
                f"{part.path}.size is {part.size} and model.embedding {model.embedding}: "
                "a transformer's layers add to the embedding itself; make them equal"
            )


def last_bridge_fits(model: "ModelConfig") -> None:
    e, d, width = model.encoder, model.decoder, sizes.encoder_width(model)
    if d.kind != "rnn" or d.bridge != "last":
        return
    if e.kind != "rnn":
        raise ValueError(
            'model.decoder.bridge="last" copies a recurrent encoder\'s state: '
            f'model.encoder.kind is "{e.kind}"; choose linear, mean or zero'
        )
    if d.size != width:
        raise ValueError(
            f'model.decoder.bridge="last" copies the encoder\'s state: model.decoder.size is {d.size}, '
            f"the encoder's is {width}; make them equal, or choose linear"
        )
    if d.layers != e.layers:
        raise ValueError(
            f'model.decoder.bridge="last" copies layer by layer: model.decoder.layers is {d.layers}, '
            f"model.encoder.layers is {e.layers}; make them equal, or choose linear"
        )


def linear_readout_is_not_tied(model: "ModelConfig") -> None:
    d = model.decoder
    if d.kind == "rnn" and d.readout == "linear" and d.readout_size is None and model.tied != "none":
        raise ValueError(
            'model.decoder.readout="linear" without model.decoder.readout_size goes straight to the '
            'vocabulary: set a size, or model.tied="none"'
        )


def pointer_copies_by_soft_attention(model: "ModelConfig") -> None:
    a = model.attention
    if not model.pointer:
        return
    if not model.modality.has_vocabulary:
        raise ValueError(
            f"model.pointer=true copies tokens of the source, and {model.modality.name} have none: "
            "leave it out"
        )
    if not _attends(model):
        raise ValueError(
            "model.pointer=true copies by attention, and model.decoder.context_source is "
            f'"{model.decoder.context_source}": choose attention, or leave the pointer out'
        )
    if a.normaliser not in DISTRIBUTIONS:
        raise ValueError(
            "model.pointer=true copies with the attention weights as probabilities, and those of "
            f'model.attention.normaliser="{a.normaliser}" are none: choose {", ".join(DISTRIBUTIONS)}'
        )
    if a.window == "local-p":
        raise ValueError(
            "model.pointer=true copies with the attention weights as probabilities, and those of "
            'model.attention.window="local-p" do not sum to 1: choose local-m, or none'
        )


# Training and search


def batch_size_is_tried_with_whole_weights(train: "TrainConfig") -> None:
    if train.batch_tokens == "auto" and train.shard:
        raise ValueError(
            'train.batch_tokens="auto" tries batches before the weights are in shards, and train.shard is '
            "true: give a number of tokens, or leave train.shard out"
        )


def batch_size_is_tried_without_samples(train: "TrainConfig") -> None:
    if train.batch_tokens == "auto" and train.self_critical.start_step is not None:
        raise ValueError(
            'train.batch_tokens="auto" tries batches of the data, and train.self_critical.start_step trains '
            "on samples, which may need more memory: give a number of tokens"
        )


def compilation_is_alone(train: "TrainConfig") -> None:
    others = {
        "train.cuda_graphs is true, which launches the same operations in another way": train.cuda_graphs,
        "train.shard is true, which puts weights together inside the model": train.shard,
        "train.self_critical.start_step is set, which trains on samples": (
            train.self_critical.start_step is not None
        ),
    }
    for other, holds in others.items():
        if train.compile and holds:
            raise ValueError(f"train.compile is true, and {other}: leave one of them out")


def mean_of_others_needs_two_samples(section: "SelfCriticalConfig") -> None:
    if section.baseline == "samples" and section.start_step is not None and section.samples == 1:
        raise ValueError(
            'train.self_critical.baseline="samples" is the mean of the other samples, and '
            "train.self_critical.samples is 1: draw more, or choose greedy"
        )


def some_length_is_allowed(search: "SearchConfig") -> None:
    if search.max_length is not None and search.min_length > search.max_length:
        raise ValueError(
            f"search.min_length is {search.min_length} and search.max_length {search.max_length}: "
            "no length is between them"
        )


# The whole


def model_is_of_bounded_size(config: "Config") -> None:
    if (count := estimate_parameters(config.model, config.data.most_tokens)) > MOST_PARAMETERS:
        raise ValueError(
            f"model has about {count:,} parameters, with data.vocab_size={config.data.vocab_size}: "
            f"at most {MOST_PARAMETERS:,}; make sizes, layers or the vocabulary smaller"
        )


def tied_embeddings_share_a_vocabulary(config: "Config") -> None:
    if config.model.tied == "all" and not config.data.joint:
        raise ValueError('model.tied="all" shares one embedding between both sides: it needs data.joint=true')


def self_critical_attention_is_soft(config: "Config") -> None:
    samples = _attends(config.model) and config.model.attention.normaliser == "hard-sample"
    if config.train.self_critical.start_step is not None and samples:
        raise ValueError(
            "train.self_critical.start_step does not train attention that samples its positions, and "
            'model.attention.normaliser is "hard-sample": leave it out, or choose softmax'
        )


def cider_needs_captions(config: "Config") -> None:
    if config.train.metric not in config.model.modality.metrics:
        raise ValueError(f'train.metric="{config.train.metric}" scores captions: choose bleu or loss')


def doubly_stochastic_needs_attention(config: "Config") -> None:
    if config.train.doubly_stochastic and not _attends(config.model):
        raise ValueError(
            "train.doubly_stochastic penalises attention weights, and model.decoder.context_source is "
            f'"{config.model.decoder.context_source}": leave it out'
        )


def guide_has_attention_to_act_on(config: "Config") -> None:
    train, model = config.train, config.model
    if not train.guide:
        return
    if not model.modality.has_vocabulary:
        raise ValueError(
            f"train.guide teaches which source word a target word belongs to, and {model.modality.name} have "
            "no words: leave it out"
        )
    if not _attends(model):
        raise ValueError(
            "train.guide teaches attention weights, and model.decoder.context_source is "
            f'"{model.decoder.context_source}": leave it out'
        )
    if model.attention.normaliser != "softmax":
        raise ValueError(
            f"train.guide needs weights with a logarithm, and those of model.attention.normaliser="
            f'"{model.attention.normaliser}" can be 0 or need not add up to 1: choose softmax'
        )
    for name, number, count in (
        ("layer", train.guide_layer, model.attention_layers),
        ("head", train.guide_head, model.attention.heads),
    ):
        if number is not None and number > count:
            has = f"{count} {name}s, numbered from 1" if count > 1 else f"one {name}"
            raise ValueError(f"train.guide_{name} is {number}, and the attention to the source has {has}")


def compilation_is_of_a_model_without_loops(config: "Config") -> None:
    if not config.train.compile:
        return
    for part in (config.model.encoder, config.model.decoder):
        if part.kind == "rnn":
            raise ValueError(
                f'train.compile needs a program for all lengths, and {part.path}.kind="rnn" has a loop over '
                "steps: leave it out; on a GPU train.cuda_graphs=true launches such a model by one call"
            )
    attention = config.model.attention
    if _attends(config.model) and attention.score in ("additive", "concat"):
        raise ValueError(
            "train.compile needs gradients that torch derives, and those of model.attention.score="
            f'"{attention.score}" are our own: leave it out, or choose another score, such as scaled-dot'
        )
    if getattr(config.model.encoder, "clips", False):
        raise ValueError(
            "train.compile needs a program for all lengths, and model.encoder.max_frames reads clips, whose "
            "frames are counted as they come: leave it out"
        )
