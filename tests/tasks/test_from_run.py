"""A training that starts from a run: its weights, vocabulary, data, settings, resume, and what it refuses."""

import json
import random
import re
import shutil
from pathlib import Path

import image_toy
import numpy as np
import pytest
import tiny_images
import torch

import seq2attn
from seq2attn import config
from seq2attn.cli import app, console
from seq2attn.data.prepared import Prepared
from seq2attn.data.text.replay import Replay
from seq2attn.errors import UsageError, UserError
from seq2attn.runs.directory import Run
from seq2attn.runs.tensors import named_tensors, read_tensors

OLD = {"one": "un", "two": "deux", "three": "trois", "cats": "chats", "dogs": "chiens", "sing": "chantent"}
NEW = OLD | {"wrens": "troglodytes", "geese": "oies", "wolves": "loups", "zwölf": "douzaine", "fly": "volent"}
SMALL = {
    "data.vocab_size": 60,
    "data.tokenizer": "bpe",
    "data.keep": ["all"],
    "model.embedding": 8,
    "model.encoder.size": 8,
    "model.decoder.size": 16,
    "model.tied": "output",
    "train.batch_tokens": 300,
    "train.log_every": 5,
    "train.validate_every": 10,
    "train.validate_sentences": 5,
    "train.precision": "fp32",
    "train.max_steps": 20,
}


