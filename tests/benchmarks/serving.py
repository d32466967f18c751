"""How a server answers under load: requests a second and latencies at several numbers of clients, the memory
before and after, and whether each request was answered.

    python tests/benchmarks/serving.py RUN [--seconds 60] [--clients 1 8 64] [--source en --target fr]
    python tests/benchmarks/serving.py RUN --texts FILE

It starts `seq2attn serve RUN` on a free port of this machine, and asks for sentences of FILE, one a request,
in turn (the default is eight sentences of the bundled corpus `phrases`). A client is a connection that stays
open: it sends the next request when it has the last answer. Before anything is counted, each number of
clients warms up for a moment. Have the machine to yourself: the clients take a little of its time, too.

A request is "lost" if its answer broke off or was no HTTP, or, but for the end, if its connection did.
Refusals (429, 503, 504) are answers; they are counted apart. At the end the server gets SIGTERM while all
clients ask, and must exit with 0. A request that reached a door as it closed has not a byte of an answer, and
is counted apart, too.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

TEXTS = (
    "The small dog sleeps in the garden.",
    "We do not see the old houses.",
    "She gives him two red apples.",
    "My friends have a big car.",
    "There are three cats in the kitchen.",
    "He must sell the house that she likes.",
    "Do you want to buy the new books?",
    "The teachers will sing in the town.",
)
WARM_UP = 1.0  # seconds


@dataclass
class Outcome:
    """What the clients of one round saw."""

    seconds: list[float] = field(default_factory=list)  # of each answer with status 200
    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    unheard: int = 0  # requests whose connection was closed without a byte of an answer

    def row(self, clients: int, elapsed: float) -> str:
        times = sorted(self.seconds) or [float("nan")]

        def at(share: float) -> str:
            return f"{1000 * times[min(len(times) - 1, int(share * len(times)))]:.1f}"

        refused = sum(number for status, number in self.statuses.items() if status != 200)
        cells = [clients, f"{len(self.seconds) / elapsed:.1f}", at(0.5), at(0.95), at(0.99), at(1.0)]
        return " | ".join(["", *map(str, [*cells, refused, len(self.lost)]), ""]).strip()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """The status and the body of an answer, and whether it is the last of its connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head, re.IGNORECASE)
    assert status is not None, head[:80]
    body = await reader.readexactly(int(length[1]) if length else 0)
    return int(status[1]), body, b"\r\nconnection: close\r\n" in head.lower()


async def client(
    port: int, requests: Sequence[bytes], numbers: "count[int]", stop: asyncio.Event, outcome: Outcome
) -> None:
    """Ask until `stop`, or until the server closes its door."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        try:
            while not stop.is_set():
                began = time.perf_counter()
                writer.write(requests[next(numbers) % len(requests)])
                await writer.drain()
                status, body, last = await answer(reader)
                outcome.statuses[status] += 1
                if status == 200:
                    outcome.seconds.append(time.perf_counter() - began)
                    if "translatedText" not in json.loads(body):
                        outcome.lost.append("another answer")
                else:
                    await asyncio.sleep(0.05)
                if last:
                    break
        except asyncio.IncompleteReadError as error:
            if error.partial:
                outcome.lost.append("half an answer")
            else:
                outcome.unheard += 1
        except (ConnectionResetError, BrokenPipeError):
            outcome.unheard += 1
        except (OSError, AssertionError, ValueError) as error:
            outcome.lost.append(repr(error))
        finally:
            writer.close()


async def ask(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[Outcome, float]:
    """What that many clients see in so many seconds, and the seconds that it took in all."""
    outcome, stop, numbers = Outcome(), asyncio.Event(), count()
    tasks = [asyncio.create_task(client(port, requests, numbers, stop, outcome)) for _ in range(clients)]
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    return outcome, time.perf_counter() - began


async def end(port: int, requests: Sequence[bytes], clients: int, server: "subprocess.Popen[str]") -> Outcome:
    """What clients see of a server that gets SIGTERM while they ask."""
    outcome, stop, numbers = Outcome(), asyncio.Event(), count()
    tasks = [asyncio.create_task(client(port, requests, numbers, stop, outcome)) for _ in range(clients)]
    await asyncio.sleep(WARM_UP)
    server.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    return outcome


def memory(process: int) -> float:
    """MB of a process in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="fr")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    texts = options.texts.read_text("utf-8").splitlines() if options.texts else TEXTS
    requests = []
    for text in texts:
        fields = {"q": text, "source": options.source, "target": options.target}
        body = json.dumps(fields).encode()
        head = "POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        requests.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    command = [sys.executable, "-m", "seq2attn", "serve", options.run, "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            assert address, "the server has not started"
            port = int(address.rstrip("/").rpartition(":")[2])
            print("| clients | requests/s | median ms | 95 % | 99 % | longest | refused | lost |")
            print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
            sizes = []
            for clients in options.clients:
                asyncio.run(ask(port, requests, clients, WARM_UP))
                before = memory(server.pid)
                outcome, elapsed = asyncio.run(ask(port, requests, clients, options.seconds))
                sizes.append((before, memory(server.pid)))
                print(outcome.row(clients, elapsed), flush=True)
                lost = len(outcome.lost) + outcome.unheard
                assert not lost, [outcome.unheard, *outcome.lost[:3]]
            print()
            print("memory, MB, before and after:", ", ".join(f"{a:.0f} and {b:.0f}" for a, b in sizes))
            outcome = asyncio.run(end(port, requests, max(options.clients), server))
            code = server.wait(60)
            print(
                f"SIGTERM under load: {sum(outcome.statuses.values())} answers, {len(outcome.lost)} lost, "
                f"{outcome.unheard} sent as the door closed, exit code {code}"
            )
            assert code == 0
            assert not outcome.lost, outcome.lost[:3]
        finally:
            server.kill()


if __name__ == "__main__":
    main()
