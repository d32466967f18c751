"""Describing images: the same bits in any company, scores that teacher forcing confirms, attention on the
right cell, and refusals in one line.
"""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import image_toy as toy
import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.images.transforms import ImageTransform
from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.errors import UsageError, UserError
from seq2attn.inference import Caption, Captioner, Translator, predictor
from seq2attn.inference.scheduling.fork_pool import CAN_FORK
from seq2attn.models.seq2seq import Seq2Seq

KINDS = {
    "recurrent": (),
    "xu15": (
        "model.decoder.query_state=previous",
        "model.decoder.context_to=input,readout",
        "model.decoder.gate=scalar",
    ),
    "hard": ("model.attention.normaliser=hard-sample", "model.attention.at_inference=sample"),
    "fixed": ("model.decoder.context_source=summary", "model.decoder.bridge=linear"),
    "transformer": (
        "model.decoder.kind=transformer",
        "model.decoder.size=32",
        "model.decoder.heads=2",
        "model.decoder.feedforward=16",
        "model.attention.heads=2",
    ),
    "conv": ("model.decoder.kind=conv", "model.decoder.size=32", "model.decoder.layers=2"),
    "clips": ("model.encoder.max_frames=6",),
    "clips-transformer": (
        "model.encoder.max_frames=6",
        "model.encoder.temporal=transformer",
        "model.encoder.temporal_heads=2",
        "model.decoder.query_state=previous",
    ),
    "clips-mean": ("model.encoder.max_frames=6", "model.encoder.temporal=mean"),
}
SIZES = ("model.embedding=32", "model.encoder.size=32", "model.decoder.size=32", "model.attention.size=32")
CLIPS = [kind for kind in KINDS if "clips" in kind]
FRAMES = (3, 1, 6, 2, 5, 4, 1, 2, 6)


def settings(kind: str, *changes: str) -> Config:
    """Sizes at which a product of one row is no smaller than those that torch adds up in an order of their
    own: see `scheduling.batches.STEP`.
    """
    tree = toy.settings(*SIZES).model_dump(mode="json")
    config.assign_all(tree, (*KINDS[kind], *changes))
    return config.validate(tree, "test")


