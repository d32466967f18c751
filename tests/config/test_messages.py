"""Wrong settings are refused in one line that names the setting and says what to write instead."""

import re

import pytest

from seq2attn import config
from seq2attn.errors import UsageError

ENCODER, DECODER = "model.encoder.kind=transformer", "model.decoder.kind=transformer"
NO_SUCH = ': with "rnn" there is no such setting; leave it out, or choose that kind'


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model.decoder.context_to=3",
            'model.decoder.context_to: write a list, of any of ["input", "layer", "readout"], not 3',
        ),
        (
            "model.decoder.context_to=inptu",
            'model.decoder.context_to: choose input, layer or readout, not "inptu"',
        ),
        ("train=3", "train is a section, not 3: set what is in it, which `seq2attn train --show` lists"),
        ("model=3", "model is a section, not 3: set what is in it, which `seq2attn train --show` lists"),
        ("train.lr=fast", 'train.lr: write a number, not "fast"'),
        ("train.lr=nan", "train.lr: write a number, not NaN"),
        ("train.lr=inf", "train.lr: write a number, not Infinity"),
        ("train.lr=-1", "train.lr: it must be above 0.0, not -1"),
        ("train.max_steps=1.5", "train.max_steps: write a whole number, not 1.5"),
        ("train.max_steps=true", "train.max_steps: write a whole number, not true"),
        ("train.max_steps=many", 'train.max_steps: write a whole number, not "many"'),
        ("train.max_steps=0", "train.max_steps: it must be at least 1, not 0"),
        ("model.dropout=1", "model.dropout: it must be below 1.0, not 1"),
        ("model.encoder.bidirectional=1", "model.encoder.bidirectional: write true or false, not 1"),
        ("data.source=3", "data.source: write text, in quotes, not 3"),
        ("model.encoder.cell=gpu", 'model.encoder.cell: choose rnn, gru or lstm, not "gpu"'),
        ("model.encoder.kind=gru", 'model.encoder.kind: choose rnn, conv, transformer, image, not "gru"'),
        ("model.decoder.kind=3", 'model.decoder.kind: choose rnn, conv, transformer, not "3"'),
        ("model.encoder.kind=[1]", 'model.encoder.kind: choose rnn, conv, transformer, image, not "[1]"'),
        (
            "model.encoder=transformer",
            'model.encoder is a section, not "transformer": set model.encoder.kind, and what belongs to it',
        ),
        (
            "model.decoder=3",
            "model.decoder is a section, not 3: set model.decoder.kind, and what belongs to it",
        ),
        ("model.decoder.heads=2", 'model.decoder.heads is for model.decoder.kind="transformer"' + NO_SUCH),
        (
            "model.encoder.positions=none",
            'model.encoder.positions is for model.encoder.kind="conv" or "transformer" or "image"' + NO_SUCH,
        ),
    ],
)
def test_message_says_what_to_write_instead(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", [setting])
    assert str(refusal.value) == f"settings: {message}"
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.lr", "settings train.lr: write KEY=VALUE, as in train.lr=0.001"),
        ("=1", "settings =1: write KEY=VALUE, as in train.lr=0.001"),
        ("about.x=1", "settings about.x=1: about is a value, not a section"),
    ],
)
def test_setting_without_key_or_value_is_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", [setting])
    assert str(refusal.value) == message
    with pytest.raises(UsageError, match=r"^--set "):
        config.load("luong15", [setting], "--set")


def test_setting_of_another_kind_names_its_kind() -> None:
    with pytest.raises(UsageError) as refusal:
        config.change(config.Config(), [ENCODER, "model.encoder.cell=gru"])
    assert str(refusal.value) == (
        'settings: model.encoder.cell is for model.encoder.kind="rnn": with "transformer" there is no such '
        "setting; leave it out, or choose that kind"
    )


def test_no_message_speaks_of_python() -> None:
    messages = []
    values = ("3", "-1", "0.5", "true", "[]", "[1]", "{x = 1}", "{}", "word", "nan", "1979-05-27", "''")
    for key, _, _ in config.fields():
        for value in values:
            try:
                config.load("transformer" if "heads" in key else "luong15", [f"{key}={value}"])
            except UsageError as refusal:
                messages.append(str(refusal))
    assert len(messages) > 500
    assert not [
        message
        for message in messages
        if re.search(r"tuple|dictionary|instance|a valid|pydantic|Input", message)
    ]


# Misspelt names


@pytest.mark.parametrize(
    ("preset", "key", "meant"),
    [
        ("luong15", "at_inference", "model.attention.at_inference"),
        ("luong15", "At_Inference", "model.attention.at_inference"),
        ("luong15", "heads", "model.attention.heads"),
        ("luong15", "history", "model.attention.history"),
        ("luong15", "GATE", "model.decoder.gate"),
        ("luong15", "model.gate", "model.decoder.gate"),
        ("luong15", "train.LR", "train.lr"),
        ("luong15", "train.lrr", "train.lr"),
        ("luong15", "train.batch_token", "train.batch_tokens"),
        ("luong15", "train.valid", "train.validate_every or train.validate_sentences"),
        ("luong15", "model.encoder.sise", "model.encoder.size"),
        ("luong15", "model.attention.filter", "model.attention.filters"),
        ("luong15", "decoder.size", "model.decoder.size"),
        ("luong15", "attention.heads", "model.attention.heads"),
        ("luong15", "size", "model.encoder.size, model.decoder.size or model.attention.size"),
        ("luong15", "droput", "model.dropout"),
        ("luong15", "model.drop", "model.dropout"),  # not train.max_crop, which is as near
        ("luong15", "vocab-size", "data.vocab_size"),
        ("luong15", "modle.dropout", "model.dropout"),
        # no kind in use has it, and there is no other
        ("luong15", "prenorm", "model.encoder.prenorm or model.decoder.prenorm"),
        ("transformer", "heads", "model.encoder.heads, model.decoder.heads or model.attention.heads"),
        ("transformer", "model.encoder.head", "model.encoder.heads"),
        # another kind has it, but that is what was meant
        ("transformer", "model.decoder.bridges", "model.decoder.bridge"),
        ("transformer", "model.attention.layers", "model.encoder.layers or model.decoder.layers"),
        ("transformer", "kernel", "model.attention.kernel"),
        ("gehring17", "kernel", "model.encoder.kernel, model.decoder.kernel or model.attention.kernel"),
    ],
)
def test_misspelt_setting_is_recognised(preset: str, key: str, meant: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load(preset, [f"{key}=1"])
    assert str(refusal.value) == f"settings: {key}: no such setting; did you mean {meant}?"


def test_unknown_setting_is_not_guessed() -> None:
    with pytest.raises(
        UsageError, match=r"^settings: xyzzy: no such setting; `seq2attn train PRESET --show` lists all$"
    ):
        config.load("luong15", ["xyzzy=1"])
