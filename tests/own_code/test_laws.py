"""A class that breaks a law is refused with the law's name; classes of the project obey all of them."""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2attn.attention.attention import Attention
from seq2attn.attention.normalisers import AttentionWeights, Normaliser, build_normaliser, softmax
from seq2attn.attention.scores import ProductScore, Score, build_score
from seq2attn.config import SCORES, AttentionConfig
from seq2attn.errors import UserError
from seq2attn.kernels.deferred_gradients import Linear
from seq2attn.own_code import allow_code
from seq2attn.own_code.laws import check, small_case
from seq2attn.own_code.normaliser_laws import NORMALISER_LAWS, normaliser_case
from seq2attn.own_code.score_laws import SCORE_LAWS, score_case


class General(Score):
    """A lawful score, which the others here spoil."""

    def __init__(self, query_size: int, key_size: int, size: int, history_size: int) -> None:
        super().__init__(None, Linear(key_size, query_size, bias=False), history_size)

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.mT


class Registered(General):
    def __init__(self, *sizes: int, **named: int) -> None:
        super().__init__(*sizes, **named)
        self.maps = [nn.Linear(3, 3)]  # torch neither trains nor saves what is in a list


class FirstWeights(General):
    def draw_parameters(self, init: str) -> None:
        nn.init.constant_(self.key.weight, float("inf"))  # type: ignore[union-attr, arg-type]


class Shape(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return keys @ query.mT


class Raises(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys


class Finite(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys).log()


class Start(General):
    def __init__(self, *sizes: int, **named: int) -> None:
        super().__init__(*sizes, **named)
        self.t = nn.Parameter(torch.ones(()))

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys) / self.t


class StartDrawn(Start):
    def draw_parameters(self, init: str) -> None:
        nn.init.ones_(self.t)


class Inputs(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.mul_(2).mT


class Heads(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys)

    def project_keys(self, memory: Tensor) -> Tensor:
        return super().project_keys(memory) * memory.dim()


class OneStep(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query - query.mean(-2, keepdim=True), keys)


class Batch(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys) / len(query)


class Padding(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys - keys.mean(-2, keepdim=True))


class History(General):
    def forward(self, query: Tensor, keys: Tensor, features: Tensor | None = None) -> Tensor:
        return self.compare(query, keys)


class Gradient(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        scores = super().compare(query, keys)
        return scores + (scores - scores.detach()).abs().sqrt()


class Parameters(General):
    def __init__(self, *sizes: int, **named: int) -> None:
        super().__init__(*sizes, **named)
        self.unread = nn.Parameter(torch.zeros(3))


class Half(General):
    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys) * (1 if keys.dtype == torch.float32 else 3)


SCORE_BREACHES = {
    "registered": Registered,
    "first weights": FirstWeights,
    "shape": Shape,
    "finite": Finite,
    "start": Start,
    "inputs": Inputs,
    "heads": Heads,
    "one step": OneStep,
    "batch": Batch,
    "padding": Padding,
    "history": History,
    "gradient": Gradient,
    "parameters": Parameters,
    "half precision": Half,
}


class Lawful(Normaliser):
    def forward(self, scores: Tensor, mask: Tensor, history: Any = None) -> AttentionWeights:
        return AttentionWeights(self.weights(self.prepare_scores(scores), mask))

    def weights(self, e: Tensor, mask: Tensor) -> Tensor:
        return softmax(e, mask)


def normaliser(weights: Callable[[Tensor, Tensor], Tensor], **names: object) -> type[Normaliser]:
    """A class whose weights are a function of scores and mask."""
    return type("Own", (Lawful,), {"weights": lambda self, e, mask: weights(e, mask), **names})


class NoTemperature(Lawful):
    def prepare_scores(self, scores: Tensor) -> Tensor:
        return scores.float()


class ResultIsATensor(Lawful):
    def forward(self, scores: Tensor, mask: Tensor, history: Any = None) -> AttentionWeights:
        return softmax(scores.float(), mask)  # type: ignore[return-value]


class NarrowWeights(Lawful):
    def prepare_scores(self, scores: Tensor) -> Tensor:
        return scores / self.temperature


class UnreadParameter(Lawful):
    def __init__(self, temperature: float) -> None:
        super().__init__(temperature)
        self.unread = nn.Parameter(torch.zeros(3))


class UnknownTensor(Lawful):
    def __init__(self, temperature: float) -> None:
        super().__init__(temperature)
        self.unknown = torch.ones(3)


class LearnedTemperature(Lawful):
    def __init__(self, temperature: float) -> None:
        super().__init__(temperature)
        self.t = nn.Parameter(torch.ones(()))

    def weights(self, e: Tensor, mask: Tensor) -> Tensor:
        return softmax(e / self.t, mask)


class BadFirstWeights(UnreadParameter):
    def draw_parameters(self, init: str) -> None:
        raise ValueError(init)


def in_place(e: Tensor, mask: Tensor) -> Tensor:
    weights = softmax(e, mask)
    with torch.no_grad():
        e.add_(1)
    return weights


NORMALISER_BREACHES = {
    "registered": UnknownTensor,
    "first weights": BadFirstWeights,
    "no draws": normaliser(softmax, draws=True),
    "result": ResultIsATensor,
    "start": LearnedTemperature,
    "shape": normaliser(lambda e, mask: softmax(e, mask)[..., :-1]),
    "inputs": normaliser(in_place),
    "padding": normaliser(lambda e, mask: e.softmax(-1)),
    "range": normaliser(lambda e, mask: e.masked_fill(~mask, 0.0)),
    "sum": normaliser(lambda e, mask: e.sigmoid() * mask),
    "empty row": normaliser(lambda e, mask: e.masked_fill(~mask, -torch.inf).softmax(-1)),
    "masked scores": normaliser(lambda e, mask: softmax(e * e.amax(-1, keepdim=True), mask)),
    "one step": normaliser(lambda e, mask: softmax(e * e.size(-2), mask)),
    "batch": normaliser(lambda e, mask: softmax(e * len(e), mask)),
    "temperature": NoTemperature,
    "large scores": normaliser(
        lambda e, mask: e.exp() * mask / (e.exp() * mask).sum(-1, keepdim=True).clamp_min(1e-30)
    ),
    "gradient": normaliser(lambda e, mask: softmax(e.detach(), mask)),
    "parameters": UnreadParameter,
    "half precision": NarrowWeights,
}


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type], str]]:
    """Puts a class into a module, and returns its name for a setting."""

    def put(one: type) -> str:
        module = types.ModuleType("somebodys")
        module.Own = one  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "somebodys", module)
        return "somebodys:Own"

    with allow_code():
        yield put


