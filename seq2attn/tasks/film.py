"""The attention of a run over its training, from its log, beside the curves of its metrics."""

from pathlib import Path
from typing import NamedTuple

from seq2attn.errors import UsageError, UserError
from seq2attn.inference.attention_history import scenes
from seq2attn.inference.heads import Heads, head_title
from seq2attn.plotting.charts import Chart
from seq2attn.plotting.scene import Scene
from seq2attn.runs import attention_log
from seq2attn.runs.choice import AttentionChoice, remembered
from seq2attn.runs.directory import open_run
from seq2attn.tasks import curves


class Film(NamedTuple):
    """What there is to draw, and its name for people."""

    scenes: list[Scene]
    steps: list[int]
    charts: list[Chart]  # one at least
    attention: str  # such as "layer 1, head 2", or that of the remembered choice


def of_run(run: str, heads: Heads, words: bool | None = None) -> Film:
    """The attention of a run at each of its validations.

    That is the attention of one layer and head or, where `heads` names none, what the run remembers, or the
    mean. Raises UsageError if there is no such layer or head, and UserError for a run without the log of
    attention, and for a log that is damaged.
    """
    if heads.several:
        raise UsageError(
            "head all: a film shows one attention: give the number of a layer and of a head", setting="head"
        )
    path = Path(run)
    open_run(path, trained=False)
    history = attention_log.read(path)
    layers, count = history.weights[0][0].shape[:2]
    if heads.any:
        heads.check(run, layers, count)
        [(layer, head)] = heads.expand(layers, count)
        choice: AttentionChoice | None = AttentionChoice(layer, head)
        title = head_title(layer, head, layers, count)
    else:
        choice = remembered(path)
        if choice is not None:
            choice.check(path, layers, count)
        title = str(choice) if choice is not None else ""
    charts, _ = curves.of_one(run)
    if not charts:
        raise UserError(f"{path}/metrics.jsonl: has no loss and no score, only speed; restore it")
    return Film(scenes(history, choice, words), history.steps, charts, title)
