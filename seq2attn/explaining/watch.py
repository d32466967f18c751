"""The cheap part of the doctor, for each validation of a training: a few pairs are forced, and the faults of
their attention are told. The attention of some of them is for the log of the training.

Attention begins uniform and grows sharp, so a fault counts only when it lasts for several validations.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seq2attn.evaluation.forced_decoding import within_bounds
from seq2attn.explaining import doctor
from seq2attn.inference.attention_history import snapshot
from seq2attn.inference.predictor import Predictor
from seq2attn.inference.results import Caption, Translation
from seq2attn.runs.attention_log import Snapshot

PAIRS = 16  # pairs that are forced, at most
LASTS = 3  # validations in a row after which a fault is told


class AttentionWatch:
    """Remembers the faults of the validations before, and tells each of them once."""

    def __init__(self) -> None:
        self._lasting: Counter[str] = Counter()
        self._told: set[str] = set()
        self.snapshot: Snapshot | None = None  # the attention of some pairs of the last look, if it has any

    def look(
        self,
        predictor: Predictor[Any, Any],
        sources: Sequence[Any],
        targets: Sequence[str],
        names: Sequence[str] = (),
    ) -> str | None:
        """Force the first pairs on the model. One line about what is wrong, or None.

        `sources` are as `score_targets` of the predictor takes them, and `names` those of images.
        """
        self.snapshot = None
        if not predictor.attends:
            return None
        outputs: list[Translation | Caption] = predictor.score_targets(  # type: ignore[attr-defined]
            sources[:PAIRS], within_bounds(targets[:PAIRS], predictor.target_tokenizer), attention="all"
        )
        steps = [one.subword_attention_heads for one in outputs if one.subword_attention_heads is not None]
        attention = predictor.config.model.attention
        sums_to_one = attention.normaliser == "softmax" and attention.window == "none"
        outside = max((float(1 - one.sum(-1).min()) for one in steps), default=0.0) if sums_to_one else 0.0
        if not steps:
            return None
        self.snapshot = snapshot(outputs, names)
        has_end = isinstance(outputs[0], Translation)
        return self.hear(
            doctor.findings(
                doctor.statistics(steps, has_end, outside),
                len(steps),
                soft=attention.normaliser in ("softmax", "sigmoid"),
                local=attention.window != "none",
            )
        )

    def hear(self, findings: Sequence[doctor.Finding]) -> str | None:
        """The line about the findings of one validation that have lasted long enough and are new."""
        kinds = {finding.kind: finding for finding in findings}
        self._lasting = Counter({kind: self._lasting[kind] + 1 for kind in kinds})
        new = [kind for kind, count in self._lasting.items() if count >= LASTS and kind not in self._told]
        self._told.update(new)
        return "; ".join(str(kinds[kind]) for kind in new) or None
