"""Minutes of training until greedy BLEU on the whole validation set passes 35 and 38.

    python tests/benchmarks/speedrun.py --data MULTI30K --out SPEEDRUN [--recipes last ...] [--seeds 1 2 3]

A recipe is a preset with changes; each recipe has the changes of the one before it, too, so that a row shows
what its own changes bring. MULTI30K is the corpus (or a prepared folder, which then decides the vocabulary).
Time is that of updates alone: validation measures and is not part of the work. A model ends as one file,
SPEEDRUN/RECIPE-SEED.json; what is there is not made again. Have the machine to yourself.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # a checkout that is not installed

import seq2attn
from seq2attn.training.events import Update, Validation

PASSES = (35.0, 38.0)  # BLEU
EVERY = 50  # updates between validations
MEASURED = {"search.beam": 1, "train.validate_sentences": 100_000, "train.validate_every": EVERY}


class Recipe(NamedTuple):
    """What changes beside the recipe before it."""

    preset: str
    changes: dict[str, Any]


RECIPES = {
    "transformer": Recipe("transformer", {}),
    "small vocabulary": Recipe("transformer", {"data.vocab_size": 2000}),
}


def settings(name: str) -> dict[str, Any]:
    """All changes up to a recipe."""
    changes: dict[str, Any] = {}
    for one, recipe in RECIPES.items():
        changes |= recipe.changes
        if one == name:
            return changes
    raise KeyError(name)


def run(name: str, seed: int, data: str, out: Path) -> dict[str, Any]:
    """Train until the last score is passed. Returns seconds and updates at each, and the curve."""
    seconds, last, curve = 0.0, 0.0, list[tuple[int, float, float]]()
    changes = settings(name) | MEASURED | {"train.seed": seed}
    place = out / f"{name.replace(' ', '-')}-{seed}"
    preset = RECIPES[name].preset
    with seq2attn.training_session(preset, data, place, changes, force=True, device="cpu") as training:
        for event in training.events():
            if isinstance(event, Update):
                seconds += event.elapsed - last
                last = event.elapsed
            elif isinstance(event, Validation):
                last = event.elapsed
                bleu = event.scores["bleu"]
                curve.append((event.step, round(seconds, 1), round(bleu, 2)))
                if bleu >= PASSES[-1]:
                    training.stop()
    return {"recipe": name, "seed": seed, "curve": curve}


def minutes_to(curve: list[tuple[int, float, float]], score: float) -> float | None:
    """The minutes at the first validation with that score; None if there is none."""
    return next((seconds / 60 for _, seconds, bleu in curve if bleu >= score), None)


def table(out: Path) -> str:
    """The minutes of each recipe: the mean over its seeds, and the slowest."""
    lines = ["| recipe | seeds | " + " | ".join(f"minutes to {score:g}" for score in PASSES) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(PASSES))
    for name in RECIPES:
        results = [
            json.loads(file.read_text()) for file in sorted(out.glob(f"{name.replace(' ', '-')}-*.json"))
        ]
        cells = []
        for score in PASSES:
            minutes = [minutes_to(one["curve"], score) for one in results]
            known = [value for value in minutes if value is not None]
            text = f"{statistics.mean(known):.1f} ({max(known):.1f})" if known else "never"
            cells.append(text if len(known) == len(minutes) else f"{text}, {len(known)} of {len(minutes)}")
        if results:
            lines.append(f"| {name} | {len(results)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", choices=[*RECIPES, "last"], default=["last"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.recipes:
        recipe = list(RECIPES)[-1] if name == "last" else name
        for seed in options.seeds:
            file = options.out / f"{recipe.replace(' ', '-')}-{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(run(recipe, seed, options.data, options.out)))
    print(table(options.out))


if __name__ == "__main__":
    main()
