"""/explain: one output with its attention by layer and head, candidates, beam and the rest that is asked for.

The body is a JSON object with `text` for a run of text. For a run of pictures it is the file itself, and the
other fields stand as a JSON object in the query, as `?request={"run": "..."}`.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seq2attn import strict_json
from seq2attn.errors import UserError
from seq2attn.explaining.explain_request import ExplainRequest
from seq2attn.serving import asked, pictures
from seq2attn.serving.bodies import media_type
from seq2attn.serving.errors import Refusal, refusal_of
from seq2attn.serving.service import Service
from seq2attn.serving.work import Explain


class Explanations:
    """The route of the explorer."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def explain(self, request: Request) -> Response:
        source: str | bytes
        if media_type(request).startswith(("image/", "application/octet-stream")):
            fields = _of_query(request)
            run = self._service.runs.named(fields.pop("run", None), "images")
            source = (await pictures.receive(request, self._service, run)).content
        else:
            fields = await self._service.fields(request)
            run = self._service.runs.named(fields.pop("run", None), "text")
            if "text" not in fields:
                raise Refusal(400, "text: the text to explain is missing")
            source = fields.pop("text")
            asked.check_text("text", source)
            asked.check_length("text", len(source), self._service.limits)
        fields.pop("api_key", None)
        try:
            ExplainRequest.of(fields)
        except UserError as error:
            raise refusal_of(error) from None
        (answer,) = await self._service.compute(request, Explain(run), [(source, fields)])
        return JSONResponse(answer)


def _of_query(request: Request) -> dict[str, Any]:
    text = request.query_params.get("request", "{}")
    try:
        fields = strict_json.parse(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise Refusal(400, 'request: it must be a JSON object, as in ?request={"beam": 2}')
    return fields
