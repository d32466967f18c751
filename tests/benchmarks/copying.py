"""How often names and numbers that training never saw are copied right.

    python tests/benchmarks/copying.py RUN [RUN ...]       one line for each run
    python tests/benchmarks/copying.py --replace-unknown RUN ...

The sentences are those of the bundled test of `names`, translated as `seq2attn translate` does. A sentence is
right if its output has each of its names and numbers as often as the reference.
"""

import argparse
import re
from collections import Counter
from collections.abc import Sequence

import seq2attn
from seq2attn.data.bundled import bundled_folder
from seq2attn.evaluation.text import bleu
from seq2attn.samples.names.words import unseen

WORD = re.compile(r"[A-Z][A-Za-z]+|[0-9]+")


def to_copy(source: str, reference: str) -> Counter[str]:
    """The names and numbers of a pair that training never saw: both sides write them in the same way."""
    both = Counter(WORD.findall(source)) & Counter(WORD.findall(reference))
    return Counter({word: count for word, count in both.items() if unseen(word)})


def is_copied(source: str, reference: str, output: str) -> bool:
    written = Counter(re.findall(r"\w+", output))
    return all(written[word] == count for word, count in to_copy(source, reference).items())


def share_copied(sources: Sequence[str], references: Sequence[str], outputs: Sequence[str]) -> float:
    right = [is_copied(*both) for both in zip(sources, references, outputs, strict=True)]
    return sum(right) / len(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--replace-unknown", action="store_true")
    arguments = parser.parse_args()
    folder = bundled_folder("names")
    sources, references = (
        (folder / f"test.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")
    )
    for run in arguments.runs:
        translator = seq2attn.load(run)
        ranked = translator.translate(sources, attention=False, replace_unknown=arguments.replace_unknown)
        outputs = [one[0].text for one in ranked]
        share = share_copied(sources, references, outputs)
        score = bleu(outputs, [references], "fr", False).value
        print(f"{run}: {share:.1%} of {len(sources)} sentences copied right, BLEU {score:.2f}", flush=True)


if __name__ == "__main__":
    main()
