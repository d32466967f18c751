"""What a model makes of the captioned pictures of a split: its captions, how likely it finds the references, and where it looks when it names a thing.

Knows a Captioner by what it does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.picture_split import PictureSplit
from seq2attn.evaluation.text import Score, bleu
from seq2attn.inference import Captioner
from seq2attn.search.risk import Utility

BLOCK = 128  # pictures between two signs of progress

Progress = Callable[[int, int], None]  # done, total


def seen(captioner: Captioner, split: PictureSplit, numbers: Sequence[int], made: NDArray[np.float16] | None = None) -> list[list[NDArray[Any]]]:
    """What each member of a captioner is given of those pictures: pixels, or the features that were made of them before."""
    if made is None:
        return [captioner.seen(split.content(number), split.names[number]) for number in numbers]
    features = [np.asarray(made[number]) for number in numbers]
    return [[one[~np.isnan(one[:, 0, 0, 0])] if one.ndim == 4 else one] for one in features]


def caption(
    captioner: Captioner,
    split: PictureSplit,
    numbers: Sequence[int],
    *,
    made: NDArray[np.float16] | None = None,
    beam: int | None = None,
    length_penalty: float | None = None,
    no_repeat_ngram: int | None = None,
    utility: Utility | None = None,
    samples: int | None = None,
    batch_tokens: int | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[str]:
    """The best caption of each of those pictures, as text on one line. What is None is as the run's own search settings say."""
    outputs: list[str] = []
    for start in range(0, len(numbers), BLOCK):
        progress(start, len(numbers))
        found = captioner.caption(
            seen(captioner, split, numbers[start : start + BLOCK], made),
            beam=beam,
            length_penalty=length_penalty,
            no_repeat_ngram=no_repeat_ngram,
            utility=utility,
            samples=samples,
            batch_tokens=batch_tokens,
            attention=False,
            seed=seed,
            first=start,
        )
        outputs += [" ".join(captions[0].text.split("\n")) for captions in found]
    progress(len(numbers), len(numbers))
    return outputs


def grouped_bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], language: str | None) -> Score:
    """sacreBLEU's corpus BLEU, `references[i]` being those of hypothesis i, of any number."""
    most = max(map(len, references), default=0)
    streams = [[some[place] if place < len(some) else None for some in references] for place in range(most)]
    return bleu(hypotheses, streams, language)  # type: ignore[arg-type]
