"""Scores of captions against several references: BLEU-1 to 4, CIDEr-D and ROUGE-L, with signatures.

They count the words of coco-caption. References are grouped by image, and an image may have any number of
them. Texts are raw. This module knows no model, no file and no run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from seq2attn.errors import UserError
from seq2attn.evaluation.cider import ORDERS, SIGMA, CiderD, check_grouped
from seq2attn.evaluation.ptb_tokenizer import tokens
from seq2attn.evaluation.rouge import BETA, rouge_l
from seq2attn.evaluation.text import Score
from seq2attn.version import __version__

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "CIDEr-D", "ROUGE-L")

Words = tuple[str, ...]


def scores(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Score]:
    """All of METRICS, in this order. `references[i]` are those of the image that `hypotheses[i]` describes.

    Images may have different numbers of them. BLEU (no smoothing, closest reference length) and ROUGE-L are
    in points, 0 to 100. CIDEr-D is in its usual units, 0 to 10, with document frequencies from `references`.
    BLEU-n is 0 if no n-gram is right. Raises UserError if images and hypotheses differ in number, or if an
    image has no reference.
    """
    check(hypotheses, references)
    ours, theirs = tokenised(hypotheses, references)
    counts = bleu().corpus_score([" ".join(words) for words in ours], streams(theirs))
    values = [
        BLEU.compute_bleu(
            counts.counts[:n],
            counts.totals[:n],
            counts.sys_len,
            counts.ref_len,
            smooth_method="none",
            max_ngram_order=n,
        ).score
        for n in range(1, ORDERS + 1)
    ]
    values += [CiderD(theirs).corpus(ours), rouge_l_values(ours, theirs).mean()]
    return [
        Score(name, float(value), signature(name, references))
        for name, value in zip(METRICS, values, strict=True)
    ]


def without_weight(references: Sequence[Sequence[str]]) -> str | None:
    """Why CIDEr-D is not informative for these images, or None.

    It weights words by how few images have them.
    """
    if not CiderD(references).weightless:
        return None
    few = "there is one image alone" if len(references) == 1 else "every word is said of every image"
    return f"it counts words by how few images they are said of, and {few}"


def check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise UserError unless there is an image, and each has a hypothesis and a reference."""
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses):,} captions to score, but references of {len(references):,} images: "
            "every image needs its own"
        )
    check_grouped([len(of_image) for of_image in references])


def tokenised(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[Words], list[list[Words]]]:
    """Hypotheses, and references grouped as they are, as coco-caption's words."""
    return [tokens(line) for line in hypotheses], [
        [tokens(reference) for reference in of_image] for of_image in references
    ]


def rouge_l_values(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> NDArray[np.float64]:
    """ROUGE-L of each hypothesis (S,), in points; the corpus's is their mean."""
    return np.array(
        [rouge_l(hypothesis, of_image) for hypothesis, of_image in zip(hypotheses, references, strict=True)]
    )


def bleu() -> BLEU:
    """BLEU-4 of lines whose words are set apart by spaces."""
    return BLEU(tokenize="none", smooth_method="none", force=True)


def streams(references: Sequence[Sequence[Words]]) -> Any:
    """Words grouped by image as `parallel` lines."""
    return parallel([[" ".join(words) for words in of_image] for of_image in references])


def parallel(references: Sequence[Sequence[str]]) -> Any:
    """References grouped by image as sacreBLEU's parallel sets.

    If an image has fewer references than another, it has None in the last sets, which sacreBLEU's types do
    not know. All of sacreBLEU's metrics skip None: BLEU and chrF as if the image's own references were
    repeated, TER with their own mean length.
    """
    most = max(map(len, references), default=0)
    return [
        [of_image[number] if number < len(of_image) else None for of_image in references]
        for number in range(most)
    ]


def signature(name: str, references: Sequence[Sequence[str]]) -> str:
    """The parameters of one of METRICS, in sacreBLEU's form. `nrefs` is a range if the number varies."""
    fewest, most = (extreme(len(of_image) for of_image in references) for extreme in (min, max))
    start = f"nrefs:{fewest if fewest == most else f'{fewest}-{most}'}|case:lc"
    if name.startswith("BLEU"):
        return f"{start}|eff:no|tok:coco|smooth:none|version:{sacrebleu.__version__}|seq2attn:{__version__}"
    detail = f"n:{ORDERS}|sigma:{SIGMA:g}|df:references" if name == "CIDEr-D" else f"beta:{BETA}"
    return f"{start}|tok:coco|{detail}|seq2attn:{__version__}"
