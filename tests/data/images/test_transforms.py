"""What a model is given of captioned images: every caption in its turn, each image once a batch, varied
as the draw says and never in validation.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import image_toy as toy
import numpy as np
import pytest
import torch

from seq2attn.config import TrainConfig
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform, stack_images
from seq2attn.data.prepared import Prepared
from seq2attn.data.tokenizer import BOS, EOS, PAD
from seq2attn.errors import UserError

STILLS, CLIPS = ImageTransform(toy.SIDE, "stretch", 1), ImageTransform(toy.SIDE, "stretch", 4)


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Images of 1 to 5 captions."""
    path = tmp_path_factory.mktemp("stills") / "out"
    images = [toy.image(number, 1 + number % 5, "train" if number < 30 else "valid") for number in range(40)]
    toy.prepare(path, images)
    return Prepared(path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Of 3, 1, 6 and 4 frames."""
    return toy.folder(tmp_path_factory.mktemp("clips") / "out", 8, 4, frames=(3, 1, 6, 4))


def rows(batches: list[np.ndarray]) -> list[int]:
    return [int(row) for batch in batches for row in batch]


@pytest.mark.parametrize("batch_tokens", [1, 20, 64, 10**6])
def test_plan_has_every_caption_once_per_epoch(stills: Prepared, batch_tokens: int) -> None:
    split = stills.captioned_split("train")
    of = CaptionedImages(split, STILLS, TrainConfig())
    for epoch in range(3):
        batches = of.plan(batch_tokens, 1, epoch)
        assert sorted(rows(batches)) == list(range(len(split)))
        for batch in batches:
            assert (np.diff(batch) > 0).all()
            images = set(split.image_of[batch])
            # all of an image's in one batch: it is encoded once
            assert len(batch) == sum(len(split.captions[image]) for image in images)
            longest = split.target_lengths[batch].max() + 1
            assert longest * len(batch) <= batch_tokens or len(images) == 1
    assert len(of.plan(10**6, 1, 0)) == 1


def test_plan_fills_batches_well(stills: Prepared) -> None:
    split = stills.captioned_split("train")
    batches = CaptionedImages(split, STILLS, TrainConfig()).plan(120, 1, 0)
    padded = sum((split.target_lengths[batch].max() + 1) * len(batch) for batch in batches)
    assert padded > 0.6 * 120 * (len(batches) - 1)


def test_plan_is_a_function_of_seed_and_epoch(stills: Prepared) -> None:
    def plan(seed: int, epoch: int, **settings: object) -> list[list[int]]:
        return [
            batch.tolist()
            for batch in CaptionedImages(
                stills.captioned_split("train"), STILLS, TrainConfig(**settings)
            ).plan(60, seed, epoch)
        ]  # type: ignore[arg-type]

    for settings in ({}, {"captions_per_image": 2}):
        assert plan(1, 1, **settings) == plan(1, 1, **settings)
        assert plan(1, 1, **settings) != plan(1, 2, **settings)
        assert plan(1, 1, **settings) != plan(2, 1, **settings)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_plan_captions_per_image_differ_by_epoch(stills: Prepared, count: int) -> None:
    """k captions an image: over c/k epochs, rounded up, each comes, and none more than one time oftener than
    another.
    """
    split = stills.captioned_split("train")
    of = CaptionedImages(split, STILLS, TrainConfig(captions_per_image=count))
    visits: Counter[int] = Counter()
    for epoch in range(5):
        chosen = rows(of.plan(60, 1, epoch))
        assert len(chosen) == len(set(chosen))
        counts = Counter(split.image_of[chosen].tolist())
        assert counts == {image: min(count, len(captions)) for image, captions in enumerate(split.captions)}
        visits.update(chosen)
        times = epoch + 1
        for image, captions in enumerate(split.captions):
            here = [visits[row] for row in range(split.first[image], split.first[image + 1])]
            assert max(here) - min(here) <= 1
            if times * count >= len(captions):
                assert min(here) >= 1
    firsts = {
        int(split.first[image]) in rows(of.plan(60, 1, 0))
        for image, captions in enumerate(split.captions)
        if len(captions) == 5
    }
    assert firsts == {True, False}  # not every image begins with its first


def test_batch_has_each_image_once_with_source_indices(stills: Prepared) -> None:
    split = stills.captioned_split("train")
    of = CaptionedImages(split, STILLS, TrainConfig())
    images = toy.images_of(of)
    for batch_rows in of.plan(60, 1, 0):
        batch = of.batch(batch_rows, 7)
        assert batch.number_I is not None
        assert batch.source_of_B is not None
        numbers = batch.number_I.tolist()
        assert len(numbers) == len(set(numbers)) == len(batch.source)
        assert [numbers[place] for place in batch.source_of_B.tolist()] == split.image_of[batch_rows].tolist()
        assert (batch.source.dtype, batch.source.shape[1:], batch.source_mask.shape) == (
            torch.uint8,
            (3, toy.SIDE, toy.SIDE),
            (len(numbers), 1),
        )
        assert batch.source_mask.all()
        for place, number in enumerate(numbers):
            assert np.array_equal(batch.source[place].movedim(0, -1).numpy(), images[number][0])
        for place, row in enumerate(batch_rows):
            ids = split.target_ids[row].tolist()
            filling = [PAD] * (batch.inputs_BT.size(1) - len(ids) - 1)
            assert batch.inputs_BT[place].tolist() == [BOS, *ids, *filling]
            assert batch.targets_BT[place].tolist() == [*ids, EOS, *filling]
            assert batch.target_mask_BT[place].sum() == len(ids) + 1


# Augmentation


def test_augmentation_of_a_batch_is_a_function_of_the_draw(stills: Prepared) -> None:
    split = stills.captioned_split("train")
    varied = TrainConfig(max_crop=0.3, flip=True, color_jitter=0.3)
    some = np.arange(0, len(split), 3)
    first, again, other = (
        CaptionedImages(split, STILLS, varied).batch(some, draw).source for draw in (5, 5, 6)
    )
    plain = CaptionedImages(split, STILLS, None).batch(some, 5).source
    assert torch.equal(first, again)
    assert sum(torch.equal(*pair) for pair in zip(first, other, strict=True)) <= 1
    assert sum(torch.equal(*pair) for pair in zip(first, plain, strict=True)) <= 1


def test_augmentation_does_not_depend_on_other_images_of_the_batch(stills: Prepared) -> None:
    """An image's change is of the draw and of its number, not of its place; equal images in a batch change
    apart.
    """
    of = CaptionedImages(stills.captioned_split("train"), STILLS, TrainConfig(max_crop=0.4, flip=True))
    together, _ = of.sources([3, 4, 5, 6], 9)
    assert torch.equal(of.sources([5], 9)[0][0], together[2])
    of.split.content = lambda _: toy.image(0).content()  # type: ignore[method-assign]
    alike, _ = of.sources(list(range(12)), 9)
    assert len({image.numpy().tobytes() for image in alike}) > 6


def test_flip_turns_half_of_the_images(stills: Prepared) -> None:
    split = stills.captioned_split("train")
    plain, _ = CaptionedImages(split, STILLS, None).sources(range(30))
    for flip in (True, False):
        of = CaptionedImages(split, STILLS, TrainConfig(flip=flip))
        found, _ = of.sources(range(30), 1)
        mirrored = [torch.equal(image, before.flip(-1)) for image, before in zip(found, plain, strict=True)]
        assert all(
            torch.equal(image, before) or turned
            for image, before, turned in zip(found, plain, mirrored, strict=True)
        )
        assert 5 < sum(mirrored) < 25 if flip else not any(mirrored)


def test_augmentation_needs_a_draw_and_settings(stills: Prepared) -> None:
    split, varied = stills.captioned_split("train"), TrainConfig(max_crop=0.5, flip=True, color_jitter=0.5)
    plain, _ = CaptionedImages(split, STILLS, TrainConfig()).sources(range(10), 3)
    assert torch.equal(CaptionedImages(split, STILLS, varied).sources(range(10), None)[0], plain)
    assert torch.equal(CaptionedImages(split, STILLS, None).sources(range(10), 3)[0], plain)


def test_augmentation_is_the_same_for_all_frames_of_a_clip(clips: Prepared) -> None:
    of = CaptionedImages(clips.captioned_split("train"), CLIPS, TrainConfig(flip=True))
    plain, mask = CaptionedImages(clips.captioned_split("train"), CLIPS, None).sources(range(8))
    found, _ = of.sources(range(8), 2)
    for clip, before, real in zip(found, plain, mask, strict=True):
        assert torch.equal(clip[real], before[real]) or torch.equal(clip[real], before[real].flip(-1))


# Clips


def test_sources_of_clips_have_masks_of_their_real_frames(clips: Prepared) -> None:
    split = clips.captioned_split("train")
    of = CaptionedImages(split, CLIPS, TrainConfig())
    source, mask = of.sources([0, 1, 2, 3])
    assert source.shape == (4, 4, 3, toy.SIDE, toy.SIDE)
    assert mask.tolist() == [[True, True, True, False], [True, False, False, False], [True] * 4, [True] * 4]
    assert (source[~mask] == 0).all()
    assert source[0, 2].any()
    # evenly spaced, the first and the last among them
    for frames, expected in ((2, [0, 5]), (4, [0, 2, 3, 5])):
        clip = CaptionedImages(split, ImageTransform(toy.SIDE, "stretch", frames), None).sources([2])[0][0]
        every = CaptionedImages(split, ImageTransform(toy.SIDE, "stretch", 6), None).sources([2])[0][0]
        assert torch.equal(clip, every[expected])
    source, mask = of.sources([1, 5])
    assert (source.shape[1], mask.tolist()) == (1, [[True], [True]])


def test_stack_images_keeps_every_pixel_in_its_place() -> None:
    frames = [np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3) for n in (1, 3)]
    source, mask = stack_images(frames, True)
    assert (source.shape, source.dtype, mask.tolist()) == (
        (2, 3, 3, 2, 2),
        torch.uint8,
        [[True, False, False], [True] * 3],
    )
    for frame in range(3):
        assert np.array_equal(source[1, frame].permute(1, 2, 0).numpy(), frames[1][frame])
    source, mask = stack_images(frames[:1], False)
    assert (source.shape, mask.tolist()) == ((1, 3, 2, 2), [[True]])


# Features in place of pixels


def test_features_replace_pixels(stills: Prepared) -> None:
    split = stills.captioned_split("train")
    features = np.random.default_rng(1).normal(size=(30, 5, 2, 2)).astype(np.float16)
    of = CaptionedImages(split, STILLS, TrainConfig(), features)
    some = np.array([0, 1, 2, 9, 40])
    batch = of.batch(some, 3)
    assert batch.source.dtype == torch.float16
    assert np.array_equal(batch.source.numpy(), features[np.unique(split.image_of[some])])
    assert batch.source_mask.tolist() == [[True]] * len(batch.source)


def test_features_of_shorter_clips_end_before_nan(clips: Prepared) -> None:
    features = np.random.default_rng(1).normal(size=(8, 4, 5, 2, 2)).astype(np.float16)
    features[0, 3:] = features[1, 1:] = np.nan
    of = CaptionedImages(clips.captioned_split("train"), CLIPS, TrainConfig(), features)
    source, mask = of.sources([0, 1, 2])
    assert mask.tolist() == [[True, True, True, False], [True, False, False, False], [True] * 4]
    assert (source[~mask] == 0).all()
    assert np.array_equal(
        source[mask].numpy(), np.concatenate([features[0, :3], features[1, :1], features[2]])
    )
    source, mask = of.sources([1, 0])
    assert source.shape[1] == mask.shape[1] == 3
    assert np.isnan(features[0, 3:]).all()  # what is kept is not written on


# Faults


def test_sources_name_an_image_damaged_after_preparation(
    stills: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = stills.captioned_split("train")
    content = split.content
    monkeypatch.setattr(split, "content", lambda number: [b"nothing"] if number == 4 else content(number))
    with pytest.raises(UserError, match=r"^004\.png: not an image"):
        CaptionedImages(split, STILLS, TrainConfig()).sources(range(8), 1)


def test_sources_are_decoded_in_threads_and_in_order(
    stills: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = stills.captioned_split("train")
    threads = set()
    before = ImageTransform.pixels

    def pixels(view: ImageTransform, *arguments: object) -> np.ndarray:
        threads.add(threading.get_ident())
        return before(view, *arguments)  # type: ignore[arg-type]

    plain = CaptionedImages(split, STILLS, None).sources(range(30))[0]
    monkeypatch.setattr(ImageTransform, "pixels", pixels)
    of = CaptionedImages(split, STILLS, None)
    assert all(torch.equal(of.sources(range(30))[0], plain) for _ in range(3))
    assert threading.get_ident() not in threads


def test_batches_ignore_the_sources_of_the_data(stills: Prepared, tmp_path: Path) -> None:
    of = CaptionedImages(stills.captioned_split("train"), STILLS, TrainConfig())
    assert of.ahead
    assert of.source_lengths.tolist() == [0] * len(of.split)
    assert np.array_equal(of.target_lengths, of.split.target_lengths)


def test_captions_are_drawn_anew_in_each_epoch(stills: Prepared) -> None:
    split = stills.captioned_split("train")

    def sampler(texts: Sequence[str], seed: int) -> list[list[int]]:
        return [[4 + seed % 5] * len(text.split()) for text in texts]

    of = CaptionedImages(split, STILLS, TrainConfig(captions_per_image=2), sampler=sampler)
    lines = [caption for captions in split.captions for caption in captions]
    epochs = [of.of_epoch(1, epoch) for epoch in range(4)]
    firsts = set()
    for own in epochs:
        assert own.target_lengths.tolist() == [len(line.split()) for line in lines]
        some = np.array([0, 3, 4])
        batch, plain = own.batch(some, None), of.batch(some, None)
        assert torch.equal(batch.source, plain.source)
        assert batch.source_of_B is not None
        assert plain.source_of_B is not None
        assert torch.equal(batch.source_of_B, plain.source_of_B)
        assert batch.target_mask_BT.sum(1).tolist() == [len(lines[row].split()) + 1 for row in some]
        firsts.add(int(batch.targets_BT[0, 0]))
    assert len(firsts) > 1
    assert of.of_epoch(1, 3) is epochs[3]  # it is not drawn twice in a row
    assert of.fingerprint == CaptionedImages(split, STILLS).fingerprint
