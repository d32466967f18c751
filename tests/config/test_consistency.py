"""Settings that contradict each other are refused by name before any work starts: cases for every rule."""

import json
from typing import Any

import pytest

from seq2attn import config
from seq2attn.config import consistency, recipe
from seq2attn.config.fields import declared
from seq2attn.errors import UsageError

A = "model.attention."
P = "model.pointer=true"
C = "train.compile=true"
ENCODER, DECODER = "model.encoder.kind=transformer", "model.decoder.kind=transformer"
CONV = "model.decoder.kind=conv"
IMAGE = "model.encoder.kind=image"
CLIPS = [IMAGE, "model.encoder.max_frames=4"]
TIMM = "model.encoder.backbone=timm:some"
NO_CONTEXT = ["model.decoder.context_source=none", "model.decoder.context_to=[]"]
SUMMARY = "model.decoder.context_source=summary"

RULES: dict[str, Any] = vars(consistency) | vars(recipe)

# rule: [(settings, what the message says), ...]
CASES: dict[str, list[tuple[list[str], list[str]]]] = {
    "reverse_needs_one_direction": [
        (["model.encoder.reverse=true"], ["model.encoder.reverse", "model.encoder.bidirectional=false"])
    ],
    "kernel_is_odd": [
        (["model.encoder.kind=conv", "model.encoder.kernel=4"], ["model.encoder.kernel is 4", "odd"]),
        ([f"{A}history=location-aware", f"{A}kernel=4"], ["model.attention.kernel is 4", "odd"]),
    ],
    "kv_heads_divide_heads": [
        (
            [DECODER, "model.decoder.kv_heads=3"],
            ["kv_heads=3 must divide model.decoder.heads, 4, without rest"],
        ),
        ([DECODER, "model.decoder.kv_heads=8"], ["kv_heads=8 must divide model.decoder.heads, 4"]),
        (
            [ENCODER, "model.encoder.heads=1", "model.encoder.kv_heads=1"],
            ["model.encoder.kv_heads is what several heads share: with model.encoder.heads=1"],
        ),
        (
            [f"{A}kv_heads=1"],
            ["model.attention.kv_heads is what several heads share", "model.attention.heads=1"],
        ),
        (
            [f"{A}heads=4", f"{A}kv_heads=3"],
            ["model.attention.kv_heads=3 must divide model.attention.heads, 4"],
        ),
    ],
    "heads_divide_size": [
        ([ENCODER, "model.encoder.heads=3"], ["model.encoder.heads=3 must divide model.encoder.size, 256"])
    ],
    "rotary_turns_pairs": [
        (
            [ENCODER, "model.encoder.positions=rotary", "model.encoder.heads=256"],
            ['model.encoder.positions="rotary" turns pairs of numbers: a head has 1, which is odd'],
        )
    ],
    "backbone_is_known": [
        ([IMAGE, "model.encoder.backbone=resnet19"], ['model.encoder.backbone="resnet19"', "mean resnet18"]),
        ([IMAGE, "model.encoder.backbone=vgg"], ["timm:NAME", "package.module:function"]),
    ],
    "blocks_are_stages": [
        (
            [IMAGE, "model.encoder.blocks=[1, 1, 1, 1, 1]"],
            ["model.encoder.blocks has 5 stages: 4 are the most"],
        ),
        ([IMAGE, "model.encoder.blocks=[]"], ["model.encoder.blocks is empty"]),
    ],
    "self_attention_follows_a_stage": [
        ([IMAGE, "model.encoder.self_attention=4"], ["model.encoder.self_attention is a stage", "it has 3"]),
        ([IMAGE, TIMM, "model.encoder.self_attention=1"], ["model.encoder.self_attention", "timm:some"]),
    ],
    "batch_norm_has_published_statistics": [
        (
            [IMAGE, "model.encoder.backbone=resnet18", "model.encoder.norm=batch"],
            ['model.encoder.norm="batch"', "set model.encoder.weights"],
        )
    ],
    "published_weights_fit_the_backbone": [
        ([IMAGE, "model.encoder.weights=some"], ["model.encoder.weights", "model.encoder.backbone"]),
        (
            [IMAGE, "model.encoder.backbone=resnet18", "model.encoder.weights=some"],
            ['model.encoder.norm="batch"'],
        ),
    ],
    "frozen_backbone_is_whole_and_trained": [
        ([IMAGE, "model.encoder.frozen=true"], ["model.encoder.frozen=true", "set model.encoder.weights"]),
        ([IMAGE, TIMM, "model.encoder.frozen=true"], ["set model.encoder.weights"]),
        (
            [IMAGE, "model.encoder.frozen=true", "model.encoder.self_attention=1"],
            ["model.encoder.self_attention", "leave one out"],
        ),
    ],
    "image_positions_fit_the_size": [
        (
            [IMAGE, "model.encoder.positions=learned", "model.encoder.size=6"],
            ["model.encoder.positions", "model.encoder.size, 6, must be divisible by 4"],
        )
    ],
    "temporal_model_fits_the_size": [
        (
            [*CLIPS, "model.encoder.temporal=transformer", "model.encoder.temporal_heads=3"],
            ["model.encoder.temporal_heads=3 must divide model.encoder.size, 256"],
        ),
        ([*CLIPS, "model.encoder.size=255"], ["model.encoder.size is 255", "make it even"]),
    ],
    "context_goes_somewhere": [
        (
            ["model.decoder.context_source=none"],
            ["model.decoder.context_source", "set model.decoder.context_to=[]"],
        ),
        (["model.decoder.context_to=[]"], ["model.decoder.context_to is empty", "name a place"]),
        (['model.decoder.context_to=["readout", "readout"]'], ["model.decoder.context_to", "twice"]),
        ([*NO_CONTEXT, "model.decoder.bridge=zero"], ['model.decoder.bridge="zero" never sees the source']),
    ],
    "gate_needs_attention": [
        ([SUMMARY, "model.decoder.gate=scalar"], ["model.decoder.gate", 'context_source is "summary"']),
        ([SUMMARY, "model.decoder.gate=context"], ["model.decoder.gate", 'context_source is "summary"']),
        ([*NO_CONTEXT, "model.decoder.gate=scalar"], ["model.decoder.gate", 'context_source is "none"']),
    ],
    "context_to_a_layer_needs_two": [
        (
            ["model.decoder.context_to=layer"],
            ['model.decoder.context_to holds "layer"', "model.decoder.layers"],
        )
    ],
    "input_feeding_needs_a_readout": [
        (
            ["model.decoder.readout=linear", "model.decoder.input_feeding=true"],
            ["model.decoder.input_feeding", "model.decoder.readout_size"],
        )
    ],
    "concat_location_needs_both_queries": [
        ([f"{A}score=concat-location"], ['score="concat-location"', 'query_input="both"']),
        (
            [f"{A}score=concat-location", f"{A}query_input=embedding"],
            ['score="concat-location"', 'query_input="both"'],
        ),
    ],
    "keys_are_compared": [
        ([f"{A}score=location", f"{A}keys=embeddings"], ["keys is what a score compares", 'score="location"'])
    ],
    "gaussian_window_needs_soft_weights": [
        (
            [f"{A}window=local-p", f"{A}normaliser={hard}"],
            ['window="local-p"', f'normaliser="{hard}"', "local-m"],
        )
        for hard in config.HARD
    ],
    "expectation_needs_one_sample": [
        (
            [f"{A}normaliser=hard-sample", f"{A}k=2"],
            ["k is 2", "; set model.attention.expectation_prob=0, or set model.attention.k=1"],
        ),
        (
            [f"{A}normaliser=hard-sample", f"{A}k=2", f"{A}at_inference=expected"],
            ["expectation_prob=0 and choose another model.attention.at_inference than expected, or set"],
        ),
        (
            [f"{A}normaliser=hard-sample", f"{A}k=2", f"{A}at_inference=expected", f"{A}expectation_prob=0"],
            ["; choose another model.attention.at_inference than expected, or set model.attention.k=1"],
        ),
    ],
    "heads_map_the_values": [
        ([f"{A}heads=4", f"{A}value_map=linear"], ["model.attention.heads is 4", "model.attention.value_map"])
    ],
    "sums_need_equal_sizes": [
        ([f"{A}keys=sum"], ['keys="sum"', "512", "model.embedding is 256"]),
        ([f"{A}values=sum"], ['values="sum"', "512", "model.embedding is 256"]),
        ([DECODER, f"{A}keys=sum"], ['model.attention.keys="sum" adds states and embeddings']),
    ],
    "encoder_is_read": [
        (
            [f"{A}values=embeddings", f"model.decoder.bridge={bridge}", setting],
            [f'model.attention.values="embeddings" with model.decoder.bridge="{bridge}": nothing reads'],
        )
        for bridge in ("mean", "zero")
        for setting in (f"{A}keys=embeddings", f"{A}score=location")
    ]
    + [
        (
            [ENCODER, DECODER, f"{A}keys=embeddings", f"{A}values=embeddings"],
            ['model.attention.values="embeddings": nothing reads'],
        )
    ],
    "heads_divide_attention": [
        ([f"{A}heads=3"], ["model.attention.heads=3", "512"]),
        ([f"{A}heads=4", f"{A}size=10"], ["model.attention.heads=4", "10", "512"]),
        ([f"{A}heads=4", f"{A}size=12", "model.encoder.size=3"], ["model.attention.heads=4", "12", "6"]),
        ([DECODER, f"{A}heads=3"], ["model.attention.heads=3 must divide the attention's size, 256"]),
    ],
    "parallel_decoder_has_no_history": [
        (
            [DECODER, f"{A}history=coverage"],
            [
                'model.attention.history="coverage" reads the weights of earlier steps',
                "a transformer decoder",
            ],
        ),
        ([CONV, f"{A}history=fertility"], ['model.attention.history="fertility"', "a conv decoder"]),
        (
            [DECODER, f"{A}query_input=embedding"],
            ['model.attention.query_input="embedding"', "a recurrent decoder"],
        ),
        (
            [DECODER, f"{A}score=concat-location", f"{A}query_input=both"],
            ['model.attention.score="concat-location" is for a recurrent decoder'],
        ),
        ([DECODER, f"{A}value_map=linear"], ["model.attention.value_map", "maps the values already"]),
    ],
    "products_need_equal_sizes": [
        ([f"{A}score=dot", "model.decoder.size=300"], ["model.attention.score", "300", "512"]),
        ([f"{A}score=dot", f"{A}keys=embeddings"], ['score="dot"', "512", "256", "general"]),
        ([f"{A}score=scaled-dot", "model.decoder.size=300"], ['score="scaled-dot"', "300", "512"]),
        ([f"{A}score=cosine", f"{A}query_input=both"], ['score="cosine"', "768", "512"]),
        (
            [
                f"{A}score=keyed",
                f"{A}key_map=identity",
                f"{A}query_map=identity",
                f"{A}query_input=embedding",
            ],
            ['score="keyed"', "256", "512"],
        ),
    ],
    "images_have_no_embeddings": [
        ([IMAGE, "model.tied=all"], ['model.tied="all" shares the embedding of the source', "choose output"]),
        ([IMAGE, f"{A}keys=embeddings"], ['model.attention.keys="embeddings"', "images have none"]),
        ([IMAGE, f"{A}values=sum"], ['model.attention.values="sum"', "images have none"]),
        ([IMAGE, f"{A}window=local-m"], ['model.attention.window="local-m"', "a grid"]),
    ],
    "transformer_adds_to_the_embedding": [
        ([ENCODER, "model.encoder.size=128"], ["model.encoder.size is 128 and model.embedding 256"]),
        ([DECODER, "model.decoder.size=128"], ["model.decoder.size is 128 and model.embedding 256"]),
    ],
    "last_bridge_fits": [
        ([ENCODER, "model.decoder.bridge=last"], ['model.decoder.bridge="last" copies a recurrent encoder']),
        (["model.decoder.bridge=last", "model.decoder.size=300"], ["model.decoder.bridge", "300", "512"]),
        (
            ["model.decoder.bridge=last", "model.decoder.layers=3"],
            ["model.decoder.layers is 3", "layers is 1"],
        ),
    ],
    "linear_readout_is_not_tied": [
        (["model.decoder.readout=linear"], ["model.decoder.readout", 'model.tied="none"'])
    ],
    "batch_size_is_tried_with_whole_weights": [
        (
            ['train.batch_tokens="auto"', "train.shard=true"],
            ['train.batch_tokens="auto"', "train.shard is true", "leave train.shard out"],
        )
    ],
    "batch_size_is_tried_without_samples": [
        (
            [IMAGE, 'train.batch_tokens="auto"', "train.self_critical.start_step=9"],
            ['train.batch_tokens="auto"', "train.self_critical.start_step", "give a number"],
        )
    ],
    "compilation_is_alone": [
        ([C, "train.cuda_graphs=true"], ["train.compile is true, and train.cuda_graphs", "leave one"]),
        ([C, "train.shard=true"], ["train.compile is true, and train.shard is true"]),
        ([C, IMAGE, "train.self_critical.start_step=9"], ["train.compile", "start_step", "samples"]),
    ],
    "compilation_is_of_a_model_without_loops": [
        ([C], ["train.compile", 'model.encoder.kind="rnn"', "train.cuda_graphs=true"]),
        ([C, ENCODER], ["train.compile", 'model.decoder.kind="rnn"', "train.cuda_graphs=true"]),
        ([C, ENCODER, DECODER], ["train.compile", 'score="additive"', "scaled-dot"]),
        ([C, *CLIPS, DECODER, f"{A}score=scaled-dot"], ["train.compile", "model.encoder.max_frames"]),
    ],
    "pointer_copies_by_soft_attention": [
        ([P, IMAGE], ["model.pointer=true", "images have none"]),
        ([P, SUMMARY], ["model.pointer=true", 'context_source is "summary"']),
        ([P, f"{A}normaliser=sigmoid"], ["model.pointer=true", 'normaliser="sigmoid"', "entmax15"]),
        ([P, f"{A}normaliser=hard-topk"], ["model.pointer=true", 'normaliser="hard-topk"', "softmax"]),
        ([P, f"{A}window=local-p"], ["model.pointer=true", 'window="local-p"', "local-m"]),
    ],
    "mean_of_others_needs_two_samples": [
        (
            [IMAGE, "train.self_critical.start_step=9", "train.self_critical.samples=1"],
            ['train.self_critical.baseline="samples"', "draw more, or choose greedy"],
        )
    ],
    "some_length_is_allowed": [
        (["search.min_length=5", "search.max_length=4"], ["search.min_length is 5 and search.max_length 4"])
    ],
    "model_is_of_bounded_size": [
        (["model.embedding=16384", "data.vocab_size=1000000"], ["parameters", "data.vocab_size=1000000"])
    ],
    "tied_embeddings_share_a_vocabulary": [
        (["model.tied=all", "data.joint=false"], ["model.tied", "data.joint"])
    ],
    "self_critical_attention_is_soft": [
        (
            [IMAGE, "train.self_critical.start_step=9", f"{A}normaliser=hard-sample"],
            ["train.self_critical.start_step", 'model.attention.normaliser is "hard-sample"'],
        )
    ],
    "cider_needs_captions": [(["train.metric=cider"], ['train.metric="cider"', "choose bleu or loss"])],
    "guide_has_attention_to_act_on": [
        ([SUMMARY, "train.guide=0.1"], ["train.guide", 'context_source is "summary"']),
        ([IMAGE, "train.guide=0.1"], ["train.guide", "images have no words"]),
        (["train.guide=0.1", f"{A}normaliser=sparsemax"], ["train.guide", '"sparsemax"', "choose softmax"]),
        (["train.guide=0.1", f"{A}normaliser=hard-topk"], ["train.guide", '"hard-topk"']),
        (["train.guide=0.1", "train.guide_layer=2"], ["train.guide_layer is 2", "has one layer"]),
        (["train.guide=0.1", "train.guide_head=2"], ["train.guide_head is 2", "has one head"]),
        (
            ["train.guide=0.1", DECODER, "train.guide_layer=9"],
            ["train.guide_layer is 9", "layers, numbered from 1"],
        ),
    ],
    "sampled_subwords_fit_the_tokenizer": [
        (
            ["train.subword_dropout=0.1", "data.tokenizer=char"],
            ["train.subword_dropout is for a bpe tokenizer", '"char"', "or leave it out"],
        ),
        (
            ["train.subword_alpha=0.2", "data.tokenizer=bpe"],
            ["train.subword_alpha is for a unigram tokenizer", "or choose train.subword_dropout"],
        ),
        (["train.subword_dropout=0.1", "train.guide=0.1"], ["train.subword_dropout", "train.guide"]),
    ],
    "r_drop_has_passes_that_differ": [
        (["train.r_drop=1", "model.dropout=0"], ["train.r_drop", "model.dropout is 0"]),
        (["train.r_drop=1", P], ["train.r_drop", "model.pointer=true"]),
        (["train.r_drop=1", f"{A}normaliser=hard-sample"], ["train.r_drop", '"hard-sample"']),
    ],
    "markers_are_subwords": [
        (["data.protect=true", "data.tokenizer=word"], ["data.protect", 'data.tokenizer="word"'])
    ],
    "attention_dropout_has_weights": [
        ([SUMMARY, "train.attention_dropout=0.1"], ["train.attention_dropout", 'context_source is "summary"'])
    ],
    "doubly_stochastic_needs_attention": [
        ([SUMMARY, "train.doubly_stochastic=1"], ["train.doubly_stochastic", 'context_source is "summary"'])
    ],
}


