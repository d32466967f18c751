"""One output of a model with all that explains it: attention by layer and head, what each step could have
written, the beam, self-attention, attribution and confidence. A request may change the search or the
attention first. What the explorer shows is an `Explanation` as JSON.

The output is searched for as `translate` and `caption` do. All numbers beside the beam are those of the
output forced on the same model, in one pass. Shapes: T steps with that of the end token, S source positions
(subwords with the end token, cells of an image, or frames of a clip), L layers, H heads, N entries of the
target vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.data.tokenizer import BOS, EOS, UNK
from seq2attn.errors import UsageError, UserError
from seq2attn.explaining.beam_tree import BeamNode, BeamRecorder
from seq2attn.explaining.explain_request import MOST_BEAM, ExplainRequest
from seq2attn.explaining.explained_sources import ExplainedSource, SourceReader, reader_of
from seq2attn.explaining.other_normaliser import with_normaliser
from seq2attn.inference import Captioner, SearchOptions, Translator
from seq2attn.inference.confidence import probabilities, step_quantities, word_features
from seq2attn.inference.encoding import pad
from seq2attn.inference.predictor import BANNED, NO_NUMBERS
from seq2attn.inference.results import Weights
from seq2attn.models.state import select
from seq2attn.runs.calibration import NAME as CALIBRATION
from seq2attn.runs.choice import AttentionChoice
from seq2attn.search.beam import beam_search
from seq2attn.search.constraints import Limits
from seq2attn.search.sampling import seed_of
from seq2attn.search.step import Hypothesis, NonFiniteProbabilities

FORMAT = 1  # of the JSON; a higher number is from a newer program
CANDIDATES = 8  # of each step
ATTRIBUTION = "integrated gradients"
_DECIMALS, _LOG_DECIMALS = 4, 6


class Candidate(NamedTuple):
    """A token that a step could have written."""

    id: int
    subword: str
    probability: float


@dataclass(frozen=True)
class ExplainedOutput:
    """The output of an explanation."""

    text: str
    words: list[str]
    subwords: list[str]  # with the end token
    ids: list[int]  # with EOS
    word_of: list[int]  # of each subword, from 0; -1: none
    log_probabilities: list[float]  # of each step, given those before it; natural log
    finished: bool  # False: cut at the maximum length
    forced: int  # steps that the request's prefix wrote

    @property
    def log_probability(self) -> float:
        """Of the whole output with its end."""
        return sum(self.log_probabilities)

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "words": self.words,
            "subwords": self.subwords,
            "ids": self.ids,
            "word_of": self.word_of,
            "log_probabilities": [round(log_p, _LOG_DECIMALS) for log_p in self.log_probabilities],
            "log_probability": round(self.log_probability, _LOG_DECIMALS),
            "finished": self.finished,
            "forced": self.forced,
        }


@dataclass(frozen=True)
class Explanation:
    """An output with what explains it. What was not asked for, and what the model does not have, is None."""

    run: str  # the name that the request gave it
    kind: str  # of the decoder: "rnn", "conv" or "transformer"
    languages: tuple[str | None, str | None]
    source: ExplainedSource
    target: ExplainedOutput
    attention: Weights | None  # (L, H, T, S), at the step that writes the token
    choice: AttentionChoice | None  # which of them the run shows where nobody chooses; None: the mean
    encoder_self_attention: Weights | None = None  # (L, H, S, S)
    decoder_self_attention: Weights | None = None  # (L, H, T, T): row and column 0 are of the start token
    # the best of each step by the probability of the model, without tokens that a search never writes
    candidates: list[list[Candidate]] | None = None
    beam: list[BeamNode] | None = None
    # of each target word; None, too, for a run that is not calibrated, or where the request changes attention
    confidence: NDArray[np.float64] | None = None
    # (target words, source words), by ATTRIBUTION, nats; None, too, for images and with mask, attend, uniform
    attribution: Weights | None = None

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON has it: see docs/explorer.md."""
        return {
            "format": FORMAT,
            "run": self.run,
            "kind": self.kind,
            "languages": list(self.languages),
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            "attention": self._attention(),
            "self_attention": self._self_attention(),
            "candidates": None if self.candidates is None else list(map(_of_step, self.candidates)),
            "beam": None if self.beam is None else {"nodes": list(map(_node, self.beam))},
            "confidence": _rounded(self.confidence),
            "attribution": None
            if self.attribution is None
            else {"method": ATTRIBUTION, "weights": _rounded(self.attribution)},
        }

    def _attention(self) -> dict[str, Any] | None:
        if self.attention is None:
            return None
        layers, heads = self.attention.shape[:2]
        choice = None if self.choice is None else self.choice._asdict()
        return {"layers": layers, "heads": heads, "weights": _rounded(self.attention), "choice": choice}

    def _self_attention(self) -> dict[str, Any] | None:
        both = {"encoder": self.encoder_self_attention, "decoder": self.decoder_self_attention}
        if all(one is None for one in both.values()):
            return None
        return {name: _rounded(one) for name, one in both.items()}


