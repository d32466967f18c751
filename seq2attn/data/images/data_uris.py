"""Images as text that stands in a page: data URIs."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from seq2attn.data.images.resizing import Pixels

IMAGE_SIDE, FRAME_SIDE = 768, 240  # pixels of the longer side of an image and of a frame, at most
_CRISP = 160  # pixels; an image that is smaller keeps each of them
_QUALITY = 88  # of a larger one, as JPEG


def data_uris(pixels_FYX3: Pixels) -> list[str]:
    """Each frame, or the only image, as a data URI."""
    longest = IMAGE_SIDE if len(pixels_FYX3) == 1 else FRAME_SIDE
    return [data_uri(frame, longest) for frame in pixels_FYX3]


def data_uri(pixels_YX3: Pixels, longest: int) -> str:
    """The image, made smaller if a side is longer than `longest`: PNG if it is small, else JPEG."""
    image = Image.fromarray(pixels_YX3)
    image.thumbnail((longest, longest))
    file, kind = io.BytesIO(), "png" if max(image.size) < _CRISP else "jpeg"
    image.save(file, kind, optimize=True, **({"quality": _QUALITY} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def is_crisp(size: Sequence[int]) -> bool:
    """Whether an image of so many pixels is so small that a page shows them as squares."""
    return max(size) < _CRISP
