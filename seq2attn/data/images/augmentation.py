"""Random changes of the images of training: crop, flip, and jitter of brightness, contrast and saturation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Augmentation(NamedTuple):
    """How far an image may be changed. Every frame of a clip is changed in the same way."""

    max_crop: float = 0  # the largest part of a side that is cut off
    flip: bool = False  # mirror half of the images, chosen at random
    color_jitter: float = (
        0  # brightness, contrast and saturation are multiplied by 1 - color_jitter to 1 + color_jitter
    )


class Change(NamedTuple):
    """The change of one image; the default changes nothing."""

    keep: float = 1  # the part of each side that is left
    x: float = 0.5  # where that part begins, as a fraction of the part that is cut off
    y: float = 0.5
    flip: bool = False
    brightness: float = 1
    contrast: float = 1
    saturation: float = 1


def sample_change(augmentation: Augmentation | None, seed: int | None) -> Change:
    """A random change within the limits of `augmentation`. The same seed gives the same change."""
    if augmentation is None:
        return Change()
    rng = np.random.default_rng(seed)
    # Always all seven numbers, so that no setting changes the numbers of another.
    crop, x, y, flip, *jitter = rng.random(7).tolist()
    factors = (1 + augmentation.color_jitter * (2 * number - 1) for number in jitter)
    return Change(1 - augmentation.max_crop * crop, x, y, augmentation.flip and flip < 0.5, *factors)


def flip_and_recolour(pixels_YX3: NDArray[np.uint8], change: Change) -> NDArray[np.uint8]:
    if change.flip:
        pixels_YX3 = pixels_YX3[:, ::-1]
    if (change.brightness, change.contrast, change.saturation) == (1, 1, 1):
        return pixels_YX3
    values = pixels_YX3.astype(np.float32) * np.float32(change.brightness)
    values = 128 + (values - 128) * np.float32(change.contrast)  # around the same grey in every frame
    luma = (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]  # ITU-R BT.601
    values = luma + (values - luma) * np.float32(change.saturation)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