def score_of(code: str, history: str = "coverage") -> Score:
    settings = AttentionConfig.model_validate({"score": code, "history": history})
    return build_score(settings, 6, 8, 4, 1 if history != "none" else 0)


@pytest.mark.parametrize("law", [law.name for law in SCORE_LAWS])
def test_score_that_breaks_a_law_is_refused_by_name(law: str, offer: Callable[[type], str]) -> None:
    with pytest.raises(UserError) as refusal:
        score_of(offer(SCORE_BREACHES[law]))
    assert str(refusal.value).startswith(f'model.attention.score="somebodys:Own" breaks the law "{law}": ')
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("law", [law.name for law in NORMALISER_LAWS])
def test_normaliser_that_breaks_a_law_is_refused_by_name(law: str, offer: Callable[[type], str]) -> None:
    settings = AttentionConfig.model_validate({"normaliser": offer(NORMALISER_BREACHES[law])})
    with pytest.raises(UserError) as refusal:
        build_normaliser(settings)
    where = 'model.attention.normaliser="somebodys:Own"'
    assert str(refusal.value).startswith(f'{where} breaks the law "{law}": ')
    assert "\n" not in str(refusal.value)


def test_law_that_raises_says_what(offer: Callable[[type], str]) -> None:
    with pytest.raises(UserError, match=r'law "shape".*; here: RuntimeError: '):
        score_of(offer(Raises))
    with pytest.raises(UserError, match=r"; here: NotImplementedError: write compare\(self, query, keys\)"):
        score_of(offer(type("Own", (General,), {"compare": Score.compare})))


