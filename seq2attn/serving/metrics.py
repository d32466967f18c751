"""Counters of the server in the text format of Prometheus, version 0.0.4. Labels have few values only."""

import bisect
import os
import time
from collections import Counter
from pathlib import Path

BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What has happened since the start."""

    def __init__(self) -> None:
        self._began = time.time()
        self._requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self._times: dict[str, list[int]] = {}  # by route: how many requests ended in each bucket, or later
        self._seconds: Counter[str] = Counter()  # by route
        self._items: Counter[str] = Counter()  # computed, by run
        self._batches: Counter[str] = Counter()  # by run
        self._busy = 0.0  # seconds

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._requests[route, status] += 1
        self._times.setdefault(route, [0] * (len(BUCKETS) + 1))[bisect.bisect_left(BUCKETS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def computed(self, run: str, items: int, seconds: float) -> None:
        self._items[run] += items
        self._batches[run] += 1
        self._busy += seconds

    def text(self, waiting: int) -> str:
        """All of them. `waiting`: the items in the queue now."""
        lines = _family("requests_total", "counter", "Requests by route and status.")
        for (route, status), count in sorted(self._requests.items()):
            lines.append(f'seq2attn_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += _family("request_seconds", "histogram", "Seconds from the head of a request to its answer.")
        for route, counts in sorted(self._times.items()):
            total = 0
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += count
                lines.append(f'seq2attn_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'seq2attn_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'seq2attn_request_seconds_count{{route="{route}"}} {total}')
        lines += _family("items_total", "counter", "Sentences, pictures and explanations computed, by run.")
        lines += [
            f'seq2attn_items_total{{run="{run}"}} {count}' for run, count in sorted(self._items.items())
        ]
        lines += _family("batches_total", "counter", "Computations, each of one item or more, by run.")
        lines += [f'seq2attn_batches_total{{run="{run}"}} {n}' for run, n in sorted(self._batches.items())]
        lines += _family("busy_seconds_total", "counter", "Seconds for which a batch was computed.")
        lines.append(f"seq2attn_busy_seconds_total {self._busy:.6f}")
        lines += _family("queue_items", "gauge", "Items that wait.")
        lines.append(f"seq2attn_queue_items {waiting}")
        lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {_memory()}"]
        lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self._began:.3f}"]
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help: str) -> list[str]:
    return [f"# HELP seq2attn_{name} {help}", f"# TYPE seq2attn_{name} {kind}"]


def _memory() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
