"""Answers of the page's engine against those of `explain`, which computes with torch: outputs, their
log-probabilities, attention, self-attention, candidates, the beam, and all that a request changes.
"""

import json
from pathlib import Path
from typing import Any

import explained_models
import javascript
import numpy as np
import pytest
import tiny

from seq2attn.errors import UserError
from seq2attn.explaining.explanation import explain

pytestmark = javascript.needs_node

PARTS = ["self_attention", "candidates", "beam"]
CHANGES: list[dict[str, Any]] = [
    {},
    {"beam": 1},
    {"beam": 8},
    {"prefix": [9, 20]},
    {"prefix": [9, 3]},
    {"mask": [2, 3]},
    {"attend": {"1:2": 0.7, "1:4": 0.1, "3:1": 1}},
    {"attend": {"2:1": 0}},
    {"uniform": "all"},
    {"uniform": [[1, 1]], "mask": [1]},
    {"temperature": 0.3},
    {"temperature": 4, "normaliser": "sparsemax"},
    {"normaliser": "entmax15"},
    {"normaliser": "sigmoid", "beam": 2},
    {"normaliser": "sigmoid", "attend": {"1:2": 0.4}},
    {"normaliser": "hard-topk", "attend": {"1:2": 1, "2:3": 0}},
]
FAMILIES = ("rnn", "luong", "transformer")
TOLERANCE = 2e-4  # of weights, which have 4 decimals


def same(own: Any, other: Any, where: str = "") -> None:
    """Raises AssertionError, which names the place, where two trees differ beyond rounding."""
    if isinstance(other, dict):
        assert set(own) == set(other), where
        for name in other:
            same(own[name], other[name], f"{where}.{name}")
    elif isinstance(other, list) and other and isinstance(other[0], (dict, list)):
        assert len(own) == len(other), where
        for number, (one, another) in enumerate(zip(own, other, strict=True)):
            same(one, another, f"{where}[{number}]")
    elif isinstance(other, (float, list)) and not any(isinstance(one, str) for one in np.ravel(other)):
        np.testing.assert_allclose(own, other, atol=TOLERANCE, err_msg=where)
    else:
        assert own == other, where


def paths(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The nodes of a tree by their ids from the root on: nodes of one probability may stand in any order."""
    names: list[str] = []
    for node in nodes:
        names.append(f"{names[node['parent']] if node['parent'] >= 0 else ''} {node['id']}")
    others = ({name: value for name, value in node.items() if name != "parent"} for node in nodes)
    return dict(sorted(zip(names, others, strict=True)))


def check(family: str, texts: list[str], changes: list[dict[str, Any]], folder: Path) -> None:
    translator = explained_models.translator(family, seed=3)
    requests = [{"text": text, "parts": PARTS} | change for text in texts for change in changes]
    answers = javascript.answers(translator, requests, folder)
    for request, answer in zip(requests, answers, strict=True):
        assert "error" not in answer, (request, answer)
        text = request["text"]
        others = {name: value for name, value in request.items() if name != "text"}
        own = explain(translator, text, run="run", **others).to_dict()
        assert answer["target"]["ids"] == own["target"]["ids"], request
        for one in (answer, own):
            one["beam"] = paths(one["beam"]["nodes"])
        same(answer, json.loads(json.dumps(own)), str(request))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_engine_answers_as_explain_does(family: str, tmp_path: Path) -> None:
    check(family, tiny.ENGLISH[:3], CHANGES, tmp_path)


def test_engine_answers_some_requests_as_explain_does(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"prefix": [9, 20], "mask": [2]},
        {"attend": {"1:2": 0.7}, "normaliser": "sigmoid", "temperature": 0.3},
    ]
    check("transformer", tiny.ENGLISH[:1], changes, tmp_path)
    check("luong", tiny.ENGLISH[:1], changes[1:2], tmp_path)


# a request, and what its error says
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"text": "  \u200b "}, "text: it is blank"),
    ({"text": "the " * 200}, "subwords, and at most 128"),
    ({"text": "a dog", "prefix": [2]}, "prefix 2"),
    ({"text": "a dog", "prefix": [3, 9]}, "prefix 3"),
    ({"text": "a dog", "prefix": [10**6]}, "prefix 1000000"),
    ({"text": "a dog", "prefix": [9] * 99}, "prefix: 99"),
    ({"text": "a dog", "beam": 9}, "beam 9"),
    ({"text": "a dog", "mask": [3]}, "mask 3"),
    ({"text": "a dog", "mask": [1, 2]}, "mask 1,2"),
    ({"text": "a dog", "mask": [0]}, "mask 0"),
    ({"text": "a dog", "attend": {"1:3": 0.5}}, "attend"),
    ({"text": "a dog", "attend": {"1:1": 1.5}}, "attend 1:1"),
    ({"text": "a dog", "attend": {"0:1": 0.5}}, "attend 0:1"),
    ({"text": "a dog", "attend": {"1:1": 0.5}, "mask": [1]}, "attend 1:1"),
    ({"text": "a dog", "attend": {"1:1": 0.6, "1:2": 0.6}}, "attend"),
    ({"text": "a dog", "uniform": [[1, 2]]}, "uniform 1.2"),
    ({"text": "a dog", "temperature": 0}, "temperature 0"),
    ({"text": "a dog", "normaliser": "hard"}, "normaliser hard"),
]


def test_engine_refuses_what_explain_refuses(tmp_path: Path) -> None:
    translator = explained_models.translator("rnn")
    answers = javascript.answers(translator, [request for request, _ in WRONG], tmp_path)
    for (request, message), answer in zip(WRONG, answers, strict=True):
        assert list(answer) == ["error"], request
        assert message in answer["error"], request
        assert "\n" not in answer["error"]
        others = {name: value for name, value in request.items() if name != "text"}
        with pytest.raises(UserError):
            explain(translator, request["text"], **others)