def test_law_that_exits_is_broken(offer: Callable[[type], str]) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError

    for error in (SystemExit(0), GeneratorExit(), Unspeakable()):

        def compare(self: Score, query: Tensor, keys: Tensor, error: BaseException = error) -> Tensor:
            raise error

        with pytest.raises(UserError, match=f'law "shape".*; here: {type(error).__name__}: '):
            score_of(offer(type("Own", (General,), {"compare": compare})))


def test_class_that_changes_the_default_type_is_refused(offer: Callable[[type], str]) -> None:
    def compare(self: Score, query: Tensor, keys: Tensor) -> Tensor:
        torch.set_default_dtype(torch.float64)
        return query @ keys.mT

    with pytest.raises(UserError, match=r"calls torch\.set_default_dtype"):
        score_of(offer(type("Own", (General,), {"compare": compare})))
    assert torch.get_default_dtype() == torch.float32


def test_lawful_classes_are_taken(offer: Callable[[type], str]) -> None:
    for history in ("none", "coverage"):
        assert type(score_of(offer(General), history)) is General
        assert type(score_of(offer(StartDrawn), history)) is StartDrawn
    settings = AttentionConfig.model_validate({"normaliser": offer(Lawful), "temperature": 2.0})
    assert build_normaliser(settings).temperature == 2
    loose = offer(normaliser(lambda e, mask: e.sigmoid() * mask, sums_to_one=False))
    build_normaliser(AttentionConfig.model_validate({"normaliser": loose}))


def test_check_leaves_random_numbers_and_the_device_alone(offer: Callable[[type], str]) -> None:
    code = offer(General)
    score_of(code)
    torch.manual_seed(3)
    General(6, 8, 4, 1)
    expected = torch.rand(3)
    torch.manual_seed(3)
    score_of(offer(type("Own", (General,), {})))  # a new class, which is checked
    assert torch.equal(torch.rand(3), expected)
    with torch.device("meta"):
        assert score_of(offer(type("Own", (General,), {}))).key.weight.is_meta  # type: ignore[union-attr]


@pytest.mark.parametrize("sizes", [{}, {"heads": 2}])
def test_own_class_is_never_computed_by_a_fused_call(
    sizes: dict[str, int], offer: Callable[[type], str]
) -> None:
    """Although it says that it is a product: its `compare` is another one."""

    class Doubled(ProductScore):
        def __init__(self, query_size: int, key_size: int, size: int, history_size: int) -> None:
            super().__init__(history_size=history_size)

        def compare(self, query: Tensor, keys: Tensor) -> Tensor:
            return 2 * super().compare(query, keys)

    settings = AttentionConfig.model_validate({"score": offer(Doubled), **sizes})
    attention = Attention(settings, 6, 6, 6, 6).eval()
    memory = attention.project_memory(torch.randn(2, 5, 6), torch.randn(2, 5, 6), torch.ones(2, 5).bool())
    query = torch.randn(2, 3, 6)
    context = attention(query, memory, weights=False).context
    assert torch.equal(context, attention(query, memory).context)
    assert not attention.can_fuse
    soft = AttentionConfig.model_validate({"score": "dot", "normaliser": offer(Lawful)})
    assert not Attention(soft, 6, 6, 6, 6).can_fuse


@pytest.mark.parametrize("name", [name for name in SCORES if name not in ("keyed", "concat-location")])
@pytest.mark.parametrize("history_size", [0, 2])
def test_scores_of_the_project_obey_the_laws(name: str, history_size: int) -> None:
    with small_case():
        score = build_score(AttentionConfig.model_validate({"score": name}), 6, 6, 5, history_size)
        check(SCORE_LAWS, score_case(score, 6, 6, history_size), name)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk", "gumbel"])
def test_normalisers_of_the_project_obey_the_laws(name: str) -> None:
    with small_case():
        check(
            NORMALISER_LAWS,
            normaliser_case(
                lambda temperature: build_normaliser(
                    AttentionConfig.model_validate({"normaliser": name, "temperature": temperature})
                )
            ),
            name,
        )
