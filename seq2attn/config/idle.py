"""Refuses settings that would do nothing, if the user names them.

Most settings declare the condition themselves (`marks.IgnoredUnless`). The rules here need several settings.
"""

import json
from collections.abc import Callable, Iterable, Sequence

from seq2attn.config import sizes
from seq2attn.config.fields import flat, names_marked, path_to
from seq2attn.config.marks import TRAINING_ONLY, IgnoredUnless, marks_of, value_at
from seq2attn.config.schema import Config
from seq2attn.config.typed import leaves_of, split
from seq2attn.errors import UsageError


def refuse_training_only(settings: Iterable[str], where: str = "settings") -> None:
    """Raise UsageError for the first `section.key=value` setting that only training uses."""
    training = names_marked(TRAINING_ONLY)
    for setting in settings:
        key = split(setting, where, "search.length_penalty=0.6")[0]
        if any(key == name or key.startswith(f"{name}.") for name in training):
            raise UsageError(
                f"{where} {setting}: acts before or in training alone, so it does nothing to a trained run; "
                "leave it out"
            )


def refuse_idle(
    settings: Iterable[str],
    changes: Sequence[tuple[Config | None, Config]],
    trained: bool = False,
    where: str = "settings",
) -> None:
    """Raise UsageError for the first `section.key=value` setting that does nothing in all changed configs.

    `changes` holds each config before the settings (None if it was invalid by itself) and after them. A
    setting may repeat its value or its default. With `trained`, settings that only training uses count as
    doing nothing.
    """
    tables = [(flat(before) if before else {}, flat(after), after) for before, after in changes]
    for setting in settings:
        for key in leaves_of(setting, where):
            reasons = [
                reason(after, key, trained)
                for old, new, after in tables
                if new.get(key) not in (old.get(key), _default(after, key))
            ]
            if reasons and None not in reasons:
                raise UsageError(f"{where} {setting}: does nothing, for {reasons[0]}")


def reason(config: Config, key: str, trained: bool = False) -> str | None:
    """Why a setting does nothing beside the others, and the ways out; None if it acts."""
    for section, field in path_to(config, key):
        for mark in marks_of(field):
            if isinstance(mark, IgnoredUnless) and (because := _breach(config, section, mark)):
                return because
    for rule in RULES:
        if because := rule(config, key, trained):
            return because
    return None


def _breach(config: Config, section: str, mark: IgnoredUnless) -> str | None:
    owner = mark.full_name(section)
    value = value_at(config, owner)
    if mark.holds(value) or (value is None and mark.values):  # this kind has no such setting
        return None
    first = f"={json.dumps(mark.values[0])}" if mark.values else " to a value"
    return _because(
        mark.why.format(value) or f"{owner} is {'not set' if value is None else json.dumps(value)}",
        f"set {owner}{first}" if mark.way is None else mark.way,
    )


def _because(why: str, way: str = "") -> str:
    return f"{why}; leave it out" + (f", or {way}" if way else "")


def _default(config: Config, key: str) -> object:
    *_, (_, field) = path_to(config, key)
    return list(field.default) if isinstance(field.default, tuple) else field.default


# Rules that depend on several other settings


def _unused_size(config: Config, key: str, trained: bool) -> str | None:
    a = config.model.attention
    if key != "model.attention.size" or sizes.uses_attention_size(config.model):
        return None
    why = (
        "with an identity map has the size of queries or keys"
        if a.score == "keyed"
        else "has no hidden units"
    )
    way = "" if trained else "choose another score, or several heads"
    return _because(f'model.attention.score="{a.score}" {why}', way)


def _unused_query_state(config: Config, key: str, trained: bool) -> str | None:
    d = config.model.decoder
    if (
        key != "model.decoder.query_state"
        or d.kind != "rnn"
        or config.model.attention.query_input != "embedding"
        or set(d.context_to) != {"readout"}
        or d.gate != "none"
    ):
        return None
    return _because(
        'model.attention.query_input="embedding" uses no state, and the context goes to the readout alone'
    )


def _unused_expectation(config: Config, key: str, trained: bool) -> str | None:
    a = config.model.attention  # with k > 1, `consistency` allows only 0
    if key == "model.attention.expectation_prob" and trained and a.normaliser == "hard-sample" and a.k == 1:
        return _because("it acts in training alone", 'set model.attention.at_inference="expected"')
    return None


def _unused_temperature(config: Config, key: str, trained: bool) -> str | None:
    a = config.model.attention
    samples = a.normaliser == "hard-sample"
    best = a.normaliser in ("hard-topk", "gumbel") or (samples and a.at_inference == "argmax")
    if key == "model.attention.temperature" and trained and best:
        way = 'set model.attention.at_inference="sample"' if samples else ""
        return _because(f'model.attention.normaliser="{a.normaliser}" reads the best at any temperature', way)
    return None


def _unused_guide(config: Config, key: str, trained: bool) -> str | None:
    if not key.startswith("train.guide_") or config.train.guide:
        return None
    return _because("train.guide is 0", "set train.guide=0.1")


Rule = Callable[[Config, str, bool], str | None]
RULES: tuple[Rule, ...] = (
    *(_unused_size, _unused_query_state, _unused_expectation, _unused_temperature),
    _unused_guide,
)