def captioner(
    kind: str, *changes: str, seed: int = 4, sharpness: float = 6.0, processes: bool = False
) -> Captioner:
    """A random model. The end token is as likely everywhere, and the likeliest at a fifth of the steps of
    random captions: some end sooner, some later.
    """
    conf = settings(kind, *changes)
    model = toy.model(conf, toy.tokenizer().size, seed, sharpness)
    result = Captioner(model, toy.tokenizer(), conf, languages=(None, "en"), processes=processes)
    inputs_BT = torch.randint(4, toy.tokenizer().size, (9, 6), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        memory = model.eval().encoder(*result._read(0, [one[0] for one in images(result)]))
        best_BT = model.decoder(inputs_BT, memory).logits[:, :, 4:].amax(2)
        model.decoder.output.weight[EOS] = 0
        model.decoder.output.bias[EOS] = best_BT.flatten().quantile(0.2)
    return result


def images(of: Captioner, count: int = 9) -> list[list[np.ndarray]]:
    contents = [
        toy.image(number, frames=FRAMES[number % 9] if of.clips else 1).content() for number in range(count)
    ]
    return [of.decode_pixels(content, f"{number}") for number, content in enumerate(contents)]


def same(one: Caption, other: Caption) -> bool:
    if (one.attention is None) != (other.attention is None):
        return False
    return one == other and (
        one.attention is None
        or (
            np.array_equal(one.attention, other.attention)
            and np.array_equal(one.subword_attention, other.subword_attention)
        )
    )


# The same in any company


SEARCHES = {"beam": {"beam": 3, "n_best": 2}, "greedy": {"beam": 1}, "sample": {"sample": True, "n_best": 3}}
QUICK = [(kind, "beam") for kind in ("recurrent", "transformer", "conv", "clips")] + [("hard", "sample")]


@pytest.mark.parametrize(
    ("kind", "search"),
    [
        pytest.param(kind, search, marks=() if (kind, search) in QUICK else pytest.mark.slow)
        for i, kind in enumerate(KINDS)
        for search in ("beam", ("greedy", "sample")[i % 2])
    ],
)
def test_caption_is_bitwise_independent_of_the_batch(kind: str, search: str) -> None:
    options = SEARCHES[search]
    of = captioner(kind)
    images_in = images(of)
    whole = of.caption(images_in, **options)
    assert len({captions[0].text for captions in whole}) > 1
    assert len({len(captions[0].tokens) for captions in whole}) > 1
    for batch_tokens in (1, 50, 10**6):
        found = of.caption(images_in, batch_tokens=batch_tokens, **options)
        assert all(
            same(*pair)
            for captions, others in zip(whole, found, strict=True)
            for pair in zip(captions, others, strict=True)
        ), batch_tokens
    for number in (0, 2, 8):  # alone: the number of an image chooses its random numbers
        found = of.caption(images_in[number : number + 1], first=number, **options)
        assert all(same(*pair) for pair in zip(whole[number], found[0], strict=True)), number
    if "sample" not in options and kind != "hard":
        order = random.Random(5).sample(range(9), 9)
        found = of.caption([images_in[number] for number in order], batch_tokens=200, **options)
        for number, captions in zip(order, found, strict=True):
            assert all(same(*pair) for pair in zip(whole[number], captions, strict=True)), number


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(predictor, "MIN_FORK_WORK", 0)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.skipif(not CAN_FORK, reason="no fork is used on this system")
@pytest.mark.parametrize("kind", ["recurrent", pytest.param("clips", marks=pytest.mark.slow)])
def test_caption_with_processes_gives_the_same_bits(kind: str, two_threads: None) -> None:
    plain, of = captioner(kind), captioner(kind, processes=True)
    try:
        images_in = images(of)
        whole, found = plain.caption(images_in, batch_tokens=16), of.caption(images_in, batch_tokens=16)
        assert of._processes is not None
        assert of._processes.running
        assert all(
            same(*pair)
            for captions, others in zip(whole, found, strict=True)
            for pair in zip(captions, others, strict=True)
        )
    finally:
        of.close()


def test_caption_samples_depend_on_seed_and_image_number_alone() -> None:
    of = captioner("recurrent", sharpness=1.5)
    images_in = images(of)[:1] * 6
    found = of.caption(images_in, sample=True, n_best=2)
    # the same image at another place draws other captions
    assert len({captions[0].text for captions in found}) > 2
    assert of.caption(images_in, sample=True, n_best=2, seed=1) == found
    assert of.caption(images_in, sample=True, n_best=2, seed=2) != found
    assert of.caption(images_in[:2], sample=True, n_best=2, first=4) == found[4:]


# Scores


@pytest.mark.parametrize("kind", KINDS)
def test_caption_scores_equal_teacher_forcing(kind: str) -> None:
    of = captioner(kind)
    images_in = images(of)
    found = of.caption(images_in, beam=4, n_best=3, length_penalty=1.0)
    again = [
        (number, caption) for number, captions in enumerate(found) for caption in captions if caption.finished
    ]
    assert len(again) > 3
    for place in range(3):  # an image's draws are those of its number: force each at its own
        texts = [captions[place] for captions in found]
        forced = of.score_targets(images_in, [caption.text for caption in texts])
        for caption, other in zip(texts, forced, strict=True):
            assert other.tokens == caption.tokens
            if not caption.finished:
                continue
            assert other.log_probability == pytest.approx(caption.log_probability, rel=1e-5, abs=1e-3)
            assert other.score == pytest.approx(caption.score, rel=1e-5, abs=1e-3)
            if caption.subword_attention is not None:
                np.testing.assert_allclose(other.subword_attention, caption.subword_attention, atol=1e-5)
                np.testing.assert_allclose(other.attention, caption.attention, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hard"])
def test_score_targets_equals_the_probability_of_the_model(kind: str) -> None:
    """One image without padding, through encoder and decoder by hand."""
    of = captioner(kind)
    images_in = images(of)
    text = "there is red left"
    ids = toy.tokenizer().encode(text)
    for caption, one in zip(of.score_targets(images_in, [text] * 9), images_in, strict=True):
        log_p_TN = by_hand(of.models[0], one[0], ids, of.clips)
        want = sum(float(log_p_TN[step, token]) for step, token in enumerate([*ids, EOS]))
        assert caption.log_probability == pytest.approx(want, rel=1e-5, abs=1e-4)
        assert (caption.text, caption.tokens, caption.words) == (text, ids, text.split())


@torch.no_grad()
def by_hand(model: Seq2Seq, images_in: np.ndarray, ids: list[int], clips: bool) -> Tensor:
    source = torch.from_numpy(np.ascontiguousarray(images_in)).movedim(-1, -3)
    source, mask = (
        (source[None], torch.ones(1, len(images_in), dtype=torch.bool))
        if clips
        else (source, torch.ones(1, 1, dtype=torch.bool))
    )
    return (
        model.eval()
        .decoder(torch.tensor([[BOS, *ids]]), model.encoder(source, mask))
        .logits[0]
        .log_softmax(-1)
    )


# Attention


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("fixed", "hard")])
def test_attention_rows_sum_to_one(kind: str) -> None:
    of = captioner(kind)
    for captions, frames in zip(of.caption(images(of), n_best=2), FRAMES, strict=True):
        for caption in captions:
            assert caption.attention is not None
            assert caption.subword_attention is not None
            positions = 1 if kind == "clips-mean" else frames if of.clips else 16
            assert caption.subword_attention.shape == (len(caption.tokens) + 1, positions)
            assert caption.attention.shape == (len(caption.words), positions)
            assert caption.grid == (None if of.clips else (4, 4))
            np.testing.assert_allclose(caption.subword_attention.sum(1), 1, atol=1e-5)
            np.testing.assert_allclose(caption.attention.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", CLIPS[:2])
def test_attention_of_a_clip_is_over_its_own_frames(kind: str) -> None:
    """With forced captions too, and in a batch with longer clips."""
    of = captioner(kind)
    forced = of.score_targets(images(of), ["red left"] * 9)
    assert [caption.attention.shape for caption in forced if caption.attention is not None] == [
        (2, frames) for frames in FRAMES
    ]


class Bright(nn.Module):
    """A backbone whose cells are the mean of their pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 4)


class Nowhere(nn.Module):
    def forward(self, *_: object) -> None: ...


@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (2, 1), (3, 2)])
def test_attention_forced_to_a_cell_is_shown_there(cell: tuple[int, int]) -> None:
    """A model that looks at what is bright, and an image that is bright in one cell of the grid."""
    of = captioner("recurrent")
    encoder, scorer = of.models[0].encoder, of.models[0].decoder.attention.score  # type: ignore[union-attr]
    encoder.backbone, encoder.proj, encoder.positions = Bright(), nn.Linear(3, 32), Nowhere()
    with torch.no_grad():
        for name, parameter in scorer.named_parameters():
            parameter.zero_()
            if name == "v":
                parameter += 50
            elif name == "key.weight":
                parameter += torch.eye(len(parameter))
        encoder.proj.weight.fill_(1.0)
        encoder.proj.bias.zero_()
    pixels = np.zeros((1, toy.SIDE, toy.SIDE, 3), np.uint8)
    row, column = cell
    pixels[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    (caption,) = of.caption([[pixels]], min_length=2)[0]
    assert caption.grid == (4, 4)
    assert caption.attention is not None
    assert len(caption.words) >= 2
    for weights in caption.attention:
        assert weights.reshape(caption.grid)[row, column] > 0.99


def test_attention_is_none_if_not_requested_or_absent() -> None:
    of, fixed = captioner("recurrent"), captioner("fixed")
    with_, without = of.caption(images(of)), of.caption(images(of), attention=False)
    assert [(one[0].text, one[0].score) for one in with_] == [(one[0].text, one[0].score) for one in without]
    for captions in (*without, *fixed.caption(images(fixed))):
        assert (captions[0].attention, captions[0].subword_attention, captions[0].grid) == (None, None, None)
    assert of.attends
    assert not fixed.attends


# Options


def test_caption_begins_with_its_prefix() -> None:
    of = captioner("recurrent")
    prefixes = ["there is", "", "blue", "red left", "there", "", "green", "top", ""]
    plain = of.caption(images(of))
    for prefix, captions, others in zip(
        prefixes, of.caption(images(of), prefixes=prefixes), plain, strict=True
    ):
        assert captions[0].text.startswith(prefix)
        if not prefix:
            assert same(captions[0], others[0])


def test_caption_length_is_bounded() -> None:
    of = captioner("recurrent", "search.max_length=3")
    assert {len(captions[0].tokens) for captions in of.caption(images(of), min_length=2)} <= {2, 3}
    assert {len(captions[0].tokens) for captions in of.caption(images(of), max_length=1)} <= {0, 1}
    conf = config.validate(of.config.model_dump(mode="json") | {"search": {}}, "test")
    endless = Captioner(of.models[0], toy.tokenizer(), conf)
    with torch.no_grad():
        endless.models[0].decoder.output.bias[EOS] = -1e4
    (caption,) = endless.caption(images(endless)[:1], beam=1)[0]
    assert (len(caption.tokens), caption.finished) == (50, False)


def test_utility_chooses_among_samples() -> None:
    of = captioner("recurrent", sharpness=1.5)
    best = of.caption(images(of), utility=lambda one, other: float(-abs(len(one) - len(other))), samples=8)
    assert all(caption.score <= 0 for captions in best for caption in captions)
    assert of.caption([], beam=2) == []
    assert of.score_targets([], []) == []


@pytest.mark.parametrize("training", [True, False])
def test_caption_restores_the_training_mode(training: bool) -> None:
    of = captioner("recurrent")
    of.models[0].train(training)
    before = [module.training for module in of.models[0].modules()]
    first = of.caption(images(of))
    assert of.caption(images(of)) == first  # dropout has no part in it
    of.score_targets(images(of), ["red"] * 9)
    assert [module.training for module in of.models[0].modules()] == before


# Ensembles


def test_ensemble_averages_probabilities() -> None:
    """Each member with its own view of the image."""
    first, second = (
        captioner("recurrent", seed=3),
        captioner("transformer", "model.encoder.image_size=24", "model.encoder.resize=crop", seed=7),
    )
    view = ImageTransform.of(second.config.model.encoder)  # type: ignore[arg-type]
    both = Captioner(first.models[0], toy.tokenizer(), first.config, others=[(second.models[0], view)])
    content = [toy.image(number).content() for number in range(5)]
    images_in = [both.decode_pixels(one, "toy") for one in content]
    assert [[member.shape for member in one] for one in images_in] == [[(1, 16, 16, 3), (1, 24, 24, 3)]] * 5
    text = "there is red left"
    ids = toy.tokenizer().encode(text)
    for caption, one in zip(both.score_targets(images_in, [text] * 5), images_in, strict=True):
        mean = torch.stack(
            [by_hand(model, own, ids, False).exp() for model, own in zip(both.models, one, strict=True)]
        ).mean(0)
        want = sum(math.log(float(mean[step, token])) for step, token in enumerate([*ids, EOS]))
        assert caption.log_probability == pytest.approx(want, abs=1e-4)
    found = both.caption(images_in, beam=3)
    for captions, forced in zip(
        found, both.score_targets(images_in, [captions[0].text for captions in found]), strict=True
    ):
        assert forced.log_probability == pytest.approx(captions[0].log_probability, abs=1e-4)
    for captions, others in zip(found, both.caption(images_in, beam=3, batch_tokens=1), strict=True):
        assert same(captions[0], others[0])


def test_ensemble_averages_attention_over_equal_grids() -> None:
    """A deeper backbone makes fewer positions of the same pixels: its weights are of no cell of the first
    one's.
    """
    first, alike = captioner("recurrent", seed=3), captioner("recurrent", seed=5)
    deeper = captioner("recurrent", "model.encoder.blocks=[1,1]", seed=6)
    view = first.transforms[0]
    assert deeper.transforms[0] == view
    images_in, texts = [[one[0]] * 3 for one in images(first)[:4]], ["red left"] * 4
    own = [of.score_targets([one[:1] for one in images_in], texts) for of in (first, alike)]
    three = Captioner(
        first.models[0],
        toy.tokenizer(),
        first.config,
        others=[(alike.models[0], view), (deeper.models[0], view)],
    )
    for caption, one, other in zip(three.score_targets(images_in, texts), *own, strict=True):
        assert caption.grid == (4, 4)
        np.testing.assert_allclose(caption.attention, (one.attention + other.attention) / 2, atol=1e-5)  # type: ignore[operator]
    assert three.caption(images_in, beam=2)[0][0].grid == (4, 4)


def test_ensemble_returns_no_attention_over_another_grid() -> None:
    """Where the first model has none, that of one which sees the same pixels in fewer cells is not shown for
    it.
    """
    first, deeper = captioner("fixed"), captioner("recurrent", "model.encoder.blocks=[1,1]", seed=6)
    both = Captioner(
        first.models[0], toy.tokenizer(), first.config, others=[(deeper.models[0], first.transforms[0])]
    )
    ((caption,),) = both.caption([[one[0]] * 2 for one in images(first)[:1]])
    assert (caption.attention, caption.grid) == (None, None)


# What it is given


def test_caption_accepts_paths_bytes_and_pixels(tmp_path: Path) -> None:
    of, content = captioner("recurrent"), toy.image(1).content()[0]
    path = tmp_path / "one.png"
    path.write_bytes(content)
    found = of.caption([path, str(path), content, of.load_pixels(path), of.load_pixels(content)])
    assert all(same(captions[0], found[0][0]) for captions in found)
    clips = captioner("clips")
    (tmp_path / "clip").mkdir()
    frames = toy.image(2, frames=3).content()
    for number, frame in enumerate(frames):
        (tmp_path / "clip" / f"{number + 8}.png").write_bytes(frame)
    from_folder, by_hand_ = clips.caption([tmp_path / "clip", clips.decode_pixels(frames, "toy")])
    assert same(from_folder[0], by_hand_[0])
    assert clips.load_pixels(path)[0].shape == (1, 16, 16, 3)  # a still is a clip of one frame


@pytest.mark.parametrize("features", [False, True], ids=["pixels", "features"])
@pytest.mark.parametrize("kind", ["xu15", "clips"])
def test_images_may_be_rows_of_the_encoder_input(kind: str, features: bool) -> None:
    """As tensors they become the same input, also in how it lies in memory, which decides the last bits."""
    reader = captioner(kind)
    arrays = [one for (one,) in images(reader)]
    if features:
        grid = np.random.default_rng(1).normal(size=(6, 5, 2, 2)).astype(np.float16)
        arrays = [
            grid[: len(one)] * number if reader.clips else grid[number % 6]
            for number, one in enumerate(arrays)
        ]
    source, mask = reader._read(0, arrays)
    rows = [row[real] if reader.clips else row for row, real in zip(source, mask, strict=True)]
    again, same_mask = reader._read(0, rows)
    assert torch.equal(again, source)
    assert torch.equal(same_mask, mask)
    assert again.stride() == source.stride()
    if not features:
        outputs = [reader.caption([[one] for one in of], beam=2) for of in (arrays, rows)]
        assert all(same(a, b) for (a,), (b,) in zip(*outputs, strict=True))


def test_caption_names_a_bad_image(tmp_path: Path) -> None:
    of = captioner("recurrent")
    (tmp_path / "a.png").write_bytes(b"nothing")
    for given, message in (
        (tmp_path / "a.png", r"a\.png: not an image"),
        (tmp_path / "b.png", r"b\.png: no such file"),
        (b"x", "image: not an image"),
        (tmp_path, "a folder, not an image"),
    ):
        with pytest.raises(UserError, match=message):
            of.caption([given])
    with pytest.raises(UserError, match="a clip: not an image"):
        of.load_pixels(b"x", "a clip")
    for single in ("a.png", b"x", tmp_path):
        with pytest.raises(UsageError, match="put a single one in brackets"):
            of.caption(single)  # type: ignore[arg-type]
    for wrong in (images(of)[0][0], images(of)[0] * 2, []):
        with pytest.raises(UsageError, match="a result of load_pixels: a list of 1, one for each model"):
            of.caption([wrong])
    with pytest.raises(UsageError, match="there are 2 images and 1 captions"):
        of.score_targets(images(of)[:2], ["red"])
    with pytest.raises(UsageError, match="batch_tokens 0"):
        of.caption(images(of), batch_tokens=0)
    with pytest.raises(UsageError, match="there are 1 prefixes and 9"):
        of.caption(images(of), prefixes=["red"])


def test_caption_refuses_nan_of_the_model() -> None:
    of = captioner("recurrent")
    with torch.no_grad():
        of.models[0].decoder.output.bias.fill_(torch.nan)
    for act in (lambda: of.caption(images(of)), lambda: of.score_targets(images(of), ["red"] * 9)):
        with pytest.raises(UserError, match="not numbers"):
            act()


# Runs


def test_load_gives_the_saved_model(tmp_path: Path) -> None:
    conf = settings("recurrent")
    of = Captioner(toy.model(conf, toy.tokenizer().size, 1, 3.0), toy.tokenizer(), conf)
    loaded = Captioner.load(toy.save_run(tmp_path / "run", conf), device="cpu", settings=["search.beam=2"])
    assert not any(module.training for module in loaded.models[0].modules())
    assert loaded.caption(images(of)) == of.caption(images(of), beam=2)
    assert loaded.languages == (None, "en")
    toy.save_run(tmp_path / "other", captioner("recurrent").config, 2)
    both = Captioner.load(f"{tmp_path / 'run'},{tmp_path / 'other'}", device="cpu")
    assert len(both.models) == 2
    assert both.caption([both.decode_pixels(toy.image(0).content(), "toy")])[0][0].grid == (4, 4)
    halved = Captioner.load(tmp_path / "run", device="cpu", precision="bf16")
    assert halved.caption(images(of))[0][0].attention is not None


def test_load_refuses_runs_that_do_not_fit(tmp_path: Path) -> None:
    run, clips = (
        toy.save_run(tmp_path / "run", settings("recurrent")),
        toy.save_run(tmp_path / "clips", settings("clips")),
    )
    text = tiny.save_run(tmp_path / "text")
    with pytest.raises(UserError, match=r"text: it translates text: use `seq2attn translate`$"):
        Captioner.load(text, device="cpu")
    with pytest.raises(UserError, match=r"run: it describes images: use `seq2attn caption`$"):
        Translator.load(run, device="cpu")
    with pytest.raises(UserError, match=r"clips: one of this and .*run reads clips and the other stills"):
        Captioner.load(f"{run},{clips}", device="cpu")
    with pytest.raises(UsageError, match=r"run with model\.encoder\.size=4: the setting changes the shape"):
        Captioner.load(run, device="cpu", settings=["model.encoder.size=4"])
    for setting in ("train.flip=true", "model.encoder.frozen=true", "model.encoder.weights=a"):
        with pytest.raises(UsageError, match="acts before or in training alone"):
            Captioner.load(run, device="cpu", settings=[setting])


def test_load_runs_code_with_permission_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2attn.own_code import allow_code

    (tmp_path / "somebodys.py").write_text(
        "import torch\n\ndef net():\n    return torch.nn.Conv2d(3, 8, 4, 4)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    conf = toy.settings("model.encoder.backbone=somebodys:net")
    with allow_code():
        run = toy.save_run(tmp_path / "run", conf)
    with pytest.raises(UserError, match="runs code of the package somebodys: allow it with `allow_code`"):
        Captioner.load(run, device="cpu")
    assert Captioner.load(run, device="cpu", allow_code=True).models
    # what was allowed once is not for ever
    with pytest.raises(UserError, match="runs code of the package somebodys"):
        Captioner.load(run, device="cpu")
