"""Near spellings and names of other toolkits are recognised; words that merely share letters are not."""

import pytest

from seq2attn import config, synonyms
from seq2attn.errors import UsageError
from seq2attn.near import distance, nearest


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("", "", 0),
        ("train", "train", 0),
        ("trian", "train", 1),
        ("tran", "train", 1),
        ("trains", "train", 1),
        ("ab", "ba", 1),
        ("abc", "ca", 3),
        ("a", "abcdef", 3),
    ],
)
def test_distance_counts_changed_missing_extra_and_exchanged_letters(
    one: str, other: str, apart: int
) -> None:
    assert min(distance(one, other), 3) == apart
    assert min(distance(other, one), 3) == apart


@pytest.mark.parametrize(
    ("word", "names", "meant"),
    [
        ("trian", ["train", "translate"], ["train"]),
        ("Max_Steps", ["max-steps"], ["max-steps"]),
        ("plot", ["export"], []),
        ("epochs", ["eps"], []),
        ("batch_size", ["batch_tokens"], []),
        ("hidden_size", ["size"], []),
        ("learning_rate", ["reinforce", "lr"], []),
        ("limit", ["list"], []),
        ("gpu", ["out"], []),
        ("lr", ["ln", "lx"], []),
        ("", ["a"], []),
    ],
)
def test_nearest_gives_only_near_spellings(word: str, names: list[str], meant: list[str]) -> None:
    assert nearest(word, names) == meant


def test_nearest_gives_all_that_are_equally_near() -> None:
    assert nearest("luong15-dott", ["luong15-dot", "luong15-dat", "cho14"]) == ["luong15-dot"]
    assert nearest("teat", ["test", "text", "tent"]) == ["test", "text", "tent"]


def test_synonyms_name_settings_that_there_are() -> None:
    ours = {name for name, _, _ in config.fields()}
    for answer in synonyms.SETTINGS.values():
        for word in answer.replace(",", " ").replace("(", " ").replace(")", " ").split():
            word = word.partition("=")[0]
            if word.split(".")[0] in ("model", "train", "data", "search") and "." in word:
                assert word in ours, answer


def test_synonyms_hold_no_name_of_a_setting() -> None:
    own = {name.rpartition(".")[2].replace("_", "") for name, _, _ in config.fields()}
    assert not own & set(synonyms.SETTINGS)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("train.epochs", "there are no epochs: set train.max_steps or train.max_minutes"),
        ("epochs", "there are no epochs"),
        ("train.num_train_epochs", "there are no epochs"),
        ("train.batch_size", "set train.batch_tokens, such as 4096"),
        ("model.hidden_size", "model.encoder.size and model.decoder.size"),
        ("model.num_layers", "model.encoder.layers and model.decoder.layers"),
        ("train.learning_rate", "train.lr"),
        ("train.learning-rate", "train.lr"),
        ("model.heads", "model.attention.heads"),
        ("model.emb_dim", "model.embedding"),
        ("optim", "train.optimizer"),
        ("train.grad_clip", "train.clip_norm"),
        ("beam_size", "search.beam"),
        ("train.device", "choose `device` cpu or `device` cuda"),
        ("search.zebra", "search has beam, length_penalty"),
        ("model.encoder.zebra", "model.encoder has kind, cell, size"),
        ("train.zebra", "`seq2attn train PRESET --show` lists all"),
        ("train.momentun", "did you mean train.momentum?"),
        # names that settings had in earlier versions
        ("train.clip", "train.clip_norm"),
        ("model.attention.past", "model.attention.history"),
        ("model.decoder.reads", "model.decoder.context_source"),
        ("model.attention.queries", "model.attention.query_input"),
        ("model.attention.decoding", "model.attention.at_inference"),
        ("model.attention.expected", "model.attention.expectation_prob"),
        ("model.encoder.frames", "model.encoder.max_frames"),
        ("model.encoder.time", "model.encoder.temporal"),
        ("model.encoder.side", "model.encoder.image_size"),
        ("model.encoder.fit", "model.encoder.resize"),
        ("train.decay", "train.plateau_factor"),
        ("train.colour", "train.color_jitter"),
        ("train.crop", "train.max_crop"),
        ("train.entropy", "train.reinforce.entropy_weight"),
        ("train.unfreeze", "train.unfreeze_step"),
        ("train.captions", "train.captions_per_image"),
    ],
)
def test_unknown_setting_names_ours(typed: str, answer: str) -> None:
    with pytest.raises(UsageError) as refusal:
        config.load("luong15", [f"{typed}=3"])
    assert f"{typed}: no such setting; " in str(refusal.value)
    assert answer in str(refusal.value)
    assert "train.eps" not in str(refusal.value)
    assert "train.reinforce.weight" not in str(refusal.value)
