"""What the routes share: runs, the queue, limits and keys; and how a request waits for its results."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from seq2attn.errors import UserError
from seq2attn.serving import bodies
from seq2attn.serving.batching import Batcher, Compute, Full, TooLate
from seq2attn.serving.errors import ClientLeft, Refusal, refusal_of
from seq2attn.serving.keys import Keys
from seq2attn.serving.limits import Limits
from seq2attn.serving.metrics import Metrics
from seq2attn.serving.runs import ServedRuns
from seq2attn.serving.stopping import stoppable


@dataclass
class Service:
    """The state of a server."""

    runs: ServedRuns
    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=Keys)
    metrics: Metrics = field(default_factory=Metrics)
    batcher: Batcher = field(init=False)
    _stoppable: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def start(self) -> None:
        """Begin to compute. To be called in the event loop that answers."""

        def observe(compute: Compute, items: int, seconds: float) -> None:
            run = getattr(compute, "run", None)
            self.metrics.computed("several" if run is None else run.name, items, seconds)

        self.batcher = Batcher(self.limits.queue, self.limits.batch, observe)
        predictors = [run.predictor for run in self.runs]
        self._stoppable.enter_context(stoppable(predictors, self.batcher.stop))
        self.batcher.start()

    async def close(self) -> None:
        await self.batcher.close()
        self._stoppable.close()

    def stop(self) -> None:
        """End what is computed, though somebody may wait for it. To be called in any thread."""
        self.batcher.stop.requested = True

    async def fields(self, request: Request) -> dict[str, Any]:
        """The fields of a body of text, from somebody with a key."""
        fields = await bodies.fields(request, self.limits.body, self.limits.receiving)
        self.keys.check(request, fields)
        return fields

    async def upload(self, request: Request) -> bytes:
        """A body that is a file, from somebody with a key."""
        self.keys.check(request)
        return await bodies.read(request, self.limits.upload, self.limits.receiving)

    async def compute(self, request: Request, compute: Compute, items: Sequence[Any]) -> list[Any]:
        """The results of the items.

        Raises Refusal if they fail, if the queue is full and if the time is over. Raises ClientLeft as soon
        as nobody waits any more: what has not begun by then is never computed.
        """
        seconds = max(0.0, request.state.deadline - time.monotonic())
        work = asyncio.ensure_future(self.batcher.submit(compute, items, seconds))
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientLeft
            results = work.result()
        except Full as full:
            if full.seconds is None:
                most = f"{self.limits.queue:,} sentences are the most"
                raise Refusal(413, f"the text has {len(items):,} sentences; {most}") from None
            busy = f"too many requests wait: try again in {full.seconds} seconds"
            raise Refusal(429, busy, {"Retry-After": str(full.seconds)}) from None
        except TooLate as late:
            what = "was not ready" if late.begun else "could not begin"
            message = f"the answer {what} within {self.limits.seconds:g} seconds"
            raise Refusal(504 if late.begun else 503, message, {"Retry-After": "5"}) from None
        finally:
            work.cancel()
            gone.cancel()
        for result in results:
            if isinstance(result, UserError):
                raise refusal_of(result)
            if isinstance(result, Exception):
                raise result
        return results


async def _until_gone(request: Request) -> None:
    """Return when the client closes the connection. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
