"""How long `prepare` takes and how much memory it needs for a corpus of N pairs: of made-up words whose
frequencies fall as in a language.

    python tests/benchmarks/prepare_memory.py 200000 1000000 5000000 [--workers 2] [--folder DIR]

A line for each N: pairs, size of the text, seconds, and the peak memory of the program and of all its
processes together. Memory counts
what is the program's own; the pages of mapped files, which the system takes back when it needs them, are
counted apart.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
BLOCK = 50_000


def write_corpus(folder: Path, pairs: int) -> float:
    """train.en and train.de of that many pairs; their size in MB."""
    draw = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    share = 1 / np.arange(1, 27) ** 0.7
    words = {
        side: np.array(
            [
                "".join(draw.choice(letters, draw.integers(2, 12), p=share / share.sum()))
                for _ in range(50_000)
            ]
        )
        for side in ("en", "de")
    }
    for side, vocabulary in words.items():
        with (folder / f"train.{side}").open("w", encoding="utf-8") as file:
            for begin in range(0, pairs, BLOCK):
                lengths = draw.integers(4, 30, min(BLOCK, pairs - begin))
                chosen = vocabulary[np.minimum(draw.zipf(1.2, lengths.sum()), len(vocabulary)) - 1]
                file.writelines(
                    " ".join(sentence) + "\n" for sentence in np.split(chosen, np.cumsum(lengths)[:-1])
                )
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def memory(pid: int) -> tuple[int, int]:
    """(own, mapped) kB that a process has in memory now; shared pages count by their share."""
    try:
        facts = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
        anonymous, total = int(facts["Pss_Anon"].split()[0]), int(facts["Pss"].split()[0])
    except (OSError, KeyError, ValueError):
        return 0, 0
    return anonymous, total - anonymous


def descendants(pid: int) -> list[int]:
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid for child in children for pid in (child, *descendants(child))]


def measure(pairs: int, workers: int, folder: Path) -> list[str]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        corpus = Path(place, "corpus")
        corpus.mkdir()
        size = write_corpus(corpus, pairs)
        command = [
            sys.executable,
            "-m",
            "seq2attn",
            "prepare",
            str(corpus),
            str(Path(place, "out")),
            "--source",
            "en",
            "--target",
            "de",
            "--valid",
            "1000",
        ]
        begin = time.monotonic()
        process = subprocess.Popen(
            [*command, "--workers", str(workers), "--quiet"], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        main, own, mapped = 0, 0, 0
        while process.poll() is None:
            sizes = [memory(pid) for pid in (process.pid, *descendants(process.pid))]
            main, own = max(main, sizes[0][0]), max(own, sum(size[0] for size in sizes))
            mapped = max(mapped, sum(size[1] for size in sizes))
            time.sleep(0.2)
        seconds = time.monotonic() - begin
        if process.returncode:
            sys.exit(process.returncode)
    return [
        f"{pairs:,}",
        f"{size:,.0f}",
        f"{seconds:,.0f}",
        f"{main / 1e3:,.0f}",
        f"{own / 1e3:,.0f}",
        f"{mapped / 1e3:,.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and peak memory of `seq2attn prepare`.")
    parser.add_argument("pairs", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to write the corpus and what is prepared",
        default=Path(tempfile.gettempdir()),
    )
    options = parser.parse_args()
    print(
        "| pairs | text, MB | seconds | peak of the main process, MB "
        "| of all processes, MB | mapped files, MB |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for pairs in options.pairs:
        print(f"| {' | '.join(measure(pairs, options.workers, options.folder))} |", flush=True)


if __name__ == "__main__":
    main()
