"""Confidence, the slow way: one sentence and one step at a time, and every pair of words."""

import itertools
import math

import torch

BOS, EOS = 2, 3


@torch.no_grad()
def step_quantities(model, source, tokens):
    """The quantities of each step by name, from single steps of the decoder on one sentence without padding.

    `source` are its ids without EOS, `tokens` those of the output.
    """
    ids = torch.tensor([[*source, EOS]])
    memory = model.encoder(ids, torch.ones_like(ids, dtype=torch.bool))
    projected, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory)
    rows, weights, last = [], [], BOS
    for token in [*tokens, EOS]:
        output, state = model.decoder.step(torch.tensor([last]), state, projected)
        p = output.logits[0].double().softmax(0).tolist()
        others = [p[i] for i in range(len(p)) if i != token]
        rows.append(
            {
                "log_p": math.log(p[token]),
                "entropy": -sum(x * math.log(x) for x in p if x > 0),
                "margin": math.log(p[token]) - math.log(max(others)),
            }
        )
        if output.weights is not None:
            layers = output.weights[0].double()
            weights.append(layers.mean(1).mean(0).tolist())
        last = token
    for t, row in enumerate(rows):
        row["entropy_before"] = rows[t - 1]["entropy"] if t else 0.0
        row["entropy_after"] = rows[t + 1]["entropy"] if t + 1 < len(rows) else 0.0
        if not weights:
            row |= {"attention_entropy": 0.0, "coverage_gap": 0.0}
            continue
        own = weights[t]
        place = own.index(max(own))
        row["attention_entropy"] = -sum(x * math.log(x) for x in own if x > 0)
        row["coverage_gap"] = abs(sum(of_step[place] for of_step in weights) - 1)
    return rows


def word_features(rows, subwords, features):
    """The features of each word. `subwords` are those of the output with a mark for each space: a word begins
    at the mark. Each of `features` is the name of a quantity and how a word combines those of its subwords.
    """
    groups = []
    for row, subword in zip(rows, subwords, strict=False):
        if subword.startswith("▁") or not groups:
            groups.append([])
        groups[-1].append(row)
    combine = {"min": min, "max": max, "sum": sum, "mean": lambda values: sum(values) / len(values)}
    return [[combine[over]([row[name] for row in group]) for name, over in features] for group in groups]


def right_counts(output, reference):
    """The fewest edits between two sequences, and the most equal words of an alignment with so few: by every
    way to go through both.
    """
    best = []

    def walk(i, j, edits, equal):
        if i == len(output) and j == len(reference):
            best.append((edits, -equal))
            return
        if i < len(output):
            walk(i + 1, j, edits + 1, equal)
        if j < len(reference):
            walk(i, j + 1, edits + 1, equal)
        if i < len(output) and j < len(reference):
            same = output[i] == reference[j]
            walk(i + 1, j + 1, edits + (not same), equal + same)

    walk(0, 0, 0, 0)
    edits, equal = min(best)
    return edits, -equal


def roc_area(values, right):
    """The share of pairs of a right and a wrong word in which the right one has the higher value; a half for
    equal values.
    """
    pairs = list(
        itertools.product(
            [value for value, is_right in zip(values, right, strict=True) if is_right],
            [value for value, is_right in zip(values, right, strict=True) if not is_right],
        )
    )
    return sum((one > other) + (one == other) / 2 for one, other in pairs) / len(pairs)


def calibration_error(probabilities, right, bins):
    """Naeini 2015, with bins [k/bins, (k+1)/bins), the last one closed."""
    total = 0.0
    for k in range(bins):
        own = [
            (p, is_right)
            for p, is_right in zip(probabilities, right, strict=True)
            if k / bins <= p < (k + 1) / bins or (k == bins - 1 and p == 1)
        ]
        if own:
            mean = sum(p for p, _ in own) / len(own)
            share = sum(is_right for _, is_right in own) / len(own)
            total += len(own) / len(right) * abs(mean - share)
    return total