def explain(predictor: Translator | Captioner, source: Any, *, run: str = "", **request: Any) -> Explanation:
    """The best output for a text or an image, with what explains it.

        translator = seq2attn.load("runs/mine")
        done = seq2attn.explain(translator, "a big dog runs", parts=["candidates", "beam"])
        done.target.text, done.attention.shape, done.to_dict()

    `source` is a text for a `Translator`; for a `Captioner` the path of an image, the bytes of its file, or
    the result of `load_pixels`. `run` is a name that the answer repeats. The keywords of `request` are the
    fields of `ExplainRequest`: `prefix` (target ids) and `beam` steer the search; `mask`, `attend`,
    `uniform`, `temperature` and `normaliser` change the attention in every step of it; `parts` says what the
    answer holds beside the output and its attention: "self_attention", "candidates", "beam", "attribution",
    "confidence", "picture".

    The model of the predictor stays as it is. Calls for one predictor must come one at a time.

    Raises UsageError, which names the field, for a request that makes no sense, does not fit the model or is
    too large; for an ensemble; UserError for what is no image, and for a model with probabilities that are no
    numbers.
    """
    asked_for = ExplainRequest.of(request)
    if len(predictor.models) > 1:
        raise UsageError("run: an explanation is of one run, and this is an ensemble", setting="run")
    changes = asked_for.changes()
    if changes and not predictor.attends:
        raise UsageError(f"{changes[0]}: the model has no attention to change", setting=changes[0])
    reader = reader_of(predictor, source)
    _check_prefix(asked_for, reader)
    changed: Any = predictor
    if asked_for.changes_normaliser:
        config = predictor.config.model.attention
        other = with_normaliser(predictor.models[0], config, asked_for.temperature, asked_for.normaliser)
        changed = reader.with_model(other)
    experiment = asked_for.experiment
    if experiment:
        changed = reader.with_experiment(changed, experiment)
    try:
        with changed.inference_mode():
            work = _Work(reader, changed, asked_for)
            parts = work.parts()
    except NonFiniteProbabilities:
        raise UserError(NO_NUMBERS) from None
    if "attribution" in asked_for.parts and not experiment:
        parts["attribution"] = reader.attribution(changed, work.ids[:-1], work.text)
    return Explanation(
        run,
        predictor.config.model.decoder.kind,
        predictor.languages,
        reader.with_pictures() if "picture" in asked_for.parts else reader.source,
        **parts,
        choice=predictor.choice if predictor.attends else None,
    )


def _check_prefix(request: ExplainRequest, reader: SourceReader[Any]) -> None:
    """Raise UsageError for ids that the vocabulary or an output lacks, or that are too many. EOS may come
    last: the output ends there.
    """
    size, last = reader.predictor.target_tokenizer.size, len(request.prefix) - 1
    for place, token in enumerate(request.prefix):
        if token >= size:
            raise UsageError(f"prefix {token}: the vocabulary has {size:,} tokens", setting="prefix")
        if (token in BANNED and token != UNK) or (token == EOS and place < last):
            name = reader.predictor.target_tokenizer.subwords([token])[0]
            raise UsageError(f"prefix {token}: no output holds {name} there", setting="prefix")
    if len(request.prefix) > reader.limit:
        problem = f"{len(request.prefix)} tokens, and an output has at most {reader.limit}"
        raise UsageError(f"prefix: {problem}", setting="prefix")


