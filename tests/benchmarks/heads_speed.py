"""What it costs a search to give the attention of every layer and head.

    python tests/benchmarks/heads_speed.py RUN FILE [--beam 5] [--sentences 200] [--rounds 3]

The first lines of FILE are translated without attention, with its mean, and with every head, in turn. A first
time that warms up does not count. The time of a row is the median of its rounds, and the ratio is that to the
time without attention. Have the machine to yourself.
"""

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

import seq2attn

KINDS = {"none": False, "mean": True, "all heads": "all"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("file", type=Path)
    for name, default in (("--beam", 5), ("--sentences", 200), ("--rounds", 3)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    with options.file.open(encoding="utf-8") as lines:
        texts = [line.rstrip("\n") for line in islice(lines, options.sentences)]
    translator = seq2attn.load(options.run, device="cpu")
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for number in range(options.rounds + 1):
        for name, attention in KINDS.items():
            start = time.perf_counter()
            translator.translate(texts, beam=options.beam, attention=attention)
            if number:
                seconds[name].append(time.perf_counter() - start)
    print("| attention | seconds | ratio |\n| --- | ---: | ---: |")
    for name, of_rounds in seconds.items():
        ratio = statistics.median(of_rounds) / statistics.median(seconds["none"])
        print(f"| {name} | {statistics.median(of_rounds):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
