"""How the server is: /health, /metrics, /runs, and the description of the API itself."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seq2attn.serving.metrics import CONTENT_TYPE
from seq2attn.serving.openapi import description
from seq2attn.serving.service import Service
from seq2attn.version import __version__


class Status:
    """The routes that compute nothing."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, request: Request) -> Response:
        names = [run.name for run in self._service.runs]
        return JSONResponse({"status": "ok", "version": __version__, "runs": names})

    async def metrics(self, request: Request) -> Response:
        self._service.keys.check(request)
        text = self._service.metrics.text(self._service.batcher.waiting)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def runs(self, request: Request) -> Response:
        """What the explorer offers to choose from."""
        return JSONResponse(
            [
                {
                    "name": run.name,
                    "kind": run.kind,
                    "model": run.predictor.config.model.decoder.kind,
                    "languages": list(run.predictor.languages),
                    "beam": run.trained_beam,
                    "attends": run.predictor.attends,
                    "example": run.example,
                }
                for run in self._service.runs
            ]
        )

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(description(self._service.limits))
