"""How often the server finds the language of a text: whole sentences, their first three words, one word.

    python tests/benchmarks/detection.py --multi30k FOLDER --tatoeba FILE [--runs RUN RUN]

Without --runs, vocabularies decide. They are learned here, of 2,000 subwords (4,200 for Chinese), from
Multi30K (train.en, train.de), Tatoeba (English, a tab, Chinese, on each line) and the bundled `phrases`
(French), and tried on other sentences of the same. With --runs, two runs of one vocabulary and opposite
directions, en to fr first, decide by their models on `phrases` and on English of Multi30K.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import seq2attn
from seq2attn.data.bundled import bundled_folder
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference import Translation
from seq2attn.serving.detection import detect
from seq2attn.serving.runs import ServedRun

TRIED = 300  # sentences of each source


class Vocabulary:
    """As much of a run as its vocabulary. Its model is as sure of any text as of another."""

    def __init__(self, language: str, texts: Sequence[str], size: int, kind: str) -> None:
        self.languages = (language, f"from {language}")
        self.source_tokenizer = Tokenizer.train(texts, size, kind)

    def translate(self, texts: Sequence[str], **options: Any) -> list[list[Translation]]:
        return [[Translation(text, text, 0.0, 0.0)] for text in texts]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def beginning(text: str, words: int | None, language: str) -> str:
    """The first words of a text; of Chinese, twice as many characters."""
    if words is None:
        return text
    return text[: 2 * words] if language == "zh" else " ".join(text.split()[:words])


def tell(name: str, tests: dict[str, list[str]], runs: Sequence[ServedRun]) -> None:
    for words in (None, 3, 1):
        cells = []
        for language, texts in tests.items():
            guesses = [detect(beginning(text, words, language), runs)[0].language for text in texts]
            cells.append(f"{language} {guesses.count(language)} of {len(guesses)}")
        print(f"{name}, {'whole' if words is None else f'{words} words'}: {', '.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--multi30k", type=Path, required=True)
    parser.add_argument("--tatoeba", type=Path, required=True)
    parser.add_argument("--runs", nargs=2, default=())
    options = parser.parse_args()
    english = {split: lines(options.multi30k / f"{split}.en") for split in ("train", "test_2016_flickr")}
    german = {split: lines(options.multi30k / f"{split}.de") for split in ("train", "test_2016_flickr")}
    pairs = [line.split("\t") for line in lines(options.tatoeba)]
    phrases = bundled_folder("phrases")
    tests: dict[str, list[str]] = {
        "en": english["test_2016_flickr"][:TRIED] + [pair[0] for pair in pairs[-TRIED:]],
        "de": german["test_2016_flickr"][:TRIED],
        "fr": lines(phrases / "test.fr")[:TRIED],
        "zh": [pair[1] for pair in pairs[-TRIED:]],
    }
    if options.runs:
        models: list[Any] = [seq2attn.load(run, device="cpu") for run in options.runs]
        runs = [ServedRun(str(number), model) for number, model in enumerate(models)]
        few = {"en": lines(phrases / "test.en")[:80] + english["test_2016_flickr"][:40]}
        tell("models", few | {"fr": tests["fr"][:80]}, runs)
        return
    learned = {
        "en": english["train"][:5000] + [pair[0] for pair in pairs[:4000]],
        "de": german["train"][:5000],
        "fr": lines(phrases / "train.fr")[:8000],
        "zh": [pair[1] for pair in pairs[:8000]],
    }
    for kind in ("unigram", "bpe"):
        sizes = {language: 4200 if language == "zh" else 2000 for language in learned}
        known = [Vocabulary(code, texts, sizes[code], kind) for code, texts in learned.items()]
        tell(kind, tests, [ServedRun(one.languages[0], one) for one in known])


if __name__ == "__main__":
    main()