def test_every_rule_has_cases() -> None:
    classes: list[Any] = [config.Config]
    for one in declared():
        if one.is_section:
            classes += [type(one.field.default)]
    classes += [
        config.ConvEncoderConfig,
        config.TransformerEncoderConfig,
        config.ImageEncoderConfig,
        config.ConvDecoderConfig,
        config.TransformerDecoderConfig,
    ]
    listed = {rule.__name__ for section in classes for rule in section.rules}
    assert listed == set(CASES)
    public = {name for name, value in RULES.items() if callable(value) and name in CASES}
    assert public == listed


@pytest.mark.parametrize(
    ("rule", "settings", "names"), [(rule, *case) for rule, cases in CASES.items() for case in cases]
)
def test_rule_refuses_by_name(rule: str, settings: list[str], names: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        config.change(config.Config(), settings)
    message = str(refusal.value)
    assert message.startswith("settings: ")
    assert "\n" not in message
    for name in names:
        assert name in message
    with pytest.raises(ValueError, match=r".") as raised:  # the rule itself, and no other, refuses
        _run_alone(rule, settings)
    assert str(raised.value) in message


def _run_alone(rule: str, settings: list[str]) -> None:
    """Run one rule on the sections of a config that is not validated."""
    tree: dict[str, Any] = {}
    config.assign_all(tree, settings)
    unchecked = _unchecked(config.Config, tree)
    for section in (
        *(unchecked, unchecked.data, unchecked.model, unchecked.train, unchecked.train.self_critical),
        unchecked.search,
        *(unchecked.model.encoder, unchecked.model.decoder, unchecked.model.attention),
    ):
        if rule in {one.__name__ for one in section.rules}:
            RULES[rule](section)


def _unchecked(section: type[Any], tree: dict[str, Any]) -> Any:
    """A section of these settings without a validator."""
    kinds = {
        "encoder": {
            "rnn": config.RNNEncoderConfig,
            "conv": config.ConvEncoderConfig,
            "transformer": config.TransformerEncoderConfig,
            "image": config.ImageEncoderConfig,
        },
        "decoder": {
            "rnn": config.RNNDecoderConfig,
            "conv": config.ConvDecoderConfig,
            "transformer": config.TransformerDecoderConfig,
        },
    }
    values = {}
    for name, field in section.model_fields.items():
        value = tree.get(name, field.default)
        if isinstance(field.default, config.Section):
            part = tree.get(name, {})
            kind = kinds[name][part.get("kind", "rnn")] if name in kinds else type(field.default)
            value = _unchecked(kind, part)
        values[name] = value
    return section.model_construct(**values)


@pytest.mark.parametrize(
    "settings",
    [
        [f"{A}heads=4"],
        # each head's maps make the sizes equal
        [f"{A}heads=4", f"{A}score=dot", f"{A}keys=embeddings", f"{A}query_input=both"],
        [f"{A}score=keyed", f"{A}key_map=identity"],
        [f"{A}score=keyed", f"{A}key_map=identity", f"{A}query_map=identity"],
        [f"{A}score=dot", f"{A}keys=embeddings", f"{A}query_input=embedding"],
        # fertility is read off the keys
        [f"{A}score=location", f"{A}keys=embeddings", f"{A}history=fertility"],
        [f"{A}score=concat-location", f"{A}query_input=both", f"{A}max_positions=9"],
        [f"{A}values=embeddings", f"{A}value_map=nonlinear"],
        [f"{A}window=local-m", f"{A}normaliser=hard-topk", f"{A}k=3"],
        [f"{A}window=local-p", f"{A}normaliser=sigmoid", f"{A}half_width=3"],
        [f"{A}normaliser=hard-sample", f"{A}k=2", f"{A}expectation_prob=0", f"{A}at_inference=sample"],
        [f"{A}history=coverage", f"{A}normaliser=sparsemax", f"{A}temperature=2"],
        [f"{A}values=embeddings", "model.decoder.bridge=mean"],
        [f"{A}values=embeddings", "model.decoder.bridge=zero"],
        [f"{A}values=embeddings", f"{A}keys=embeddings", "model.decoder.bridge=linear"],
        [SUMMARY, f"{A}score=dot", "model.decoder.size=300"],  # nothing attends
        [SUMMARY, f"{A}heads=4", f"{A}kv_heads=2"],
        NO_CONTEXT,
        ["model.decoder.gate=scalar"],
        ["search.min_length=5", "search.max_length=5"],
        [ENCODER, DECODER, "model.encoder.kv_heads=4", "model.decoder.kv_heads=1"],
        [ENCODER, "model.encoder.positions=learned", "model.encoder.max_positions=9"],
        [DECODER, f"{A}score=dot", f"{A}size=64"],  # maps make the sizes equal, with one head too
        [DECODER, f"{A}normaliser=hard-topk", f"{A}k=3", f"{A}window=local-m"],
        [DECODER, f"{A}normaliser=hard-sample", f"{A}at_inference=sample"],
        [ENCODER, DECODER, f"{A}keys=sum", f"{A}values=embeddings"],
        [ENCODER, f"{A}heads=4", f"{A}kv_heads=2", f"{A}history=coverage"],
        [*CLIPS, f"{A}window=local-m"],
        ["train.subword_dropout=0.1"],  # a prepared folder will tell its tokenizer
        ["train.subword_alpha=0", "data.tokenizer=unigram"],
        ["train.r_drop=1", "model.dropout=0", "train.word_dropout=0.1"],
        [ENCODER, SUMMARY, "train.attention_dropout=0.1"],
        [*CLIPS, SUMMARY, "model.encoder.temporal=transformer", "train.attention_dropout=0.1"],
    ],
)
def test_settings_that_agree_are_accepted(settings: list[str]) -> None:
    result = config.change(config.Config(), settings)
    assert config.validate(json.loads(json.dumps(result.model_dump(mode="json"))), "config.json") == result


def test_condition_of_a_setting_names_every_value_of_its_owner() -> None:
    owner = r'model\.attention\.normaliser="hard-topk" or "hard-sample"'
    with pytest.raises(UsageError, match=rf'model\.attention\.k is for {owner}: with "softmax"'):
        config.change(config.Config(), [f"{A}k=2"])


def test_conditions_are_checked_in_a_section_that_python_makes() -> None:
    with pytest.raises(ValueError, match=r"model\.attention\.k is for"):
        config.AttentionConfig(k=2)
    assert config.AttentionConfig(k=2, normaliser="hard-topk").k == 2
