"""How often a glossary's terms are in the output, and what they cost in BLEU, on `test` of `phrases`.

    python tests/benchmarks/glossary.py RUN [RUN ...]

Each source noun has a target term: its own translation, that of another noun, or an invented word that no
training has. The references have these terms in place of the translations. BLEU before is that of the output
without glossary against the references as they are. Only sentences with a term count for the share.
"""

import argparse
import random
import re
import time
from collections.abc import Sequence

import seq2attn
from seq2attn.data.bundled import bundled_folder
from seq2attn.data.text.glossary import Glossary, times
from seq2attn.evaluation.text import bleu
from seq2attn.samples.names import words as names
from seq2attn.samples.phrases.lexicon import NOUNS, Noun

KINDS = ("own", "another", "invented")
VOWELS = "aàâeéèêiîoôuûhyœ"


def terms(kind: str, seed: int = 1) -> dict[str, tuple[str, str]]:
    """By source noun: its French noun, and the term to write in place of it."""
    rng = random.Random(seed)
    every = list(NOUNS.values())
    nouns = [noun for noun in every if " " not in noun.english + noun.french]
    translations: dict[str, set[str]] = {}
    for noun in nouns:
        translations.setdefault(noun.english, set()).add(noun.french)
    results = {}
    for noun in nouns:
        if len(translations[noun.english]) > 1 or noun.english == noun.english_plural:
            continue
        results[noun.english] = noun.french, _term(kind, noun, nouns, rng)
    return results


def _term(kind: str, noun: Noun, nouns: Sequence[Noun], rng: random.Random) -> str:
    if kind == "own":
        return noun.french
    vowel = noun.french[0] in VOWELS
    if kind == "another":
        alike = [
            other.french
            for other in nouns
            if other.feminine == noun.feminine and (other.french[0] in VOWELS) == vowel and other != noun
        ]
        return rng.choice(alike)
    return ("a" if vowel else "") + names.name(rng).english.lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--limit", type=int, default=1000)
    arguments = parser.parse_args()
    folder = bundled_folder("phrases")
    sources, references = (
        (folder / f"test.{side}").read_text(encoding="utf-8").splitlines()[: arguments.limit]
        for side in ("en", "fr")
    )
    for run in arguments.runs:
        translator = seq2attn.load(run)
        for kind in KINDS:
            pairs = terms(kind)
            glossary = Glossary({source: term for source, (_, term) in pairs.items()})
            texts, plain, changed, rows = [], [], [], []
            for source, reference in zip(sources, references, strict=True):
                own = glossary.find(source)
                if any(times(pairs[term.source][0], reference) != 1 for term in own):
                    continue  # another construction
                texts.append(source)
                plain.append(reference)
                rows.append([term.target for term in own])
                for term in own:
                    french = re.escape(pairs[term.source][0])
                    reference = re.sub(rf"\b{french}\b", term.target, reference, flags=re.IGNORECASE)
                changed.append(reference)
            outputs = [one[0].text for one in translator.translate(texts, attention=False)]
            before = bleu(outputs, [plain], "fr", False).value
            started = time.monotonic()
            outputs = [one[0].text for one in translator.translate_lines(texts, glossary=glossary)]
            seconds = time.monotonic() - started
            held = [
                times(term, output) > 0 for own, output in zip(rows, outputs, strict=True) for term in own
            ]
            after = bleu(outputs, [changed], "fr", False).value
            print(
                f"{run}, {kind}: {sum(held) / len(held):.2%} of {len(held)} terms, "
                f"BLEU {after:.2f} (before {before:.2f}), {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
