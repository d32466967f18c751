"""The features that a frozen backbone computes for the images of a split.

They are computed once, saved in a file, and mapped into memory by every training that needs them. The name of
the file depends on all that its content depends on: the backbone, its weights, the transform of the images,
and the images.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from seq2attn import files
from seq2attn.config import ImageEncoderConfig
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.errors import UserError
from seq2attn.models.encoders.image import ImageEncoder

AT_ONCE = 16  # images, or frames of one clip, that are computed at once
# the way out if the disk refuses
_WAY = "make room, or remove the file, or set XDG_CACHE_HOME to another folder"
LARGEST = float(np.finfo(np.float16).max)

Progress = Callable[[str, int, int | None], None]


def features(
    split: CaptionedSplit,
    encoder: ImageEncoder,
    settings: ImageEncoderConfig,
    folder: Path,
    progress: Progress,
) -> NDArray[np.float16]:
    """(images, C, h, w), or (images, F, C, h, w) of clips, read-only, from a file in `folder`.

    A clip with fewer than F frames has NaN in the last ones. The file is created if it is missing. Raises
    UserError if it cannot be written.
    """
    path = folder / f"{_key(split, encoder, settings)}.npy"
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            files.sweep(folder)
            _make(path, split, encoder, ImageTransform.of(settings), progress)
        # Any damage is a ValueError, and no pickle is loaded.
        features: NDArray[np.float16] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path}: {reason}; {_WAY}") from None
    return features


def _key(split: CaptionedSplit, encoder: ImageEncoder, settings: ImageEncoderConfig) -> str:
    digest = hashlib.blake2b(digest_size=12)
    names = (
        "backbone",
        "stages",
        "norm",
        "self_attention",
        "image_size",
        "resize",
        "mean",
        "std",
        "max_frames",
    )
    digest.update(
        json.dumps(
            {name: value for name, value in settings.model_dump(mode="json").items() if name in names}
        ).encode()
    )
    for name, tensor in sorted(encoder.backbone.state_dict().items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    if not settings.residual:
        digest.update(_answer(encoder, settings.image_size))
    with (split.path / "images.arrow").open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


@torch.inference_mode()
def _answer(encoder: ImageEncoder, side: int) -> bytes:
    """What a backbone that is not ours computes for a test pattern, to a hundredth.

    Its code may change while the weights stay the same.
    """
    pixels = (torch.arange(3 * side * side) * 97 % 256).to(torch.uint8).view(1, 3, side, side)
    device = next(encoder.parameters()).device
    features = encoder.features(pixels.to(device)).flatten().double().cpu().nan_to_num()
    # Few numbers, so that probably none is so near to a bound that another device rounds it differently.
    some = features[:: max(1, len(features) // 64)]
    return (100 * some / features.abs().max().clamp(min=1e-30)).round().to(torch.int64).numpy().tobytes()


@torch.inference_mode()
def _make(
    path: Path, split: CaptionedSplit, encoder: ImageEncoder, view: ImageTransform, progress: Progress
) -> None:
    views, images = CaptionedImages(split, view), len(split.names)
    device = next(encoder.parameters()).device
    # Written, not mapped: on a full disk a mapped file would end the program.
    with files.replace_file(path, way=_WAY) as file:
        for start in range(0, images, AT_ONCE):
            progress(f"features of {split.path.name}", start, images)
            source, mask = views.sources(range(start, min(start + AT_ONCE, images)))
            features = encoder.features(source.to(device)).float().clamp(-LARGEST, LARGEST).cpu()
            if view.frames > 1:
                features = features.masked_fill(~mask[:, :, None, None, None], torch.nan)
                features = F.pad(
                    features, (0, 0, 0, 0, 0, 0, 0, view.frames - features.size(1)), value=torch.nan
                )
            if not start:
                header = {"descr": "<f2", "fortran_order": False, "shape": (images, *features.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(features.half().numpy().astype("<f2", copy=False).tobytes())
    progress(f"features of {split.path.name}", images, images)
