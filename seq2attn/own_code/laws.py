"""How a law is stated and checked: a function over a small random case, which says what breaks it.

A law's name and its sentence are what the user reads when a class breaks it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from seq2attn.errors import UserError
from seq2attn.own_code.permission import one_line

Case = TypeVar("Case")
# Differences below this share of the largest number are rounding.
ROUNDING = 1e-3


class Law(NamedTuple, Generic[Case]):
    name: str
    sentence: str
    breach: Callable[[Case], str]  # what breaks the law in a case, or ""


def check(laws: Sequence[Law[Case]], case: Case, where: str, package: str = "") -> None:
    """Raise UserError, which names `where`, for the first law that is broken. A law that raises is broken:
    the message names the line of the module `package` that raised.
    """
    default = torch.get_default_dtype()
    for law in laws:
        message = f'{where} breaks the law "{law.name}": {law.sentence}; here: '
        try:
            breach = law.breach(case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit, too: it would end the command without a word
            raise UserError(message + one_line(error, package)) from error
        if torch.get_default_dtype() != default:
            torch.set_default_dtype(default)
            breach = "it calls torch.set_default_dtype, which changes all other parts"
        if breach:
            raise UserError(message + breach)


@contextmanager
def small_case() -> Iterator[None]:
    """On the CPU, with gradients, with random numbers that are always the same and disturb nobody's."""
    with (
        torch.device("cpu"),
        torch.random.fork_rng(devices=[]),
        torch.autocast("cpu", enabled=False),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        torch.manual_seed(1)
        yield


def not_registered(part: nn.Module) -> str:
    """Which attribute of a part or of its modules is a tensor or a module that torch does not know, or ""."""
    for module in part.modules():
        for name, value in vars(module).items():
            if name not in nn.Module().__dict__ and _has_tensors(value):
                return f"self.{name} of {type(module).__name__} is none of these"
    return ""


def _has_tensors(value: object) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return any(_has_tensors(one) for one in value)
    return isinstance(value, Tensor | nn.Module)


def at_start(part: nn.Module, result: Callable[[], Tensor]) -> str:
    """What is not finite where vectors and single numbers are 0 if the part does not draw them, or "". The
    parameters are drawn again afterwards.

    `model.init = "bahdanau15"` leaves vectors at 0, and every scheme leaves single numbers at 0.
    """
    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.dim() < 2:
                parameter.zero_()
        _draw_its_own(part, "bahdanau15")
        problem = not_finite(one_of_them=result())
    return problem or draw(part)


def draw(part: nn.Module) -> str:
    """Draw random parameters, as far as the part does not draw its own for `model.init = "glorot"`. Returns
    which of them is not finite, or "".
    """
    with torch.no_grad():
        for parameter in part.parameters():
            inputs = parameter.size(-1) if parameter.dim() else 1
            parameter.copy_(torch.randn(parameter.shape) / max(1, inputs) ** 0.5)
        _draw_its_own(part, "glorot")
    return not_finite(**{f"parameter {name}": parameter for name, parameter in part.named_parameters()})


def _draw_its_own(part: nn.Module, init: str) -> None:
    for module in part.modules():
        if own := getattr(module, "draw_parameters", None):
            own(init)


def difference(got: Tensor, expected: Tensor) -> str:
    """By how much two tensors differ, or "" if they do not."""
    if got.shape != expected.shape:
        return f"the shape {tuple(got.shape)}, not {tuple(expected.shape)}"
    far = (got - expected).abs().max().item()
    return "" if far <= ROUNDING * max(1.0, expected.abs().max().item()) else f"they differ by {far:.2g}"


def not_finite(**tensors: Tensor) -> str:
    """Which of the tensors is not finite, or ""."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            return f"{name.replace('_', ' ')} has a NaN or an infinity"
    return ""


def change_in_place(call: Callable[..., Any], **inputs: Tensor | None) -> str:
    """Which input a call changes in place, or ""."""
    before = {name: tensor.clone() for name, tensor in inputs.items() if tensor is not None}
    with torch.no_grad():
        call(*inputs.values())
    for name, old in before.items():
        if not torch.equal(old, inputs[name]):  # type: ignore[arg-type]
            return f"the {name} change in place"
    return ""


def gradients(part: nn.Module, result: Callable[[], Tensor], **inputs: Tensor) -> dict[str, Tensor]:
    """The gradients of a random sum of the result in training, by the name of the parameter or input. Those
    that are None are left out.
    """
    part.train()
    try:
        tensor = result()
        loss = (tensor * torch.randn(tensor.shape)).sum()
        if not loss.requires_grad:
            return {}
        leaves: dict[str, Tensor] = {
            f"parameter {name}": one for name, one in part.named_parameters() if one.requires_grad
        }
        leaves |= inputs
        results = torch.autograd.grad(loss, tuple(leaves.values()), allow_unused=True)
        return {name: one for name, one in zip(leaves, results, strict=True) if one is not None}
    finally:
        part.eval()


def without_gradient(part: nn.Module, result: Callable[[], Tensor]) -> str:
    """A parameter whose gradient is zero at the first weights and near them, or ""."""
    reached: set[str] = set()
    for noise in (0.0, 0.1):
        with torch.no_grad():
            for parameter in part.parameters():
                parameter.add_(noise * torch.randn(parameter.shape))
        reached |= {name for name, one in gradients(part, result).items() if bool(one.any())}
    for name, parameter in part.named_parameters():
        if parameter.requires_grad and f"parameter {name}" not in reached:
            return f"parameter {name} has no gradient; use it, or leave it out"
    return ""
