"""The batch size of a run whose setting is "auto": it becomes a number before the first update, and stays.

`training.batch_size` finds it. The number is in the run's config.json, so that a resumed training, a scoring
and another machine read what this one computed with.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from seq2attn import config
from seq2attn.config import BATCH_TOKENS, Config
from seq2attn.errors import UsageError
from seq2attn.notes import note

if TYPE_CHECKING:
    from seq2attn.data.batches import Pairs
    from seq2attn.devices import Format
    from seq2attn.models.seq2seq import Seq2Seq
    from seq2attn.runs.directory import Run
    from seq2attn.training.distributed import World


def of_preset(preset_or_file: str) -> int:
    """The number of a preset or file without the user's changes; the default where it has none."""
    try:
        tokens = config.load(preset_or_file).train.batch_tokens
    except UsageError:  # with the changes it is valid
        return BATCH_TOKENS
    return BATCH_TOKENS if tokens == "auto" else tokens


def with_batch_tokens(settings: Config, tokens: int) -> Config:
    train = settings.train.model_copy(update={"batch_tokens": tokens})
    return settings.model_copy(update={"train": train})


def number_of_run(settings: Config, old: Config) -> Config:
    """The settings of a resumed run. It keeps its number, where they say "auto"."""
    tokens = old.train.batch_tokens
    if settings.train.batch_tokens != "auto" or tokens == "auto":
        return settings
    note(f"train.batch_tokens=auto stays {tokens:,}, the number of this run")
    return with_batch_tokens(settings, tokens)


def with_number(
    run: "Run", model: "Seq2Seq", pairs: "Pairs", world: "World", format: "Format", usual: int
) -> "Run":
    """The run with a number in place of "auto", and its config.json written. All processes must call it.

    `usual` is the number of the preset, which is that on a CPU, and the first that is tried on a device.
    """
    from seq2attn.runs.directory import write_config
    from seq2attn.training.batch_size import find_batch_size

    if run.config.train.batch_tokens != "auto":
        return run
    tokens = usual
    if world.device.type == "cpu":
        note(
            f"train.batch_tokens=auto is {tokens:,}, the number of the preset: on a CPU larger batches are "
            "no faster"
        )
    else:
        size = find_batch_size(model, pairs, run.config.train, world, format, usual)
        tokens = size.tokens
        limit = "what the memory holds" if size.by_memory else "the data: an epoch keeps 16 updates"
        note(f"train.batch_tokens=auto is {tokens:,} on {world.device}; the limit is {limit}")
    changed = replace(run, config=with_batch_tokens(run.config, tokens))
    world.run_on_main(lambda: write_config(changed))
    return changed
