"""The routes of the server, behind the gate: an ASGI application."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.routing import Route, Router

from seq2attn.serving import pages
from seq2attn.serving.explanations import Explanations
from seq2attn.serving.gate import Gate, Log
from seq2attn.serving.libretranslate import LibreTranslate
from seq2attn.serving.pictures import Pictures
from seq2attn.serving.room import Room
from seq2attn.serving.service import Service
from seq2attn.serving.status import Status


def api(service: Service) -> list[Route]:
    """The routes of the API, without those of the page."""
    protocol, status = LibreTranslate(service), Status(service)
    return [
        Route("/languages", protocol.languages),
        Route("/translate", protocol.translate, methods=["POST"]),
        Route("/detect", protocol.detect, methods=["POST"]),
        Route("/frontend/settings", protocol.settings),
        Route("/caption", Pictures(service).caption, methods=["POST"]),
        Route("/explain", Explanations(service).explain, methods=["POST"]),
        Route("/runs", status.runs),
        Route("/health", status.health),
        Route("/metrics", status.metrics),
        Route("/openapi.json", status.openapi),
    ]


def application(
    service: Service,
    log: Log,
    *,
    hosts: Sequence[str] | None = None,
    origins: Sequence[str] = (),
    report: Callable[[Exception], None] = lambda error: None,
) -> Gate:
    """The whole application. Arguments: see `Gate`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    routes = [*api(service), *pages.routes()]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    paths = {route.path for route in routes}
    seconds = service.limits.seconds
    room = Room(router, service.limits.bodies)
    return Gate(
        room, paths, service.metrics, log, hosts=hosts, origins=origins, seconds=seconds, report=report
    )
