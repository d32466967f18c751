"""Translations beside those under an experiment: both outputs, their probabilities, and what differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple, Unpack

from seq2attn.errors import UsageError
from seq2attn.explaining.changed_translator import changed_translator
from seq2attn.explaining.experiment import Experiment
from seq2attn.inference import SearchOptions, Translation, Translator, forced
from seq2attn.inference.encoding import listed, refuse_no_strings
from seq2attn.inference.options import Shortcuts, with_shortcuts


class Difference(NamedTuple):
    """Words of one translation in place of words of the other. A side may be empty."""

    normal: list[str]
    changed: list[str]
    normal_first: int  # the number of the first word, from 1; where the side is empty, of the next word
    changed_first: int


@dataclass(frozen=True)
class Comparison:
    """The best translation of a text as the model is, and as it is with an experiment."""

    experiment: Experiment
    normal: Translation
    changed: Translation
    normal_with_change: float
    """log p of the normal translation, forced on the model with the experiment."""
    changed_without: float
    """log p of the changed translation, forced on the model as it is."""

    @property
    def differences(self) -> list[Difference]:
        """The words that differ, in their order."""
        one, other = self.normal.target_words, self.changed.target_words
        matcher = SequenceMatcher(None, one, other, autojunk=False)
        return [
            Difference(one[a:b], other[c:d], a + 1, c + 1)
            for kind, a, b, c, d in matcher.get_opcodes()
            if kind != "equal"
        ]

    @property
    def steps(self) -> list[int]:
        """The steps, from 1, that write another subword; the end counts as one."""
        pairs = zip_longest(self.normal.tokens, self.changed.tokens, fillvalue=-1)
        return [step for step, (one, other) in enumerate(pairs, 1) if one != other]

    @property
    def unreached(self) -> list[int]:
        """The steps that the experiment names and that are after the end of the changed translation."""
        last = len(self.changed.tokens) + 1
        return [step for step in self.experiment.steps if step > last]


def compare(
    translator: Translator,
    texts: Sequence[str],
    experiment: Experiment | Sequence[Experiment],
    options: SearchOptions | None = None,
    *,
    prefixes: Sequence[str] | None = None,
    first: int = 0,
    where: Sequence[str] | None = None,
    **shortcuts: Unpack[Shortcuts],
) -> list[Comparison]:
    """Translate each text twice: as the model is, and with the experiment in every step of the search.

        [done] = seq2attn.compare(translator, ["a big dog runs"], seq2attn.Experiment(mask=[2]), beam=5)
        done.normal.text, done.changed.text, done.differences

    `experiment` is one for all texts, or one for each. The model of the translator stays as it is. The other
    arguments are those of `Translator.translate`; `where` names each text in errors. Only the best
    translation is compared. A blank text has two empty translations.

    Raises UsageError for an experiment that does not fit a text or the model, UserError for a model without
    attention or with probabilities that are no numbers.
    """
    if isinstance(texts, str):
        raise UsageError("compare takes a list of texts: put a single one in brackets")
    texts = listed(texts, "compare takes a list of texts")
    refuse_no_strings("a text", texts)
    experiments = [experiment] * len(texts) if isinstance(experiment, Experiment) else list(experiment)
    if len(experiments) != len(texts):
        raise UsageError(
            f"there are {len(texts)} texts and {len(experiments)} experiments: each text needs its own"
        )
    if where is None:
        where = [f"text {number}" if len(texts) > 1 else "" for number in range(1, len(texts) + 1)]
    elif len(where) != len(texts):
        raise UsageError(f"there are {len(texts)} texts and {len(where)} names in `where`")
    search = with_shortcuts(options, shortcuts)
    if search.n_best != 1:
        raise UsageError(f"n_best {search.n_best}: the best translation alone is compared", setting="n_best")
    if search.confidence:
        raise UsageError("confidence is learned on the model as it is: leave it out", setting="confidence")
    other = changed_translator(translator, texts, experiments, where)
    normal = [best for best, *_ in translator.translate(texts, search, prefixes=prefixes, first=first)]
    changed = [best for best, *_ in other.translate(texts, search, prefixes=prefixes, first=first)]
    forced_normal = _log_probabilities(other, texts, normal, changed, search, first)
    forced_changed = _log_probabilities(translator, texts, changed, normal, search, first)
    rows = zip(experiments, normal, changed, forced_normal, forced_changed, strict=True)
    return [Comparison(*row) for row in rows]


def _log_probabilities(
    translator: Translator,
    texts: Sequence[str],
    outputs: Sequence[Translation],
    own: Sequence[Translation],
    options: SearchOptions,
    first: int,
) -> list[float]:
    """log p of each output, forced on a model of which `own` are the translations."""
    sources, _ = translator.encode_sources(texts)
    results = [mine.log_probability for mine in own]
    for i, (output, mine) in enumerate(zip(outputs, own, strict=True)):
        if output.tokens == mine.tokens:
            continue
        # one text at a time: in a batch, the last bits depend on the others
        of_text, length = [[side[i]] for side in sources], len(sources[0][i]) + 1
        [result] = forced.score_targets(
            translator, of_text, [length], [output.tokens], False, options.seed, first + i, None
        )
        results[i] = result.log_probability
    return results