def corpus(folder: Path, words: dict[str, str], seed: int, train: int = 120) -> Path:
    draw = random.Random(seed)
    folder.mkdir()
    for split, count in (("train", train), ("valid", 10), ("test", 8)):
        pairs = [draw.choices(list(words.items()), k=draw.randint(2, 5)) for _ in range(count)]
        for side, number in (("en", 0), ("fr", 1)):
            lines = [" ".join(word[number] for word in pair) + "\n" for pair in pairs]
            (folder / f"{split}.{side}").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an old and a new corpus, and a run of the old one, `old`."""
    home = tmp_path_factory.mktemp("from-run")
    corpus(home / "first", OLD, 1)
    corpus(home / "second", NEW, 2, 90)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        sides = {"data.source": "en", "data.target": "fr"}
        seq2attn.train("first-try", home / "first", home / "old", SMALL | sides, device="cpu")
    return home


@pytest.fixture(autouse=True)
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


SIDES = {"data.source": "en", "data.target": "fr"}


def start(home: Path, out: Path, steps: int = 15, **more: object) -> Run:
    settings = SIDES | {"train.max_steps": steps, "train.validate_every": 5}
    return seq2attn.train(None, home / "second", out, settings, from_run=home / "old", device="cpu", **more)  # type: ignore[arg-type]


def session(home: Path, out: Path, **more: object) -> object:
    return seq2attn.training_session(
        None, home / "second", out, SIDES, from_run=home / "old", device="cpu", **more
    )  # type: ignore[arg-type]


def test_from_run_starts_with_its_weights_and_tokenizers(home: Path, tmp_path: Path) -> None:
    with session(home, tmp_path / "new") as training:
        weights = named_tensors(training.model)
        old = read_tensors(home / "old" / "model.safetensors")
        assert weights.keys() == old.keys()
        assert all(torch.equal(weights[name], old[name]) for name in old)
        assert (home / "old" / "tokenizer.model").read_bytes() == (
            tmp_path / "new" / "tokenizer.model"
        ).read_bytes()
        sources = training.data.prepared.split("train").texts()[0]
        assert len(sources) == 90
        assert any("wolves" in source for source in sources)


@pytest.mark.parametrize("beam", [1, 4])
def test_extended_vocabulary_leaves_the_outputs_as_they_were(home: Path, tmp_path: Path, beam: int) -> None:
    from seq2attn.inference import Translator

    old = seq2attn.load(home / "old", device="cpu")
    with session(home, tmp_path / "new", extend_vocabulary=20) as training:
        prepared = training.data.prepared
        assert prepared.target_tokenizer.size == old.target_tokenizer.size + 20
        assert any("loups" in piece for piece in prepared.target_tokenizer.vocabulary)
        tokenizers = prepared.source_tokenizer, prepared.target_tokenizer
        new = Translator(training.model, *tokenizers, training.run.config)
        texts = [
            text
            for text in Prepared(old_folder(home)).split("test").texts()[0]
            if old.source_tokenizer.encode(text) == new.source_tokenizer.encode(text)
        ]
        assert len(texts) >= 5
        before, after = (one.translate(texts, beam=beam, n_best=beam) for one in (old, new))
        assert [[one.tokens for one in some] for some in before] == [
            [o.tokens for o in some] for some in after
        ]
        assert [some[0].log_probability for some in before] == [some[0].log_probability for some in after]


def old_folder(home: Path) -> Path:
    """The prepared folder of the old corpus."""
    (folder,) = (home / "cache" / "seq2attn" / "prepared").glob("first-*")
    return folder


@pytest.mark.slow
def test_extended_vocabulary_is_learned(home: Path, tmp_path: Path) -> None:
    """The rows of new subwords begin below all others, and training must lift them."""
    settings = SIDES | {
        "train.max_steps": 60,
        "train.lr": 0.03,
        "train.warmup": 1,
        "train.validate_every": 30,
    }
    run = seq2attn.train(
        None,
        home / "second",
        tmp_path / "new",
        settings,
        from_run=home / "old",
        extend_vocabulary=20,
        device="cpu",
    )
    tokenizer = seq2attn.load(run, device="cpu").target_tokenizer
    size = seq2attn.load(home / "old", device="cpu").target_tokenizer.size
    assert run.target_size == tokenizer.size == size + 20
    outputs = seq2attn.load(run, device="cpu").translate(["two wolves fly", "geese and wrens", "zwölf"])
    assert any(token >= size for some in outputs for token in some[0].tokens)


def test_resumed_training_from_a_run_ends_bit_for_bit_as_one_in_a_piece(home: Path, tmp_path: Path) -> None:
    more = {"extend_vocabulary": 10, "replay": 0.3}
    whole = start(home, tmp_path / "whole", 12, **more)
    parts = start(home, tmp_path / "parts", 12, on_event=lambda event: getattr(event, "step", 0) == 7, **more)
    assert json.loads((parts.path / "training" / "state.json").read_text())["step"] == 7
    seq2attn.train(out=parts, resume=True, device="cpu")
    files = [next((run.path / "training").glob("*.safetensors")).read_bytes() for run in (whole, parts)]
    assert files[0] == files[1]
    start(home, tmp_path / "parts", 12, resume=True, **more)  # the same call goes on, too


def test_run_without_a_state_is_resumed_from_the_weights_it_began_with(home: Path, tmp_path: Path) -> None:
    whole = start(home, tmp_path / "whole", 5, extend_vocabulary=10)
    with session(home, tmp_path / "new", extend_vocabulary=10):
        pass  # killed before its first state
    shutil.rmtree(tmp_path / "new" / "training", ignore_errors=True)
    settings = {"train.max_steps": 5, "train.validate_every": 5}
    seq2attn.train(out=tmp_path / "new", settings=settings, resume=True, device="cpu")
    old, new = (read_tensors(path / "model.safetensors") for path in (whole.path, tmp_path / "new"))
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_run_that_starts_from_another_cannot_change_it_when_resumed(home: Path, tmp_path: Path) -> None:
    start(home, tmp_path / "new", 5)
    with pytest.raises(UserError, match=r"resume: .* began with .*old, extend_vocabulary=0, replay=0;"):
        start(home, tmp_path / "new", 5, resume=True, replay=0.1)
    (tmp_path / "new" / "start.json").write_text("{}")
    with pytest.raises(UserError, match=r"start\.json: damaged"):
        seq2attn.train(out=tmp_path / "new", resume=True, device="cpu")


def test_replay_has_its_share_of_each_epoch_and_comes_to_all_old_pairs(home: Path, tmp_path: Path) -> None:
    with session(home, tmp_path / "new", replay=0.25) as training:
        pairs = training.data.training
        assert isinstance(pairs, Replay)
        assert (len(pairs.new), len(pairs.old), pairs.count) == (90, 120, 30)
        epochs = [np.concatenate(pairs.plan(300, 1, epoch)) for epoch in range(4)]
        for rows in epochs:
            assert len(rows) == 120
            assert sorted(rows[rows < 90]) == list(range(90))
        old = np.concatenate([rows[rows >= 90] for rows in epochs])
        assert sorted(old) == list(range(90, 210))  # four quarters of the old pairs
        sources, targets = pairs.ids(np.array([95, 3, 90]))
        assert [list(ids) for ids in sources] == [
            list(split.ids(np.array([row]))[0][0])
            for split, row in ((pairs.old, 5), (pairs.new, 3), (pairs.old, 0))
        ]
        assert len(targets) == 3
        again = (pairs.plan(300, 1, 2), pairs.plan(300, 1, 2))
        assert all(np.array_equal(one, two) for one, two in zip(*again, strict=True))


def test_prepared_data_of_another_vocabulary_are_encoded_again(home: Path, tmp_path: Path) -> None:
    other = seq2attn.prepare(home / "second", tmp_path / "other", vocab_size=55, tokenizer="bpe", **sides())
    with seq2attn.training_session(
        data=other, out=tmp_path / "new", from_run=home / "old", device="cpu"
    ) as training:
        prepared = training.data.prepared
        assert prepared.split("train").texts() == other.split("train").texts()
        own = (home / "old" / "tokenizer.model").read_bytes()
        assert (prepared.path / "tokenizer.model").read_bytes() == own
        assert "the vocabulary is that of" in prepared.report["notes"][-1]


def sides() -> dict[str, str]:
    return {"source": "en", "target": "fr"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.vocab_size": 50}, "data.vocab_size: the vocabulary is that of"),
        ({"data.lowercase": True}, "data.lowercase: the vocabulary is that of"),
        ({"model.init": "uniform"}, "model.init: does nothing: the first weights are those of"),
        ({"model.decoder.size": 20}, "with other model.decoder.size: the weights do not fit"),
        ({"model.tied": "none"}, "with other model.tied: the weights do not fit"),
    ],
)
def test_settings_that_do_not_fit_the_run_are_refused(
    home: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        seq2attn.train(
            data=home / "second",
            out=tmp_path / "new",
            settings=SIDES | settings,
            from_run=home / "old",
            device="cpu",
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replay": 0.1}, "replay needs `from_run`"),
        ({"extend_vocabulary": 5}, "extend_vocabulary needs `from_run`"),
        ({"from_run": "old", "replay": 1.0}, "replay 1: it must be from 0 to below 1"),
        ({"from_run": "old", "extend_vocabulary": -1}, "extend_vocabulary -1: it must be a whole number"),
        ({"from_run": "old", "data": None}, "needs new data: name them with `data`"),
        ({"from_run": "old", "out": "old"}, "the new run would replace the one"),
        ({"from_run": "nothing"}, "nothing: no such run directory"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(home)
    call = {"data": "second", "out": "never", "settings": SIDES} | arguments
    with pytest.raises(UserError, match=re.escape(message)):
        seq2attn.train(device="cpu", **call)  # type: ignore[arg-type]
    assert not Path("never").exists()


def test_preset_gives_the_training_and_the_dropout_but_not_the_model(home: Path, tmp_path: Path) -> None:
    with seq2attn.training_session(
        "recurrent", home / "second", tmp_path / "new", SIDES, from_run=home / "old", device="cpu"
    ) as training:
        preset, own = config.load("recurrent"), training.run.config
        assert own.train == preset.train
        assert own.search == preset.search
        assert own.model.dropout == preset.model.dropout
        assert own.model.decoder.size == 16


def test_captions_go_on_from_a_run_without_replay(tmp_path: Path) -> None:
    image_toy.folder(tmp_path / "first", 6, 2)
    rows = []
    for number in range(8):
        image = tiny_images.draw(tmp_path / "second" / f"{number}.png", number)
        split = "valid" if number > 5 else "train"
        rows.append({"image": image.name, "caption": "a strange blue thing", "split": split})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "second" / "metadata.jsonl").write_text(lines, encoding="utf-8")
    settings = {
        "model.embedding": 4,
        "model.decoder.size": 8,
        "model.encoder.image_size": 32,
        "model.encoder.size": 8,
        "search.max_length": 5,
        "train.max_steps": 1,
    }
    old = seq2attn.train("caption-fixed", tmp_path / "first", tmp_path / "old", settings, device="cpu")
    call = {"data": tmp_path / "second", "out": tmp_path / "new", "from_run": old, "device": "cpu"}
    with pytest.raises(UsageError, match="replay is for text"):
        seq2attn.train(**call, replay=0.2)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="first: its captions were encoded for another vocabulary"):
        seq2attn.train(**call | {"data": tmp_path / "first"}, extend_vocabulary=2)  # type: ignore[arg-type]
    with seq2attn.training_session(**call, extend_vocabulary=2) as training:  # type: ignore[arg-type]
        weights, before = named_tensors(training.model), read_tensors(old.weights)
        encoder = [name for name in before if name.startswith("encoder.")]
        assert encoder
        assert all(torch.equal(weights[name], before[name]) for name in encoder)
        assert training.run.target_size == old.target_size + 2


def test_train_prints_scores_of_both_test_sets_before_and_after(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "quiet", False)
    call = ["train", "--from", str(home / "old"), "--data", str(home / "second"), "--device", "cpu"]
    code = app.run(
        [*call, "--source", "en", "--target", "fr", "--set", "train.max_steps=5", "--replay", "0.2"]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    assert Path("runs/second-from-old/start.json").is_file()
    table = [line.split() for line in out.splitlines()[-2:]]
    assert [row[:2] for row in table] == [["test", "new"], ["test", "old"]]
    for *_, name, before, after, change in table:
        assert name == "BLEU"
        assert float(after) - float(before) == pytest.approx(float(change), abs=0.011)
    assert "replay: each epoch has 22 of the 120 training pairs of" in err
    code = app.run(["train", "--from", str(home / "old")])
    assert code == 2
    assert re.search("--from .* needs new data: name them with --data", capsys.readouterr().err)
