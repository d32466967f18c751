"""The attention of a few pairs over a training: what is logged, and what a resumed run has."""

import base64
import json
import random
from pathlib import Path

import numpy as np
import pytest

import seq2attn
from seq2attn.errors import UserError
from seq2attn.explaining.watch import AttentionWatch
from seq2attn.inference.attention_history import scenes, snapshot
from seq2attn.inference.results import Translation
from seq2attn.runs import attention_log
from seq2attn.runs.attention_log import MOST_BYTES, MOST_SUBWORDS, NAME, Sides, Snapshot
from seq2attn.runs.choice import AttentionChoice
from seq2attn.runs.directory import open_run, truncate_log

WORDS = {
    "one": "un",
    "two": "deux",
    "cats": "chats",
    "dogs": "chiens",
    "sleep": "dorment",
    "sing": "chantent",
}
SMALL = (
    *("model.embedding=8", "model.encoder.size=8", "model.decoder.size=16", "model.tied=none"),
    *("train.batch_tokens=300", "train.max_steps=5", "train.validate_every=2", "train.validate_sentences=6"),
    *("train.precision=fp32", "search.beam=1"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared corpus and a run of five steps."""
    home = tmp_path_factory.mktemp("learning")
    (home / "corpus").mkdir()
    draw = random.Random(1)
    for split, count in (("train", 200), ("valid", 6), ("test", 2)):
        pairs = [draw.choices(list(WORDS.items()), k=draw.randint(3, 6)) for _ in range(count)]
        for side, language in enumerate(("en", "fr")):
            lines = (" ".join(pair[side] for pair in line) + "\n" for line in pairs)
            (home / "corpus" / f"{split}.{language}").write_text("".join(lines))
    options = {
        "source": "en",
        "target": "fr",
        "tokenizer": "word",
        "vocab_size": 20,
        "joint": False,
        "keep": ["all"],
    }
    prepared = seq2attn.prepare(home / "corpus", home / "prepared", workers=1, **options)  # type: ignore[arg-type]
    seq2attn.train("first-try", prepared.path, home / "run", SMALL, device="cpu")
    return home


def train(home: Path, out: Path, *settings: str, resume: bool = False) -> Path:
    seq2attn.train("first-try", home / "prepared", out, (*SMALL, *settings), device="cpu", resume=resume)
    return out


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / NAME).read_text().splitlines()]


def test_log_of_attention_has_the_words_once_and_the_weights_of_each_validation(home: Path) -> None:
    first, *rest = lines(home / "run")
    assert (first["step"], first["format"], first["layers"], first["heads"]) == (2, 1, 1, 1)
    assert len(first["pairs"]) == 3
    assert [line["step"] for line in rest] == [2, 4, 5]
    for line in rest:
        for text, largest, pair in zip(line["weights"], line["largest"], first["pairs"], strict=True):
            shape = len(pair["target_subwords"]) + 1, len(pair["source_subwords"]) + 1
            weights = np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)
            assert np.allclose(largest * weights.sum(1) / 255, 1, atol=0.02)


def test_log_of_attention_holds_what_the_model_of_that_step_reads(home: Path, tmp_path: Path) -> None:
    run = train(home, tmp_path / "run", "train.max_steps=4", "train.validate_every=4")
    history = attention_log.read(run)
    translator = seq2attn.load(run, device="cpu")
    for pair, weights in zip(history.pairs, history.weights[0], strict=True):
        [own] = translator.score_targets(
            [" ".join(pair.source_words or [])], [" ".join(pair.target_words)], attention="all"
        )
        assert np.abs(own.subword_attention_heads - weights).max() <= 0.5 / 255 * weights.max() + 2e-6


def test_training_is_the_same_with_and_without_the_log(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_log, "append", lambda *arguments: None)
    monkeypatch.setattr("seq2attn.explaining.watch.snapshot", lambda *arguments: None)
    other = train(home, tmp_path / "run")
    assert not (other / NAME).exists()
    assert (other / "model.safetensors").read_bytes() == (home / "run" / "model.safetensors").read_bytes()
    of_step = "training/5.safetensors"
    assert (other / of_step).read_bytes() == (home / "run" / of_step).read_bytes()


def test_two_halves_log_the_same_as_one_whole(home: Path, tmp_path: Path) -> None:
    # the validation of step 3 is none of the whole training: it goes
    half = train(home, tmp_path / "run", "train.max_steps=3")
    assert lines(half)[-1]["step"] == 3
    train(home, half, resume=True)
    assert (half / NAME).read_bytes() == (home / "run" / NAME).read_bytes()


def test_a_line_that_a_kill_cut_and_those_after_the_state_go(home: Path, tmp_path: Path) -> None:
    half = train(home, tmp_path / "run", "train.max_steps=2")
    before = (half / NAME).read_bytes()
    with (half / NAME).open("ab") as file:
        file.write(b'{"step": 4, "weights": []}\n{"step": 4, "wei')
    truncate_log(open_run(half), 2, 2)
    assert (half / NAME).read_bytes() == before
    truncate_log(open_run(half), 1, 0)
    assert (half / NAME).read_bytes() == b""


def test_other_pairs_of_a_resumed_run_are_written_with_their_words(home: Path, tmp_path: Path) -> None:
    half = train(home, tmp_path / "run", "train.max_steps=2")
    train(home, half, "train.validate_sentences=2", resume=True)
    assert [len(line["pairs"]) for line in lines(half) if "pairs" in line] == [3, 2]
    history = attention_log.read(half)
    assert (len(history.pairs), history.steps) == (2, [4, 5])


def test_run_without_attention_has_no_log(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [*SMALL, "model.encoder.size=16", "train.max_steps=2"]
    seq2attn.train("sutskever14", home / "prepared", run, settings, device="cpu")
    assert not (run / NAME).exists()
    with pytest.raises(UserError, match=r"has no attention_by_step\.jsonl: it was trained by an older"):
        attention_log.read(run)


# What is chosen


def output(source: int, target: int, layers: int = 1, heads: int = 1) -> Translation:
    words = [f"w{number}" for number in range(max(source, target))]
    weights = np.random.default_rng(source).dirichlet([0.3] * (source + 1), (layers, heads, target + 1))
    return Translation(
        " ".join(words[:target]),
        0.0,
        0.0,
        subwords := ["▁" + word for word in words[:target]],  # type: ignore[arg-type]
        source_words=words[:source],
        target_words=words[:target],
        source_subwords=["▁" + word for word in words[:source]],
        target_subwords=subwords,
        subword_attention=weights.mean((0, 1)),
        subword_attention_heads=weights,
    )


def test_snapshot_takes_pairs_of_about_ten_words_in_their_order() -> None:
    own = snapshot([output(n, n) for n in (3, 9, 40, 12, 30, 10)])
    assert own is not None
    assert [len(pair.target_words) for pair in own.pairs] == [9, 12, 10]


def test_snapshot_cuts_a_long_pair_and_holds_its_end() -> None:
    long = output(50, 60)
    own = snapshot([long])
    assert own is not None
    assert [len(side) for side in own.pairs[0][:4] if side] == [MOST_SUBWORDS - 1] * 4
    whole = long.subword_attention_heads
    assert whole is not None
    assert np.array_equal(own.weights[0][..., :-1, :-1], whole[..., : MOST_SUBWORDS - 1, : MOST_SUBWORDS - 1])
    assert np.array_equal(own.weights[0][..., -1, -1], whole[..., -1, -1])


def test_snapshot_of_many_heads_stays_small() -> None:
    own = snapshot([output(25, 25, 8, 16) for _ in range(3)])
    assert own is not None
    assert len(own.pairs) == 1
    assert own.weights[0].size <= MOST_BYTES
    assert len(own.pairs[0].target_subwords) == MOST_BYTES // (8 * 16 * 26) - 1


def test_snapshot_is_of_the_last_look() -> None:
    watch = AttentionWatch()
    watch.snapshot = Snapshot((), ())
    import tiny

    watch.look(tiny.translator(context_source="summary", context_to=["input"]), ["the dog"], ["le chien"])
    assert watch.snapshot is None


# Reading back


def write(run: Path, *trees: object) -> Path:
    run.mkdir(exist_ok=True)
    (run / NAME).write_text("".join(json.dumps(tree) + "\n" for tree in trees))
    return run


PAIR = {
    "source_words": ["a", "b"],
    "source_subwords": ["▁a", "▁b"],
    "target_words": ["c"],
    "target_subwords": ["▁c"],
}
TARGET = {"target_words": ["c"], "target_subwords": ["▁c"]}
FIRST = {"step": 1, "format": 1, "layers": 1, "heads": 1, "pairs": [PAIR]}


def weights(step: int, *numbers: int) -> dict:
    return {"step": step, "largest": [1], "weights": [base64.b64encode(bytes(numbers)).decode()]}


def test_scenes_are_between_words_of_one_head_and_its_step(tmp_path: Path) -> None:
    first = FIRST | {"heads": 2}
    run = write(tmp_path / "r", first, weights(1, *(255, 0, 0, 0, 0, 255, 0, 255, 0, 0, 255, 0)))
    history = attention_log.read(run)
    [mean], [second] = scenes(history), scenes(history, AttentionChoice(head=2))
    assert (list(mean.source_words or ()), list(mean.target_words)) == (["a", "b", "end"], ["c", "end"])
    assert np.allclose(mean.weights, [[[0.5, 0.5, 0], [0, 0.5, 0.5]]])
    assert np.allclose(second.weights, [[[0, 1, 0], [0, 1, 0]]])
    [late] = scenes(history, AttentionChoice(head=1, shift=1))
    assert np.allclose(late.weights, [[[0, 0, 1], [0, 0, 1]]])


def test_scenes_of_images_have_their_grid(tmp_path: Path) -> None:
    pair = {"target_words": ["c"], "target_subwords": ["▁c"], "name": "x.png", "grid": [1, 2]}
    [scene] = scenes(
        attention_log.read(write(tmp_path / "r", FIRST | {"pairs": [pair]}, weights(1, 255, 0, 0, 255)))
    )
    assert (scene.grid, scene.name, list(scene.target_words)) == ((1, 2), "x.png", ["c"])
    assert np.allclose(scene.weights, [[[1, 0]]])


@pytest.mark.parametrize(
    ("trees", "line", "problem"),
    [
        ([weights(1, 0)], 1, "weights before their words"),
        ([FIRST], 1, None),
        ([FIRST, weights(1, 0)], 2, "1 weights of a pair of shape (1, 1, 2, 3)"),
        ([FIRST, weights(1, *range(6)), weights(1, *range(6))], 3, "step 1 comes after step 1"),
        ([FIRST, {"step": 1, "largest": [1], "weights": ["!"]}], 2, "weights are no base64"),
        ([FIRST, {"step": 1, "largest": [1], "weights": [7]}], 2, "weights are no base64"),
        ([FIRST, {"step": 1, "weights": []}], 2, "weights is no list of 1"),
        ([FIRST, weights(1, *range(6)) | {"largest": [2]}], 2, "largest is no list of numbers"),
        ([FIRST, weights(1, *range(6)) | {"largest": []}], 2, "largest is no list of 1"),
        ([FIRST, {"step": True}], 2, "step is no number"),
        ([FIRST, 3], 2, "the line is no object"),
        ([FIRST | {"format": 2}], 1, "format 2 is of a newer seq2attn"),
        ([FIRST | {"layers": 10**9}], 1, "layers is no number from 1 to 1,024"),
        ([FIRST | {"pairs": []}], 1, "pairs is no list of 1 to 3"),
        ([FIRST | {"pairs": [PAIR | {"target_subwords": ["x"] * 33}]}], 1, "target_subwords is no list"),
        ([FIRST | {"pairs": [PAIR | {"target_words": [3]}]}], 1, "target_words is no list of short texts"),
        (
            [FIRST | {"pairs": [{k: PAIR[k] for k in ("target_words", "target_subwords")}]}],
            1,
            "a pair has neither",
        ),
    ],
)
def test_damaged_log_is_one_line(tmp_path: Path, trees: list, line: int, problem: str | None) -> None:
    run = write(tmp_path / "r", *trees)
    with pytest.raises(UserError) as error:
        attention_log.read(run)
    if problem is None:
        assert "has no validation in it" in str(error.value)
        return
    assert f"{NAME}, line {line}: damaged ({problem}" in str(error.value)


def test_sides_have_the_shape_of_their_weights() -> None:
    assert Sides(["c"], ["▁c"], grid=(2, 3)).shape == (2, 6)
    assert Sides(["c"], ["▁c"], frames=5).shape == (2, 5)
