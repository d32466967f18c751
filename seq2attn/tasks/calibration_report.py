"""What a calibration says, for people and for programs: sentences, a table, and plain values."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from seq2attn.evaluation.calibration import CalibrationFit, Words
from seq2attn.evaluation.confidence import calibration_error, reliability, roc_area
from seq2attn.inference.confidence import NAMES, probabilities
from seq2attn.runs.calibration import Calibration
from seq2attn.strict_json import rounded
from seq2attn.tasks.table import Table
from seq2attn.version import __version__


@dataclass(frozen=True)
class CalibrationReport:
    """How well the confidence of a run tells its right words on one split, by what it learned on "valid"."""

    run: str
    data: str
    split: str
    valid: Words = field(repr=False)
    words: Words = field(repr=False)  # of the split
    result: CalibrationFit = field(repr=False)

    @property
    def calibration(self) -> Calibration:
        """What the run has in confidence.json."""
        return self.result.calibration

    @property
    def probability(self) -> NDArray[Any]:
        """The confidence (n,) in each word of the split."""
        return probabilities(self.words.features, self.calibration)

    @property
    def area(self) -> float:
        """Area under the ROC curve of the confidence on the split; NaN if no word is wrong."""
        return roc_area(self.probability, self.words.right)

    @property
    def error(self) -> float:
        """Expected calibration error of the confidence on the split, from 0 to 1."""
        return calibration_error(self.probability, self.words.right)

    def sentences(self) -> Iterator[str]:
        """How well it works."""
        count, wrong = len(self.words.right), int((~self.words.right).sum())
        share = wrong / count if count else 0.0
        yield f"{self.split}: {wrong:,} of {count:,} words are wrong ({share:.1%})"
        raw = self.words.product
        yield (
            "confidence tells right words from wrong ones with an area under the ROC curve of "
            f"{_number(self.area)}; the product of token probabilities with "
            f"{_number(roc_area(raw, self.words.right))}"
        )
        before = _number(calibration_error(raw, self.words.right))
        yield f"calibration error {_number(self.error)}; of the product of token probabilities {before}"

    def table(self) -> Table:
        """A row for the confidence, and one for each feature alone."""
        on_valid = roc_area(self.result.probability, self.valid.right)
        rows = [("confidence", _number(on_valid), _number(self.area), "")]
        for place, name in enumerate(NAMES):
            of_valid, of_split = self.alone(place)
            weight = f"{self.calibration.weights[place]:+.2f}"
            rows.append((name, _number(of_valid), _number(of_split), weight))
        return Table(("feature", "AUC valid", f"AUC {self.split}", "weight"), tuple(rows))

    def alone(self, place: int) -> tuple[float, float]:
        """The areas of the feature number `place` alone, on the validation set and on the split.

        Its sign is that by which it is above a half on the validation set.
        """
        on_valid = roc_area(self.valid.features[:, place], self.valid.right)
        on_split = roc_area(self.words.features[:, place], self.words.right)
        return (on_valid, on_split) if on_valid >= 0.5 else (1 - on_valid, 1 - on_split)

    def legend(self) -> Iterator[str]:
        """What the columns mean, one line each."""
        yield "a word is right if the alignment of the fewest edits joins it with an equal reference word"
        yield (
            "AUC: area under the ROC curve, 0.5 for chance; of confidence on valid by 5-fold "
            "cross-validation, of a feature alone with the sign it has there"
        )
        yield "weight: of the standardised feature; above 0, larger values belong to right words"

    def to_dict(self) -> dict[str, object]:
        """All results as plain values. `seq2attn calibrate --json` prints them."""
        valid, words, probability = self.valid, self.words, self.probability
        return {
            "run": self.run,
            "data": self.data,
            "split": self.split,
            "words": len(words.right),
            "wrong": int((~words.right).sum()),
            "area": rounded(self.area),
            "area_of_product": rounded(roc_area(words.product, words.right)),
            "calibration_error": rounded(self.error),
            "calibration_error_of_product": rounded(calibration_error(words.product, words.right)),
            "valid_words": len(valid.right),
            "valid_wrong": int((~valid.right).sum()),
            "valid_area": rounded(roc_area(self.result.probability, valid.right)),
            "valid_calibration_error": rounded(calibration_error(self.result.probability, valid.right)),
            "penalty": self.result.penalty,
            "features": [
                {
                    "name": name,
                    "valid_area": rounded(self.alone(place)[0]),
                    "area": rounded(self.alone(place)[1]),
                    "weight": rounded(self.calibration.weights[place]),
                }
                for place, name in enumerate(NAMES)
            ],
            "bins": [one._asdict() for one in reliability(probability, words.right)],
            "seq2attn": __version__,
        }

    def to_markdown(self) -> str:
        """The table in Markdown."""
        return self.table().to_markdown()

    def _repr_html_(self) -> str:
        return self.table().to_html()


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
