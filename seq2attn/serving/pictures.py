"""/caption: an uploaded picture or clip to its caption, with the attention of each word.

The body is the file itself, not a form. Its header is read, and its size checked, before anything is decoded.
"""

import asyncio
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seq2attn.data.images.decoding import count_frames
from seq2attn.data.images.opening import one_line_errors, open_image
from seq2attn.errors import UserError
from seq2attn.inference.results import Caption
from seq2attn.serving import asked
from seq2attn.serving.bodies import media_type
from seq2attn.serving.errors import Refusal, refusal_of
from seq2attn.serving.limits import Limits
from seq2attn.serving.runs import ServedRun
from seq2attn.serving.service import Service
from seq2attn.serving.work import Describe, Picture

ATTENTION: dict[str, bool | str] = {"mean": True, "all": "all", "none": False}
MOST_BEAM = 16
_WHERE = "picture"  # its name in messages


class Pictures:
    """The route for pictures."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def caption(self, request: Request) -> Response:
        query = request.query_params
        run = self._service.runs.named(query.get("run"), "images")
        attention = asked.choice(query, "attention", tuple(ATTENTION))
        beam = asked.whole(query, "beam", min(run.trained_beam, MOST_BEAM), 1, MOST_BEAM)
        picture = await receive(request, self._service, run)
        describe = Describe(run, beam, ATTENTION[attention])
        (caption,) = await self._service.compute(request, describe, [picture])
        return JSONResponse(_as_json(run, caption))


async def receive(request: Request, service: Service, run: ServedRun) -> Picture:
    """The picture in the body, which the run can read and which is within the limits. Raises Refusal."""
    kind = media_type(request)
    if kind and not kind.startswith(("image/", "application/octet-stream")):
        raise Refusal(
            415, "Content-Type: send the file itself as the body, as image/png or another image type"
        )
    content = await service.upload(request)
    pixels = await asyncio.to_thread(_check, content, run.predictor.clips, service.limits)
    return Picture(content, pixels)


def _check(content: bytes, clip: bool, limits: Limits) -> int:
    """The number of pixels, by its headers alone. Raises Refusal for what is no picture, and for too many."""
    try:
        with one_line_errors(_WHERE):
            image = open_image(content, _WHERE)
            pixels = image.width * image.height
        frames = count_frames([content], _WHERE) if clip else 1
    except UserError as error:
        raise refusal_of(error, 400) from None
    if pixels * frames > limits.pixels:
        size = f"{image.width:,} x {image.height:,} pixels" + (f" and {frames} frames" if frames > 1 else "")
        most = f"{limits.pixels:,} pixels are the most"
        raise Refusal(413, f"{_WHERE}: it has {size}; {most}")
    return pixels * frames


def _as_json(run: ServedRun, caption: Caption) -> dict[str, Any]:
    def weights(values: Any) -> Any:
        return None if values is None else np.round(values.astype(float), 4).tolist()

    view = run.predictor.view
    return {
        "run": run.name,
        "language": run.target,
        "caption": caption.text,
        "words": caption.words,
        "log_probability": round(caption.log_probability, 6),
        "finished": caption.finished,
        "attention": weights(caption.attention),
        "attention_heads": weights(caption.attention_heads),
        "grid": caption.grid,
        "fit": view.fit,
        "frames": view.frames,
    }