class _Work:
    """The output of a request and the pass in which it is forced, in the inference mode of its predictor."""

    def __init__(self, reader: SourceReader[Any], predictor: Any, request: ExplainRequest) -> None:
        self.reader, self.predictor, self.request = reader, predictor, request
        self.read, self.seed = reader.read(predictor), seed_of(SearchOptions().seed, 0)
        self.recorder: BeamRecorder | None = None
        self.hypothesis = self._search()
        tokenizer = predictor.target_tokenizer
        self.ids = [*self.hypothesis.tokens, EOS]
        self.text = tokenizer.decode(self.ids[:-1])
        (self.memory,) = predictor.encode([[self.read]], [self.seed])
        decoder = predictor.models[0].decoder
        self.inputs_BT = torch.tensor([[BOS, *self.ids[:-1]]], device=predictor.device)
        hidden = decoder.hidden_states(self.inputs_BT, self.memory, True)
        self.weights_TLHS = None if hidden.weights_BTLHS is None else hidden.weights_BTLHS[0]
        logits_BTN = decoder.logits(hidden.features_BTD, hidden.copies)
        self.log_p_TN = logits_BTN[0].float().log_softmax(-1)
        if self.log_p_TN.isnan().any():
            raise NonFiniteProbabilities

    def _search(self) -> Hypothesis:
        """The best output, with the bits that `translate` gives: in a batch of as many sources."""
        predictor, request, group = self.predictor, self.request, self.reader.predictor.group
        beam = request.beam or min(predictor.config.search.beam, MOST_BEAM)
        options = SearchOptions(beam=beam).resolved(predictor.config.search)
        limit_B = torch.tensor([self.reader.limit] * group, device=predictor.device)
        prefix_BP = pad([request.prefix] * group, -1) if request.prefix else None
        limits = Limits(limit_B, BOS, EOS, BANNED, prefix_BP=prefix_BP, **options.limits())
        if "beam" in request.parts:
            own = None if prefix_BP is None else prefix_BP[:1]
            self.recorder = BeamRecorder(limits._replace(max_length_B=limit_B[:1], prefix_BP=own), beam)
        memories = predictor.encode([[self.read] * group], [self.seed] * group)
        ensemble = predictor.ensemble

        def step(token_R: Tensor, state: tuple[Any, Tensor]) -> tuple[Tensor, Any, Tensor | None]:
            of_model, row_R = state  # `row_R`: the row of the step before that each row extends
            logits_RN, of_model, weights = ensemble.step(token_R, of_model, True)
            if self.recorder is not None:
                self.recorder.record(token_R, row_R, logits_RN)
            return logits_RN, (of_model, torch.arange(len(token_R), device=token_R.device)), weights

        start = torch.arange(group * beam, device=predictor.device)
        state = ensemble.initial_state(memories, beam), start
        keywords = {"select": select, "batch_multiple": group, **options.keywords()}
        return beam_search(step, state, limits, **keywords)[0][0]

    def parts(self) -> dict[str, Any]:
        """The fields of the explanation, but for those of the whole request."""
        attention = None
        if self.weights_TLHS is not None:
            attention = _array(self.reader.of_positions(self.weights_TLHS.permute(1, 2, 0, 3)))
        fields: dict[str, Any] = {"target": self._target(), "attention": attention}
        asked_for = self.request.parts
        if "self_attention" in asked_for:
            fields |= self._self_attention()
        if "candidates" in asked_for:
            fields["candidates"] = self._candidates()
        if self.recorder is not None:
            nodes = self.recorder.tree(self.ids[:-1])
            subwords = self.predictor.target_tokenizer.subwords([node.id for node in nodes])
            fields["beam"] = [replace(node, subword=own) for node, own in zip(nodes, subwords, strict=True)]
        if "confidence" in asked_for:
            fields["confidence"] = self._confidence()
        return fields

    def _target(self) -> ExplainedOutput:
        tokenizer, ids = self.predictor.target_tokenizer, self.ids
        of_steps = self.log_p_TN.double().gather(1, torch.tensor(ids, device=self.log_p_TN.device)[:, None])
        return ExplainedOutput(
            self.text,
            self.text.split(),
            tokenizer.subwords(ids),
            ids,
            [*tokenizer.word_index(ids[:-1]), -1],
            of_steps[:, 0].tolist(),
            self.hypothesis.finished,
            len(self.request.prefix),
        )

    def _self_attention(self) -> dict[str, Weights | None]:
        model = self.predictor.models[0]
        layers = model.encoder.self_attention(*self.predictor.encoder_input(0, [self.read]))
        size = len(self.reader.source.subwords) or self.reader.source.frames
        encoder = torch.stack(layers, 1)[0][..., :size, :size] if layers else None
        decoder = model.decoder.self_attention(self.inputs_BT, self.memory)
        return {
            "encoder_self_attention": None if encoder is None else _array(encoder),
            "decoder_self_attention": None if decoder is None else _array(decoder[0]),
        }

    def _candidates(self) -> list[list[Candidate]]:
        p_TN = self.log_p_TN.exp()
        p_TN[:, list(BANNED)] = -1.0
        best_TK, id_TK = p_TN.topk(min(CANDIDATES, p_TN.size(1) - len(BANNED)))
        subwords = self.predictor.target_tokenizer.subwords
        return [
            [Candidate(*one) for one in zip(ids, subwords(ids), best, strict=True)]
            for ids, best in zip(id_TK.tolist(), best_TK.tolist(), strict=True)
        ]

    def _confidence(self) -> NDArray[np.float64] | None:
        predictor = self.predictor  # a changed one has no run: the run is calibrated as it is
        if predictor.run is None or not (predictor.run / CALIBRATION).exists():
            return None
        output = self.ids[:-1]
        [steps] = step_quantities(predictor.models[0].decoder, self.memory, [output])
        numbers = predictor.target_tokenizer.word_index(output)
        return probabilities(word_features(steps, numbers, len(self.text.split())), predictor.calibration())


def _of_step(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    return [one._replace(probability=round(one.probability, _LOG_DECIMALS))._asdict() for one in candidates]


def _node(node: BeamNode) -> dict[str, Any]:
    return vars(node) | {"log_probability": round(node.log_probability, _LOG_DECIMALS)}


def _array(weights: Tensor) -> Weights:
    array: Weights = weights.float().cpu().numpy()
    return array


def _rounded(weights: NDArray[Any] | None) -> Sequence[Any] | None:
    """Nested lists, as JSON has them."""
    return None if weights is None else np.round(weights.astype(np.float64), _DECIMALS).tolist()
