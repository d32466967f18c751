"""Attention as light on an image: the image is dim and grey, and bright and coloured where a word attends.

All words of an image share one scale. This module knows arrays, and no file and no figure.
"""

import math

import numpy as np
from PIL import Image

GAMMA = 0.45  # brightness is (weight / highest) to this power, so that faint attention shows beside a peak
WARM = (255, 222, 140)  # colour of the light
# share of that colour in white and in black pixels under full light, so that black gets brighter and blue
# stays blue
TINT = (0.14, 0.58)
LIFT = 0.75  # exponent of the values of a lit image: it brightens shadows
NIGHT = (0.26, 0.28, 0.33)  # factor of each channel in the dark
_MIN_SCALE = 0.01  # weight of full brightness at least, so that weaker attention stays dark
_ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_LUMINANCE = (0.299, 0.587, 0.114)


def scale_max(weights: np.ndarray) -> float:
    """The weight of full brightness: the next round number above all `weights`, or 1 if all are zero."""
    most = float(np.max(weights, initial=0.0))
    if most <= 0:
        return 1.0
    most = max(most, _MIN_SCALE)
    power = math.floor(math.log10(most) + 1e-9)
    return next(
        round(step * 10.0**power, 9 - power) for step in _ROUND if most <= step * 10.0**power * (1 + 1e-6)
    )


def brightness(weights: np.ndarray, highest: float) -> np.ndarray:
    """The brightness, from 0 to 1, of weights from 0 to `highest`."""
    bright: np.ndarray = (np.clip(weights, 0, highest) / highest) ** GAMMA
    return bright


def upsample(weights_HW: np.ndarray, size: tuple[int, int], highest: float) -> np.ndarray:
    """The brightness (Y, X) of an image of `size` for the weights (H, W) of a grid.

    Between the centres of cells it is interpolated by a cubic; outside the outer centres it is constant. It
    interpolates brightness, because interpolated weights would give hard squares.
    """
    rows, columns = weights_HW.shape
    cells = np.pad(brightness(weights_HW, highest).astype(np.float32), 2, mode="edge")
    # Cut off the padding. Pillow counts from the corner of a cell, not from its centre.
    box = (2.0, 2.0, columns + 2.0, rows + 2.0)
    smooth_YX: np.ndarray = np.asarray(
        Image.fromarray(cells).resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)
    )
    return np.asarray(np.clip(smooth_YX, cells.min(), cells.max()))  # a cubic exceeds the range of its points


def relight(pixels_YXC: np.ndarray, light_YX: np.ndarray) -> np.ndarray:
    """The image (Y, X, 3), uint8, under a light of that brightness (Y, X), from 0 to 1."""
    image = pixels_YXC.astype(np.float32)
    grey = (image @ np.array(_LUMINANCE, dtype=np.float32))[..., None]
    dark = grey * np.array(NIGHT, dtype=np.float32)
    tint = TINT[0] + (TINT[1] - TINT[0]) * (1 - grey / 255) ** 3
    lifted = 255 * (image / 255) ** LIFT
    bright = lifted + (np.array(WARM, dtype=np.float32) - lifted) * tint
    return np.asarray(
        np.rint(dark + (bright - dark) * light_YX.astype(np.float32)[..., None]), dtype=np.uint8
    )
