"""The laws that every model obeys, of whichever family its encoder and its decoder are: a law is a function
here, and `test_laws.py` runs it over all families. What a family alone promises stands in its own tests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import reference
import torch
from models.families import SIDE
from named_weights import recipe, weights
from recipes import SOURCE, TARGET
from reference.recipe import Decoded, Encoded
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.attention import Attention
from seq2attn.models.memory import DecoderOutput, mean_attention
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select
from seq2attn.training.objectives import reinforce

LENGTHS = [4, 1, 3]  # of the sources: tokens, or frames of clips
B, S, T = 3, 4, 5
STEP = 1e-6  # of finite differences


class Batch(NamedTuple):
    source: Tensor  # ids (B, S), bytes of images (B, 3, Y, X) or of clips (B, F, 3, Y, X)
    mask: Tensor  # (B, S), (B, 1) or (B, F)
    inputs_BT: Tensor

    @property
    def has_padding(self) -> bool:
        return not bool(self.mask.all())

    def rows(self, rows: slice, length: int) -> "Batch":
        """Some of the sentences, with `length` positions of each."""
        source = self.source[rows, :length] if self.has_padding else self.source[rows]
        return Batch(source, self.mask[rows, :length], self.inputs_BT[rows])


def source_size(settings: config.ModelConfig) -> int:
    if settings.images:
        return 0
    return TARGET if settings.tied == "all" else SOURCE


def random_model(settings: config.ModelConfig) -> Seq2Seq:
    """With weights large enough for every part to matter, biases included; but an encoder of images has its
    first ones.
    """
    model = build(settings, source_size(settings), TARGET).eval()
    for parameter in (model.decoder if settings.images else model).parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    if model.decoder.pointer is not None:
        model.decoder.pointer.share_vocabulary(target_of(source_size(settings)))
    return model


def target_of(size: int) -> Tensor:
    """The target tokens of source tokens: others, and one that two source tokens share."""
    return 4 + torch.arange(size) * 2 % 3


def text_batch(lengths: Sequence[int] = LENGTHS, targets: int = T) -> Batch:
    """Padding holds any id. A source has no id twice: hard weights of equal keys would depend on rounding."""
    longest = max(lengths)
    source = 4 + torch.rand(len(lengths), TARGET - 4).argsort(1)[:, :longest]
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return Batch(source, mask, torch.randint(4, TARGET, (len(lengths), targets)))


def batch_of(settings: config.ModelConfig, targets: int = T) -> Batch:
    """Three sources of several lengths, or images, which have none, each with a target."""
    text, encoder = text_batch(targets=targets), settings.encoder
    if encoder.kind != "image":
        return text
    frames = text.mask.shape if encoder.clips else (B,)
    source = torch.randint(0, 256, (*frames, 3, SIDE, SIDE), dtype=torch.uint8)
    return Batch(source, text.mask if encoder.clips else torch.ones(B, 1, dtype=torch.bool), text.inputs_BT)


def other(source: Tensor) -> Tensor:
    """Another source, or other targets, of the same size: different everywhere."""
    return 255 - source if source.dtype == torch.uint8 else TARGET + 3 - source


def attentions(model: Seq2Seq) -> list[Attention]:
    """Those to the source, by layer."""
    return [module for module in model.decoder.modules() if type(module) is Attention]


def start(model: Seq2Seq, batch: Batch, width: int = 1) -> tuple[Any, Any]:
    """What steps read, and the state before the first of them."""
    memory = model.encoder(batch.source, batch.mask)
    return model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)


def logits_of_steps(model: Seq2Seq, batch: Batch) -> Tensor:
    source, state = start(model, batch)
    logits = []
    for token_B in batch.inputs_BT.unbind(1):
        output, state = model.decoder.step(token_B, state, source)
        logits.append(output.logits)
    return torch.stack(logits, 1)


def assert_outputs_equal(got: DecoderOutput, expected: DecoderOutput) -> None:
    torch.testing.assert_close(got.logits, expected.logits)
    torch.testing.assert_close(got.weights, expected.weights)


def assert_gradients_equal(model: Seq2Seq, got: Tensor, expected: Tensor) -> None:
    """Of two losses, in every parameter."""
    parameters = dict(model.named_parameters())
    both = [
        torch.autograd.grad(loss, tuple(parameters.values()), allow_unused=True, materialize_grads=True)
        for loss in (got, expected)
    ]
    for name, a, b in zip(parameters, *both, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")


# The papers' equations, which `reference` computes for one sentence after the other


def reference_of(
    settings: config.ModelConfig,
    model: Seq2Seq,
    batch: Batch,
    weights_BTLHS: Tensor | None = None,
    replacing: Callable[[int], dict[str, Any]] = lambda _: {},
) -> Iterator[tuple[int, Encoded, Decoded]]:
    """Of each sentence its length, states and outputs. Draws are no function of the weights: they are taken
    from `weights_BTLHS`.
    """
    named = weights(model, settings)
    for b, (source_S, mask_S) in enumerate(zip(batch.source, batch.mask, strict=True)):
        length = int(mask_S.sum())
        changes = replacing(b)
        draws = None
        if weights_BTLHS is not None and changes.get("at_inference") != "expected":
            draws = weights_BTLHS[b, ..., :length].numpy()
            draws = draws[:, 0] if settings.decoder.kind == "rnn" else draws
        how = replace(recipe(settings), **changes)
        encoded = reference.encode(how, named, source_S[:length].tolist())
        tokens = batch.inputs_BT[b].tolist()
        decoded = reference.decode(how, named, encoded, tokens, draws)
        if settings.pointer:
            decoded = reference.copy(named, source_S[:length].tolist(), tokens, decoded)
        yield length, encoded, decoded


@torch.no_grad()
def equals_the_papers(settings: config.ModelConfig, model: Seq2Seq, batch: Batch) -> None:
    """Memory, logits and weights are those of the equations, so that no sentence depends on padding, on its
    batch or on later targets.
    """
    attends = settings.decoder.kind != "rnn" or settings.decoder.context_source == "attention"
    output, memory = model(*batch, weights=True), model.encoder(batch.source, batch.mask)
    assert output.logits.shape == (*batch.inputs_BT.shape, TARGET)
    assert (output.weights is not None) == attends
    draws = output.weights if attends and settings.attention.at_inference == "sample" else None
    for b, (length, encoded, decoded) in enumerate(reference_of(settings, model, batch, draws)):
        kind = settings.attention.values if attends else "states"
        values = np.stack(reference.memory(kind, encoded))
        np.testing.assert_allclose(memory.values_BSV[b, :length], values, atol=1e-9)
        np.testing.assert_allclose(memory.summary_BV[b], encoded.summary, atol=1e-9)
        np.testing.assert_allclose(output.logits[b], np.stack(decoded.logits), atol=1e-9)
        if attends:
            of_sentence = output.weights[b, ..., :length]
            np.testing.assert_allclose(of_sentence, np.stack(decoded.weights), atol=1e-9)
            np.testing.assert_allclose(mean_attention(of_sentence), np.stack(decoded.attention), atol=1e-9)


def draws_cost_what_the_papers_say(settings: config.ModelConfig, model: Seq2Seq, batch: Batch) -> None:
    """Xu 2015, section 4.1, in training: what follows from the draws, their log-probability and the entropy
    of what they are drawn from, over all layers and heads. A sentence reads the mean in all of them or in
    none.
    """
    attention = settings.attention
    memory = model.train().encoder(batch.source, batch.mask)
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            output = model(*batch, weights=True)
        torch.manual_seed(seed)
        hidden = model.decoder.hidden_states(batch.inputs_BT, memory)
        assert hidden.log_p_BT is not None
        assert hidden.entropy_BT is not None
        is_mean_B = [not np.isin(one, (0, 1)).all() for one in output.weights]
        assert attention.expectation_prob > 0 or not any(is_mean_B)

        def how(b: int, is_mean_B: list[bool] = is_mean_B) -> dict[str, Any]:
            return {"at_inference": "expected" if is_mean_B[b] else "argmax"}

        for b, (_, _, decoded) in enumerate(reference_of(settings, model, batch, output.weights, how)):
            np.testing.assert_allclose(output.logits[b], np.stack(decoded.logits), atol=1e-9)
            np.testing.assert_allclose(hidden.entropy_BT[b].detach(), decoded.entropy, atol=1e-9)
            if is_mean_B[b]:
                assert (hidden.log_p_BT[b] == 0).all()
            elif attention.k == 1:  # the order of several is not known here
                np.testing.assert_allclose(hidden.log_p_BT[b].detach(), decoded.log_p, atol=1e-9)


# What a sentence does not depend on


@torch.no_grad()
def padding_changes_nothing(model: Seq2Seq, batch: Batch) -> None:
    """Logits, weights and summary depend neither on what stands on padding nor on how much of it there is."""
    expected, summary_BV = model(*batch, weights=True), model.encoder(batch.source, batch.mask).summary_BV
    for more in (0, 1, 3):
        mask = F.pad(batch.mask, (0, more))
        source = torch.cat([batch.source, other(batch.source[:, :more])], 1)
        hidden = ~mask.view(*mask.shape, *[1] * (source.dim() - 2))
        source = torch.where(hidden, other(source), source)
        output = model(source, mask, batch.inputs_BT, weights=True)
        torch.testing.assert_close(output.logits, expected.logits)
        torch.testing.assert_close(model.encoder(source, mask).summary_BV, summary_BV)
        if expected.weights is not None:
            size = expected.weights.size(-1)
            torch.testing.assert_close(output.weights[..., :size], expected.weights)
            assert (output.weights[..., size:] == 0).all()


@torch.no_grad()
def the_rest_of_the_batch_changes_nothing(model: Seq2Seq, batch: Batch) -> None:
    """A sentence alone has the logits and weights that it has among others; its own source does matter."""
    together = model(*batch, weights=True)
    for b, length in enumerate(batch.mask.sum(1).tolist()):
        alone = model(*batch.rows(slice(b, b + 1), length), weights=True)
        torch.testing.assert_close(alone.logits[0], together.logits[b])
        if together.weights is not None:
            torch.testing.assert_close(alone.weights[0], together.weights[b, ..., : alone.weights.size(-1)])
    # one value everywhere: without positions, another order of the same values says the same
    one_value = other(batch.source[:, :1]).expand_as(batch.source)
    changed = model(one_value, batch.mask, batch.inputs_BT).logits
    assert not torch.isclose(changed, together.logits).flatten(1).all(1).any()


@torch.no_grad()
def later_targets_change_nothing(model: Seq2Seq, batch: Batch) -> None:
    """Logits depend on the targets up to their own step, and on no later one."""
    memory, inputs_BT = model.encoder(batch.source, batch.mask), batch.inputs_BT
    expected = model.decoder(inputs_BT, memory).logits
    for t in range(inputs_BT.size(1)):
        changed = torch.cat([inputs_BT[:, :t], other(inputs_BT[:, t:])], 1)
        logits = model.decoder(changed, memory).logits
        torch.testing.assert_close(logits[:, :t], expected[:, :t])
        assert not torch.isclose(logits[:, t], expected[:, t]).all(1).any()


# Step by step


class Rows(NamedTuple):
    """What the rows of a search have output so far."""

    sentence_R: Tensor
    tokens_RT: Tensor
    logits_RTN: Tensor
    weights_RTLHS: Tensor | None


@torch.no_grad()
def steps_equal_teacher_forcing(
    model: Seq2Seq, batch: Batch, width: int, steps: int = T, leaving: Sequence[int] = ()
) -> None:
    """A search of random tokens, `width` rows a sentence, whose rows are selected anew after every second
    step; one sentence leaves after each of the steps `leaving`. The logits and weights of every row are those
    of teacher forcing.
    """
    memory = model.encoder(batch.source, batch.mask)
    source, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)
    rows: Rows | None = None

    def compare(rows: Rows) -> None:
        got = DecoderOutput(rows.logits_RTN, rows.weights_RTLHS)
        rows_memory = memory.repeat_for(rows.sentence_R)
        assert_outputs_equal(got, model.decoder(rows.tokens_RT, rows_memory, weights=True))

    sentences = len(batch.mask)
    for t in range(steps):
        token_R = torch.randint(4, TARGET, (sentences * width,))
        output, state = model.decoder.step(token_R, state, source)
        new = [None if part is None else part[:, None] for part in (token_R, *output)]
        if rows is None:
            rows = Rows(torch.arange(sentences).repeat_interleave(width), *new)
        else:
            longer = [None if a is None else torch.cat([a, b], 1) for a, b in zip(rows[1:], new, strict=True)]
            rows = Rows(rows.sentence_R, *longer)
        stays = torch.arange(sentences)
        if t in leaving:
            compare(rows)
            stays = stays[stays != sentences % 2]
            source, sentences = select(source, stays), len(stays)
        if t in leaving or t % 2:
            row_BW = torch.randint(0, width, (sentences, width))
            index_R = (stays[:, None] * width + row_BW).flatten()
            state, rows = select(state, index_R), select(rows, index_R)
    assert rows is not None
    compare(rows)


@torch.no_grad()
def a_state_is_a_value(model: Seq2Seq, batch: Batch, width: int) -> None:
    """Two steps from one state, each continued: neither changes the state, the source, or what the other says
    next.
    """
    first_R, one_R, two_R, last_R = torch.randint(4, TARGET, (4, len(batch.mask) * width))
    memory = model.encoder(batch.source, batch.mask)
    rows_memory = memory.repeat_for(torch.arange(len(batch.mask)).repeat_interleave(width))
    source, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)
    _, state = model.decoder.step(first_R, state, source)
    before, after_one = model.decoder.step(one_R, state, source)
    _, after_two = model.decoder.step(two_R, state, source)
    again, _ = model.decoder.step(one_R, state, source)
    assert_outputs_equal(again, before)
    for token_R, after in ((two_R, after_two), (one_R, after_one)):
        output, _ = model.decoder.step(last_R, after, source)
        forced = model.decoder(torch.stack([first_R, token_R, last_R], 1), rows_memory)
        torch.testing.assert_close(output.logits, forced.logits[:, -1])


@torch.no_grad()
def long_sequences_are_read_and_written(model: Seq2Seq) -> None:
    """Longer than any table of positions and than the first buffers of a search."""
    length = 80
    ids = torch.randint(4, TARGET, (2, 1, length))
    batch = Batch(ids[0], torch.ones(1, length, dtype=torch.bool), ids[1])
    whole = model(*batch).logits
    assert torch.isfinite(whole).all()
    torch.testing.assert_close(logits_of_steps(model, batch), whole)


@torch.no_grad()
def a_context_changes_later_steps_where_the_decoder_says_so(
    model: Seq2Seq, batch: Batch, changes_later: bool
) -> None:
    """The context of the first layer and the first step is another one: the logits of the first step change,
    those of later ones where `context_feeds_later_steps`.
    """
    calls = []

    def change(_: Any, __: Any, output: Any) -> Any:
        calls.append(output)
        if len(calls) > 1:
            return output
        context = output.context.clone()
        context[:, 0] += torch.arange(context.size(-1))
        return output._replace(context=context)

    expected = model(*batch).logits
    hook = attentions(model)[0].register_forward_hook(change)
    logits = model(*batch).logits
    hook.remove()
    assert not torch.allclose(logits[:, 0], expected[:, 0])
    assert model.decoder.context_feeds_later_steps == changes_later
    assert torch.allclose(logits[:, 1:], expected[:, 1:]) == (not changes_later)


# Attention weights


@torch.no_grad()
def weights_are_what_the_normaliser_promises(
    settings: config.ModelConfig, model: Seq2Seq, batch: Batch
) -> None:
    """(B, T, L, H, S). Exactly 0 on padding and outside a fixed window; each head's sum to one, or to one for
    each position that hard attention selects; a predicted window takes away from it.
    """
    a, layers = settings.attention, attentions(model)
    weights_BTLHS = model(*batch, weights=True).weights
    mask_BS = model.encoder(batch.source, batch.mask).mask_BS
    assert weights_BTLHS.shape == (*batch.inputs_BT.shape, len(layers), a.heads, mask_BS.size(1))
    time_T, position_S = torch.arange(weights_BTLHS.size(1)), torch.arange(mask_BS.size(1))
    if "location" in a.score:
        mask_BS = mask_BS & (position_S < a.max_positions)  # the others are as padding
    readable_BTS = mask_BS[:, None].expand(-1, len(time_T), -1)
    if a.window == "local-m":
        centre_BT = torch.minimum(time_T, mask_BS.sum(1, keepdim=True) - 1)
        readable_BTS = readable_BTS & ((position_S - centre_BT[..., None]).abs() <= a.half_width)
    assert (weights_BTLHS >= 0).all()
    assert (weights_BTLHS.movedim(-1, 2)[~readable_BTS] == 0).all()
    sum_BTLH = weights_BTLHS.sum(-1)
    if a.normaliser == "sigmoid":
        assert (weights_BTLHS <= 1).all()
        assert (sum_BTLH > 0).all()
    elif a.window == "local-p":
        assert (sum_BTLH < 1).all()
        assert (sum_BTLH > 0).all()
    else:
        positions_BT = readable_BTS.sum(-1).clamp(max=a.k)
        expected = positions_BT[..., None, None].expand_as(sum_BTLH).to(sum_BTLH.dtype)
        torch.testing.assert_close(sum_BTLH, expected)
    draws = a.expectation_prob == 0 if model.training else a.at_inference != "expected"
    if a.normaliser in ("hard-topk", "gumbel") or (a.normaliser == "hard-sample" and draws):
        assert ((weights_BTLHS == 0) | (weights_BTLHS == 1)).all()


@torch.no_grad()
def weights_are_those_of_each_layer_and_head(model: Seq2Seq, batch: Batch) -> None:
    """They are the very weights that the attention of each layer gives, in training as in a step."""
    layers = attentions(model)
    by_layer: dict[int, list[Tensor]] = {id(layer): [] for layer in layers}

    def record(layer: nn.Module, _: Any, output: Any) -> None:
        by_layer[id(layer)].append(output.weights)

    hooks = [layer.register_forward_hook(record) for layer in layers]
    whole = model(*batch, weights=True).weights
    assert torch.equal(whole, torch.stack([torch.cat(steps, 1) for steps in by_layer.values()], 2))
    source, state = start(model, batch, 2)
    for steps in by_layer.values():
        steps.clear()
    output, _ = model.decoder.step(batch.inputs_BT[:, 0].repeat_interleave(2), state, source)
    for hook in hooks:
        hook.remove()
    assert torch.equal(
        output.weights, torch.stack([one.flatten(0, 1) for (one,) in by_layer.values()], 1)
    )  # (R, L, H, S)


@torch.no_grad()
def layers_draw_independently(model: Seq2Seq) -> None:
    """Outside training too: two layers that find two positions equally likely draw each pair of them as
    often.
    """
    steps = 3000
    for attention in attentions(model):
        nn.init.zeros_(attention.score.v)  # type: ignore[arg-type]
    batch = Batch(torch.tensor([[4, 5]]), torch.ones(1, 2, dtype=torch.bool), torch.full((1, steps), 5))
    first_TL = model(*batch, weights=True).weights[0, :, :, 0, 0]
    shares = torch.bincount((first_TL @ torch.tensor([2.0, 1.0])).long(), minlength=4) / steps
    torch.testing.assert_close(shares.double(), torch.full((4,), 0.25), rtol=0, atol=0.035)  # four deviations


@torch.no_grad()
def reading_weights_changes_nothing(model: Seq2Seq, batch: Batch) -> None:
    """A fused call says what the weights do: with all tokens at once, in training too, and in a step."""
    for training in (True, False):
        model.train(training)
        torch.manual_seed(5)
        fused = model(*batch)
        torch.manual_seed(5)
        assert fused.weights is None
        torch.testing.assert_close(fused.logits, model(*batch, weights=True).logits, rtol=0, atol=1e-9)
    source, state = start(model, batch, 2)
    token_R = torch.full((2 * len(batch.mask),), 5)
    fused, _ = model.decoder.step(token_R, state, source, weights=False)
    plain, _ = model.decoder.step(token_R, state, source, weights=True)
    assert fused.weights is None
    torch.testing.assert_close(fused.logits, plain.logits, rtol=0, atol=1e-9)


@torch.no_grad()
def features_are_what_the_output_layer_reads(model: Seq2Seq, batch: Batch) -> None:
    """And outside training no draw has a cost."""
    memory = model.encoder(batch.source, batch.mask)
    hidden = model.decoder.hidden_states(batch.inputs_BT, memory)
    assert hidden[1:] == (None, None, None, None)
    torch.testing.assert_close(
        model.decoder.output(hidden.features_BTD), model.decoder(batch.inputs_BT, memory).logits
    )


# Gradients and training


@contextmanager
def whole_gradients(model: Seq2Seq) -> Iterator[None]:
    """A convolutional encoder scales its gradient on purpose: without that."""
    share = getattr(model.encoder, "gradient_share", None)
    if share is not None:
        model.encoder.gradient_share = 1.0  # type: ignore[assignment]
    yield
    if share is not None:
        model.encoder.gradient_share = share


def gradients_are_those_of_finite_differences(model: Seq2Seq, batch: Batch) -> None:
    """In two random directions of all parameters together, and so through all parts."""
    parameters, factor = list(model.parameters()), torch.randn(*batch.inputs_BT.shape, TARGET)

    def loss() -> Tensor:
        return (model(*batch).logits * factor).sum()

    with whole_gradients(model):
        gradients = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
        for _ in range(2):
            direction = [torch.randn_like(parameter) for parameter in parameters]
            slope = sum((a * b).sum() for a, b in zip(gradients, direction, strict=True))
            with torch.no_grad():
                losses = []
                for shift in (STEP, -2 * STEP):  # to one side, then to the other
                    torch._foreach_add_(parameters, direction, alpha=shift)
                    losses.append(loss())
                torch._foreach_add_(parameters, direction, alpha=STEP)
            torch.testing.assert_close((losses[0] - losses[1]) / (2 * STEP), slope, rtol=1e-6, atol=1e-6)


def gradients_of_steps_equal_those_of_the_whole(model: Seq2Seq, batch: Batch) -> None:
    """The plain chain of steps against all tokens at once, which may share products."""
    factor = torch.randn(*batch.inputs_BT.shape, TARGET)
    whole = (model(*batch).logits * factor).sum()
    assert_gradients_equal(model, (logits_of_steps(model, batch) * factor).sum(), whole)


def loss_of(model: Seq2Seq, batch: Batch) -> Tensor:
    """The objective per token of targets that follow the inputs: cross-entropy and, where attention draws,
    the terms of REINFORCE.
    """
    targets_M = batch.inputs_BT[:, 1:].flatten()
    hidden = model.decoder.hidden_states(batch.inputs_BT[:, :-1], model.encoder(batch.source, batch.mask))
    logits_MN = model.decoder.logits(hidden.features_BTD, hidden.copies).flatten(0, 1)
    losses_M = F.cross_entropy(logits_MN, targets_M, reduction="none")
    total = losses_M.sum()
    if hidden.log_p_BT is not None:
        assert hidden.entropy_BT is not None
        terms = reinforce.reinforce_loss(
            losses_M.detach(),
            hidden.log_p_BT,
            hidden.entropy_BT,
            torch.arange(len(targets_M)),
            to_go=model.decoder.context_feeds_later_steps,
            baseline=-2.0,
            settings=config.ReinforceConfig(),
        )
        total = total + terms[0]
    return total / len(targets_M)


def without_effect(name: str, settings: config.ModelConfig) -> bool:
    """Whether the gradient of a parameter may be zero by what the settings mean."""
    a = settings.attention
    if settings.decoder.kind == "rnn":
        inside = name.removeprefix("decoder.attention.")
        if settings.decoder.context_source != "attention" or inside == name:
            return False
    else:
        inside = name.partition("attention.")[2] or name.partition("cross_attn.")[2]
    # one number added to all scores of a query changes no normaliser but the sigmoid
    if inside in ("key.bias", "score.query.bias"):
        return True
    if a.normaliser in ("sparsemax", "entmax15") and (
        a.window != "none" or a.score == "cosine"
    ):  # with all the weight on one position, scores are free to move
        return inside.startswith(("score.", "term.", "query.", "key."))
    if a.score == "concat-linear" and a.normaliser != "sigmoid":  # a query adds one number to all of a row
        return inside.startswith("score.query.") or (inside.startswith("query.") and a.window != "local-p")
    return False


def trains(settings: config.ModelConfig, batch: Batch, must_fall: bool, must_reach: bool = True) -> None:
    """Three steps on one batch: the loss is finite and, where `must_fall`, less in the end. Every parameter
    has a finite gradient, and where `must_reach`, one that is not zero.
    """
    torch.manual_seed(1)
    model = build(settings, source_size(settings), TARGET).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003 if settings.images else 0.01)
    reached = {name: without_effect(name, settings) for name, _ in model.named_parameters()}
    first = loss_of(model.eval(), batch).item()
    model.train()
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, batch)
        assert torch.isfinite(loss)
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            reached[name] |= bool(parameter.grad.any())
        optimizer.step()
    assert not must_reach or all(reached.values()), [
        name for name, is_reached in reached.items() if not is_reached
    ]
    last = loss_of(model.eval(), batch).item()
    assert np.isfinite(last)
    assert not must_fall or last < first


def one_batch_is_learnt(settings: config.ModelConfig, batch: Batch) -> None:
    """Sixty steps on one batch leave less than a third of the loss."""
    torch.manual_seed(1)
    model = build(settings, source_size(settings), TARGET)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@torch.no_grad()
def dropout_is_of_training_alone(settings: config.ModelConfig, batch: Batch) -> None:
    """Outside training a model with dropout is the one without; in training no two passes are the same."""
    torch.manual_seed(1)
    plain = random_model(settings)
    dropping = build(settings.model_copy(update={"dropout": 0.3}), source_size(settings), TARGET).eval()
    dropping.load_state_dict(plain.state_dict())
    torch.testing.assert_close(dropping(*batch).logits, plain(*batch).logits)
    dropping.train()
    one, two = dropping(*batch).logits, dropping(*batch).logits
    assert not torch.isclose(one, two).flatten(1).all(1).any()
    memories = [dropping.encoder(batch.source, batch.mask).values_BSV for _ in range(2)]
    assert not torch.equal(*memories)
    memory = plain.encoder(batch.source, batch.mask)
    one, two = (dropping.decoder(batch.inputs_BT, memory).logits for _ in range(2))
    assert not torch.equal(one, two)


def autocast_says_nearly_the_same(model: Seq2Seq, batch: Batch, precision: torch.dtype) -> None:
    """The same numbers to the precision's accuracy, fused or not and step by step; gradients in the
    parameters' own type.
    """
    with torch.no_grad():
        for name, parameter in model.float().named_parameters():
            if "norm" in name:  # as norms start: small gains would leave nothing to be near to
                parameter.fill_(float(name.endswith("weight")))
            elif "gain" in name:
                parameter.mul_(1.5)
            else:
                parameter.mul_(0.6)
    parameters = tuple(model.parameters())
    exact = model(*batch).logits
    scale = exact.std().item()
    options: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
    gradients = torch.autograd.grad(exact.square().mean(), parameters, **options)
    for reads in (False, True):
        with torch.autocast("cpu", precision):
            low = model(*batch, weights=reads).logits.float()
        assert (low - exact).abs().max() < 0.15 * scale
        for a, b in zip(
            torch.autograd.grad(low.square().mean(), parameters, **options), gradients, strict=True
        ):
            assert a.dtype == torch.float32
            assert (a - b).norm() < 0.15 * b.norm() + 0.03
    with torch.autocast("cpu", precision), torch.no_grad():
        assert (logits_of_steps(model, batch).float() - exact).abs().max() < 0.15 * scale
