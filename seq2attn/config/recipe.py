"""What the settings of the training recipe must agree on with others, one function for each rule.

`consistency` has those of the other settings.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2attn.config.schema import Config, ModelConfig


def sampled_subwords_fit_the_tokenizer(config: "Config") -> None:
    train = config.train
    settings = {
        "train.subword_dropout": ("bpe", train.subword_dropout > 0),
        "train.subword_alpha": ("unigram", train.subword_alpha is not None),
    }
    kind = config.data.tokenizer  # not set: a prepared folder will tell
    for name, (own, holds) in settings.items():
        if not holds:
            continue
        if kind not in (None, own):
            others = [other for other, (tokenizer, _) in settings.items() if tokenizer == kind]
            way = f", or choose {others[0]}" if others else ", or leave it out"
            raise ValueError(
                f'{name} is for a {own} tokenizer, and data.tokenizer is "{kind}": '
                f'prepare the corpus with data.tokenizer="{own}"{way}'
            )
        if train.guide:
            raise ValueError(
                f"{name} cuts the texts anew, and the word links that train.guide reads are of the tokens as "
                "prepared: leave one of them out"
            )


def r_drop_has_passes_that_differ(config: "Config") -> None:
    train, model = config.train, config.model
    if not train.r_drop:
        return
    if not (model.dropout or train.attention_dropout or train.word_dropout):
        raise ValueError(
            "train.r_drop compares two passes with different dropout, and model.dropout is 0: set it, or "
            "leave train.r_drop out"
        )
    if model.pointer:
        raise ValueError(
            "train.r_drop compares softmax distributions, and model.pointer=true mixes them with copies: "
            "leave one of them out"
        )
    if attends(model) and model.attention.normaliser == "hard-sample":
        raise ValueError(
            "train.r_drop compares two passes, and those of attention that samples its positions, with "
            'model.attention.normaliser="hard-sample", read other positions: leave it out, or choose softmax'
        )


def attention_dropout_has_weights(config: "Config") -> None:
    model = config.model
    layers: set[str] = {model.encoder.kind, model.decoder.kind}
    if getattr(model.encoder, "clips", False):
        layers.add(getattr(model.encoder, "temporal", ""))
    if config.train.attention_dropout and not attends(model) and "transformer" not in layers:
        raise ValueError(
            "train.attention_dropout drops attention weights, and model.decoder.context_source is "
            f'"{model.decoder.context_source}": leave it out'
        )


def attends(model: "ModelConfig") -> bool:
    return model.decoder.context_source == "attention"
