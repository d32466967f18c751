"""A model that translates: texts to batches, a search, and hypotheses back to texts in the order they came.

It knows models by their encoder and decoder interface alone, and prints nothing. What comes out for a text depends neither on the other
texts nor on the batch size.
"""

import bisect
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self, cast, get_args

import numpy as np
import torch
from torch import Tensor

from seq2attn.config import Config, Precision, change, refuse_idle, refuse_spent
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import Options
from seq2attn.inference.processes import CAN_FORK, Processes
from seq2attn.inference.threads import shares, side_by_side
from seq2attn.inference.translation import Translation
from seq2attn.inference.words import between_words, word_numbers
from seq2attn.models import memory
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.search.beam import beam_search
from seq2attn.search.risk import Utility, by_utility
from seq2attn.search.sampling import sample as sampled
from seq2attn.search.sampling import seed_of
from seq2attn.search.step import Hypothesis, NoNumbers, normalised
from seq2attn.training.checkpoint import Run, load_weights, open_run
from seq2attn.training.checkpoint import weights as weights_of
from seq2attn.training.precision import autocast, find_device, find_format

BATCH_TOKENS = {"cpu": 3072, "cuda": 16384}  # padded source tokens of one batch, by the device's kind
LEAST_BATCH = 256  # source tokens: smaller batches are not made to give every core one
MAX_SOURCE = 1024  # tokens of one source; what is beyond is not read, so that memory and time stay bounded
GROUP, STEP = 4, 16  # a batch has a multiple of GROUP sentences and, in full precision, a multiple of STEP source positions: see `_padded_sources`
BANNED = (PAD, UNK, BOS)
STREAMS = 2**20  # of random numbers that attention may draw from: see `models.memory.Memory`
SAMPLES = 32  # drawn of a text, where the one of highest expected utility is wanted
WIDTH = 2  # rows a sentence; a wider search has fewer sentences in a batch
FORK = 2**12  # source tokens times rows a sentence: with less work than that it does not pay to start processes
LOGITS = 2**24  # numbers of one block of forced logits: 64 MiB


class Member(NamedTuple):
    """One model of an ensemble. Members share the target vocabulary."""

    model: Seq2Seq
    source_tokenizer: Tokenizer


class Job(NamedTuple):
    """A batch of texts to translate, and all that is to be known of it."""

    texts: list[str]
    ids: list[list[list[int]]]  # of the texts, for each member
    prefixes: list[list[int]] | None
    seeds: list[int]
    options: Options


class _State(NamedTuple):
    """What a step of the ensemble needs of each member: its decoder's state by rows, and its source by sentences."""

    decoders: tuple[Any, ...]
    sources: memory.Shared[tuple[Any, ...]]


class Translator:
    """Models and tokenizers, ready to translate: loaded from runs, or made around a model in training, whose mode is given back after each call."""

    def __init__(
        self,
        model: Seq2Seq,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        config: Config,
        *,
        languages: tuple[str | None, str | None] = (None, None),
        precision: str = "fp32",
        others: Sequence[Member] = (),
        processes: bool = False,
    ) -> None:
        """`others` are averaged with the model. Computes where the model is; `auto` precision is fp32 here: only that is the same in every batch.

        With `processes`, large calls on a CPU are shared out to processes instead of threads, where the system can fork: faster, and the same to the last bit.
        They hold the models as they are at the first such call, and run until `close`, or until the translator is no more. Leave it out where other threads compute;
        a `utility` must be one that can be pickled, as those of `evaluation.text` can.
        """
        self.config = config
        self.languages = languages
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.members = (Member(model, source_tokenizer), *others)
        self.device = next(model.parameters()).device
        dtype = next(model.parameters()).dtype  # other than float32: already computes in its own format, and nothing is to be cast
        self.format = find_format("fp32" if dtype != torch.float32 or precision == "auto" else cast(Precision, precision), self.device)
        useful = processes and CAN_FORK and self.device.type == "cpu" and torch.get_num_threads() > 1
        self._processes = Processes(self._search, torch.get_num_threads()) if useful else None
        # In half precision the last bits are not the same in every batch anyway, and padding is time.
        self._multiple = STEP if self.format == "fp32" and dtype.itemsize >= 4 else GROUP

    @classmethod
    def load(cls, run: str | os.PathLike[str], device: str = "auto", precision: str = "auto", settings: Iterable[str] = (), processes: bool = False) -> Self:
        """A run, or several joined by commas as an ensemble of the first one's languages and search settings. `processes` as the class has it.

        `settings`, as in "model.attention.decoding=sample", are changed in every one before the model is made. Raises UserError when a run is missing,
        incomplete, damaged, from a newer version, or of another target vocabulary; UsageError for settings that are wrong, that act in training alone,
        that do nothing to any of the runs, or with which the weights would not fit.
        """
        if precision not in get_args(Precision):
            raise UsageError(f"precision is {precision}: choose {', '.join(get_args(Precision))}")
        where = find_device(device)
        paths = [os.fspath(run)] if Path(run).is_dir() else [path.strip() for path in os.fspath(run).split(",") if path.strip()]
        if not paths:
            raise UsageError("no run is named: give a run directory, or several joined by commas")
        settings = list(settings)
        stored = [open_run(path) for path in paths]
        runs = [_changed(run, settings) for run in stored]
        changes = [(before.config, after.config) for before, after in zip(stored, runs, strict=True)]
        refuse_idle(settings, changes, trained=True, where=f"{stored[0].path} with --set")
        tokenizers: dict[bytes, Tokenizer] = {}  # one for equal files, so that members know they read alike
        members, first = [], runs[0]
        for other in runs:
            if other.target_tokenizer.read_bytes() != first.target_tokenizer.read_bytes():
                raise UserError(f"{other.path}: its target vocabulary is not that of {first.path}; an ensemble needs runs trained on one prepared folder")
            members.append(Member(_model(other).to(where), _tokenizer(other.source_tokenizer, other.source_size, tokenizers)))
        target_tokenizer = _tokenizer(first.target_tokenizer, first.target_size, tokenizers)
        if where.type == "cpu" and precision == "bf16":
            halve([member.model for member in members])
        return cls(*members[0], target_tokenizer, first.config, languages=first.languages, precision=precision, others=members[1:], processes=processes)

    def close(self) -> None:
        """End the processes, where there are any. The next large call starts others."""
        if self._processes is not None:
            self._processes.close()

    @property
    def attends(self) -> bool:
        """Whether the model has attention to show."""
        return self.config.model.decoder.reads == "attention"

    @property
    def batch_tokens(self) -> int:
        """Padded source tokens of one batch, where the caller does not say."""
        return BATCH_TOKENS.get(self.device.type, BATCH_TOKENS["cpu"])

    def translate(
        self,
        texts: Sequence[str],
        beam: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
        batch_tokens: int | None = None,
        prefixes: Sequence[str] | None = None,
        attention: bool = True,
        first: int = 0,
        no_repeat_ngram: int | None = None,
        utility: Utility | None = None,
        samples: int | None = None,
    ) -> list[list[Translation]]:
        """The `n_best` translations of each text, best first; one empty translation of an empty or blank text.

        What is None is as the run's own search settings say, or as fits the device. Lengths are in tokens. With `sample` the n_best are drawn at random, each text from a stream that
        `seed` and its number choose (and attention that draws takes its own from there); the first text has number `first`. A prefix is what the translation of the same text begins with; it may be empty.
        With `no_repeat_ngram` n above 0 no translation holds n target pieces in a row twice.

        With a `utility`, as `evaluation.text.utility` gives it, `samples` are drawn as `sample` does, and the n_best distinct texts of highest mean utility
        against all of them are chosen: that is their score then, and `length_penalty` has no part in it. Fewer come back where fewer were drawn.

        Raises UsageError for options that make no sense, UserError when the model gives no numbers.
        """
        settings = self.config.search
        if samples is not None and utility is None:
            raise UsageError(f"samples is {samples}: they are drawn to choose from by a utility, which is not given; n_best says how many sample=True gives")
        options = Options(
            settings.beam if beam is None else beam,
            n_best,
            settings.length_penalty if length_penalty is None else length_penalty,
            settings.max_length if max_length is None else max_length,
            settings.min_length if min_length is None else min_length,
            sample,
            temperature,
            top_k,
            top_p,
            settings.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram,
            utility,
            n_best if sample else 0 if utility is None else SAMPLES if samples is None else samples,
            attention,
        )
        options.check(texts, prefixes)
        batch_tokens = self.batch_tokens if batch_tokens is None else batch_tokens
        if batch_tokens < 1:
            raise UsageError(f"batch_tokens is {batch_tokens}: it must be at least 1")
        texts = list(texts)
        forced = None if prefixes is None else self.target_tokenizer.encode_batch(prefixes)
        ids = [member.source_tokenizer.encode_batch(texts) for member in self.members]
        # A text that the tokenizer makes nothing of is as good as blank.
        real = [i for i, text in enumerate(texts) if text.strip() and all(len(side[i]) for side in ids)]
        results = [[Translation(text, "", 0.0, 0.0, attention=np.zeros((0, 0), np.float32) if attention and self.attends else None)] for text in texts]
        lengths = [min(len(side), MAX_SOURCE) + 1 for side in ids[0]]
        # The longest come first, so that none waits for a long one at the end.
        cores = shares(self.device) if self._processes is None else self._processes.count
        batches = _batches(real, lengths, max(1, batch_tokens * WIDTH // max(WIDTH, options.width)), cores)[::-1]
        jobs = [
            Job(
                [texts[i] for i in rows],
                [[side[i] for i in rows] for side in ids],
                None if forced is None else [forced[i] for i in rows],
                [seed_of(seed, first + i) for i in rows],
                options,
            )
            for rows in batches
        ]
        try:
            with self._at_rest(), self._at_work(jobs) as found:
                for rows, translations in zip(batches, found, strict=True):
                    for i, ranked in zip(rows, translations, strict=True):
                        results[i] = ranked
        except NoNumbers:
            raise UserError(_NO_NUMBERS) from None
        return results

    def _at_work(self, jobs: Sequence[Job]) -> AbstractContextManager[Iterator[list[list[Translation]]]]:
        """What `_search` makes of each job: all cores have one at a time."""
        tokens = sum(len(source) * job.options.width for job in jobs for source in job.ids[0])
        if self._processes is None or len(jobs) < 2 or (not self._processes.running and tokens < FORK):
            return side_by_side(self._search, jobs, self.device)
        return self._processes.map(jobs)

    def _search(self, job: Job) -> list[list[Translation]]:
        options = job.options
        filling = -len(job.texts) % GROUP
        sources = [[source[:MAX_SOURCE] for source in side] + [[]] * filling for side in job.ids]
        limits = [options.max_length if options.max_length is not None else 2 * len(source) + 10 for source in sources[0]]
        limits[len(job.texts) :] = [0] * filling
        rules: dict[str, Any] = {
            "select": memory.select,
            "length_penalty": options.length_penalty,
            "min_length": options.min_length,
            "max_length_B": torch.tensor(limits, device=self.device),
            "bos": BOS,
            "eos": EOS,
            "banned": BANNED,
            "prefix_BP": None if job.prefixes is None else _padded([*job.prefixes, *[[]] * filling], -1).to(self.device),
            "no_repeat_ngram": options.no_repeat_ngram,
            "group": GROUP,
        }
        seeds = job.seeds + [0] * filling
        step = self._step if options.attention else self._blind_step
        with torch.inference_mode(), autocast(self.device, self.format):
            state = self._start(sources, options.width, seeds)
            if options.drawn:
                rules |= {"temperature": options.temperature, "top_k": options.top_k, "top_p": options.top_p}
                found = sampled(step, state, seeds=seeds, samples=options.drawn, **rules)
            else:
                found = beam_search(step, state, sentences=len(limits), beam=options.beam, n_best=options.n_best, **rules)
        return [
            [self._translation(text, source, hypothesis) for hypothesis in self._ranked(hypotheses, options)]
            for text, source, hypotheses in zip(job.texts, job.ids[0], found, strict=False)
        ]

    def _ranked(self, hypotheses: list[Hypothesis], options: Options) -> list[Hypothesis]:
        """As they came or, with a utility, the best by it."""
        if options.utility is None:
            return hypotheses
        ranked = by_utility([self.target_tokenizer.decode(hypothesis.tokens) for hypothesis in hypotheses], options.utility)
        return [hypotheses[place]._replace(score=expected) for place, expected in ranked[: options.n_best]]

    def force(
        self, texts: Sequence[str], targets: Sequence[str], batch_tokens: int | None = None, attention: bool = True, seed: int = 1, first: int = 0
    ) -> list[Translation]:
        """Each text with the target it is given: the score and the attention that teacher forcing gives. Targets are whole, sources are read up to MAX_SOURCE tokens.

        Attention that draws takes for each text what `seed` and its number choose, as `translate` does.
        """
        if len(texts) != len(targets):
            raise UsageError(f"there are {len(texts)} texts and {len(targets)} targets: each text needs its own")
        ids = [member.source_tokenizer.encode_batch(texts) for member in self.members]
        target_ids = self.target_tokenizer.encode_batch(targets)
        batch_tokens = self.batch_tokens if batch_tokens is None else batch_tokens
        results: list[Translation | None] = [None] * len(texts)
        lengths = [max(min(len(source), MAX_SOURCE), len(target)) + 1 for source, target in zip(ids[0], target_ids, strict=True)]
        with self._at_rest():
            for rows in _batches(range(len(texts)), lengths, batch_tokens):
                sources = [[side[i][:MAX_SOURCE] for i in rows] for side in ids]
                outputs = [target_ids[i] for i in rows]
                inputs_BT = _padded([[BOS, *output] for output in outputs], PAD).to(self.device)
                targets_BT = _padded([[*output, EOS] for output in outputs], PAD).to(self.device)
                seeds = [seed_of(seed, first + i) for i in rows]
                log_p_BT, weights_BTS = self._forced(sources, seeds, inputs_BT, targets_BT, attention)
                for place, i in enumerate(rows):
                    length = len(target_ids[i]) + 1
                    log_p = float(log_p_BT[place, :length].double().sum())
                    if math.isnan(log_p):
                        raise UserError(_NO_NUMBERS)
                    score = normalised(log_p, length, self.config.search.length_penalty)
                    weights = None if weights_BTS is None else weights_BTS[place, :length]
                    hypothesis = Hypothesis(target_ids[i], score, log_p, weights, finished=True)
                    results[i] = self._translation(texts[i], ids[0][i], hypothesis, targets[i])
        return [result for result in results if result is not None]

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """No dropout, no gradients, in the chosen number format; afterwards every module is in the mode it was in."""
        models = [member.model for member in self.members]
        before = [(module, module.training) for model in models for module in model.modules()]
        for model in models:
            model.eval()
        try:
            with torch.inference_mode(), autocast(self.device, self.format):
                yield
        finally:
            for module, training in before:
                module.training = training

    def _memories(self, sources: list[list[list[int]]], seeds: list[int]) -> list[memory.Memory]:
        memories = []
        stream_B = torch.tensor([seed % STREAMS for seed in seeds], device=self.device)
        for member, side in zip(self.members, sources, strict=True):
            source_BS = _padded_sources(side, self._multiple).to(self.device)
            memories.append(member.model.encoder(source_BS, source_BS != PAD)._replace(stream_B=stream_B))
        return memories

    def _start(self, sources: list[list[list[int]]], width: int, seeds: list[int]) -> _State:
        decoders = [member.model.decoder for member in self.members]
        pairs = [(decoder, memory) for decoder, memory in zip(decoders, self._memories(sources, seeds), strict=True)]
        read = memory.Shared(tuple(decoder.source(m) for decoder, m in pairs), len(sources[0]), width)
        return _State(tuple(decoder.start(m, width) for decoder, m in pairs), read)

    def _step(self, token_R: Tensor, state: _State, weights: bool = True) -> tuple[Tensor, _State, Tensor | None]:
        log_ps, states, read = [], [], []
        for member, decoder_state, source in zip(self.members, state.decoders, state.sources.parts, strict=True):
            output, after = member.model.decoder.step(token_R, decoder_state, source, weights)
            log_ps.append(output.logits if len(self.members) == 1 else output.logits.float().log_softmax(-1))
            states.append(after)
            read.append(output.weights)
        return _mean_p(log_ps), state._replace(decoders=tuple(states)), self._mean_weights(read)

    def _blind_step(self, token_R: Tensor, state: _State) -> tuple[Tensor, _State, None]:
        log_p, state, _ = self._step(token_R, state, weights=False)
        return log_p, state, None

    def _forced(self, sources: list[list[list[int]]], seeds: list[int], inputs_BT: Tensor, targets_BT: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
        """log p of each target token (B, T), and weights (B, T, S). Logits are made and read block by block."""
        log_ps, weights = [], []
        for member, member_memory in zip(self.members, self._memories(sources, seeds), strict=True):
            decoder = member.model.decoder
            features_BTD, weights_BTS, *_ = decoder.features(inputs_BT, member_memory, attention)
            block = max(1, LOGITS // (len(inputs_BT) * self.target_tokenizer.size))
            parts = []
            for start in range(0, inputs_BT.shape[1], block):
                log_p = decoder.output(features_BTD[:, start : start + block]).float().log_softmax(-1)
                parts.append(log_p.gather(2, targets_BT[:, start : start + block, None])[:, :, 0])
            log_ps.append(torch.cat(parts, 1))
            weights.append(weights_BTS)
        mean_BTS = self._mean_weights(weights)
        return _mean_p(log_ps).cpu(), None if mean_BTS is None else mean_BTS.float().cpu()

    def _mean_weights(self, weights: Sequence[Tensor | None]) -> Tensor | None:
        """The mean over the members that attend to the same pieces as the first one reads."""
        alike = [w for w, member in zip(weights, self.members, strict=True) if w is not None and member.source_tokenizer is self.source_tokenizer]
        if len(alike) < 2:
            return alike[0] if alike else None
        return torch.stack(alike).mean(0)

    def _translation(self, source: str, source_ids: list[int], hypothesis: Hypothesis, target: str | None = None) -> Translation:
        tokens = list(hypothesis.tokens)
        text = self.target_tokenizer.decode(tokens) if target is None else target
        unread = max(0, len(source_ids) - MAX_SOURCE)
        read_ids = source_ids[:MAX_SOURCE]
        source_words, target_words = source.split(), text.split()
        pieces = words = None
        if hypothesis.weights is not None:
            pieces = hypothesis.weights[:, : len(read_ids) + 1].numpy()
            source_numbers = word_numbers(source, read_ids, self.source_tokenizer)
            target_numbers = self.target_tokenizer.word_index(tokens) if target is None else word_numbers(target, tokens, self.target_tokenizer)
            words = between_words(pieces[:-1, :-1], target_numbers, source_numbers, len(target_words), len(source_words))
        return Translation(
            source,
            text,
            hypothesis.score,
            hypothesis.log_probability,
            tokens,
            self.source_tokenizer.pieces(read_ids),
            self.target_tokenizer.pieces(tokens),
            pieces,
            source_words,
            target_words,
            words,
            hypothesis.finished,
            unread,
        )


_NO_NUMBERS = "the model's probabilities are not numbers: its weights are damaged, or too large for this precision (try fp32)"


def _changed(run: Run, settings: Sequence[str]) -> Run:
    """The run with settings changed. Raises UsageError, naming the setting, for what makes no sense and where the run has not the weights for it."""
    if not settings:
        return run
    refuse_spent(settings)
    changed = replace(run, config=change(run.config, settings, f"{run.path} with --set"))
    own = _shapes(run)
    if _shapes(changed) != own:
        wrong = next(setting for count, setting in enumerate(settings, 1) if count == len(settings) or not _fits(run, settings[:count], own))
        raise UsageError(f"{run.path} with --set {wrong}: its weights are not those of such a model; leave it out, or train one")
    return changed


def _fits(run: Run, settings: Sequence[str], own: object) -> bool:
    try:
        return _shapes(replace(run, config=change(run.config, settings))) == own
    except UsageError:  # they may be right with those that follow
        return True


def _shapes(run: Run) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = build(run.config.model, run.source_size, run.target_size)
    return {name: tensor.shape for name, tensor in weights_of(model).items()}


def _model(run: Run) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
        model = build(run.config.model, run.source_size, run.target_size)
    load_weights(run, model)
    return model.eval()


def halve(models: Sequence[Seq2Seq]) -> None:
    """Put all weights in bfloat16, where every model of an ensemble may be computed so: a number once made is not made again at each of its uses."""
    if all(model.encoder.halves and model.decoder.halves for model in models):
        for model in models:
            model.to(torch.bfloat16)


def _tokenizer(path: Path, size: int, known: dict[bytes, Tokenizer]) -> Tokenizer:
    content = path.read_bytes()
    if content not in known:
        known[content] = Tokenizer.load(path)
    if known[content].size != size:
        raise UserError(f"{path}: has {known[content].size} pieces where the run's config.json says {size}; restore both from one run, or train again")
    return known[content]


def _batches(rows: Iterable[int], lengths: Sequence[int], batch_tokens: int, cores: int = 1) -> list[list[int]]:
    """Rows of like length together, at most `batch_tokens` padded tokens a batch; a longer one is a batch of its own.

    Each core gets as many batches, of about as many tokens, unless they would be small.
    """
    rows = sorted(rows, key=lambda row: lengths[row])
    batches = _filled(rows, lengths, batch_tokens)
    if not batches:
        return []
    total = sum(lengths[row] for row in rows)
    count = max(len(batches), min(cores, total // LEAST_BATCH))
    count = -(-count // cores) * cores if count >= cores else count
    limits = range(total // count, batch_tokens)
    least = bisect.bisect_left(limits, True, key=lambda limit: len(_filled(rows, lengths, limit)) <= count)  # more tokens a batch, fewer batches
    return _filled(rows, lengths, limits[least]) if least < len(limits) else batches


def _filled(rows: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """One batch after the other, each as full as can be, in ascending order of lengths. Of a multiple of GROUP sentences, where the rest has room in the next."""
    batches: list[list[int]] = []
    start = 0
    for place, row in enumerate(rows):
        if lengths[row] * (place - start + 1) > batch_tokens and place > start:
            rest = (place - start) % GROUP
            end = place - rest if rest < place - start and lengths[row] * (rest + 1) <= batch_tokens else place
            batches.append(list(rows[start:end]))
            start = end
    return [*batches, list(rows[start:])] if rows else []


def _padded_sources(ids: Sequence[Sequence[int]], multiple: int) -> Tensor:
    """Sources with their end tokens, `multiple` or a multiple of it long.

    Matrix products choose their kernels by the shape, small and odd ones others than the rest, and kernels differ in the last bit: enough to turn a near tie.
    With such a length, and a multiple of GROUP sentences, a sentence gives the same bits in every batch on the CPUs that were tried. (8 positions were too few:
    registers hold 16 numbers, and what reads fewer sums them in another order. A product of less than 400 multiplications, a lone row that reads 16 positions
    by a head of less than 25 numbers, still has a loop of torch's own.)
    """
    padded_BS = _padded([[*source, EOS] for source in ids], PAD)
    return torch.nn.functional.pad(padded_BS, (0, -padded_BS.shape[1] % multiple), value=PAD)


def _padded(ids: Sequence[Sequence[int]], filler: int) -> Tensor:
    longest = max(map(len, ids))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in ids], dtype=torch.long).view(len(ids), longest)


def _mean_p(log_ps: list[Tensor]) -> Tensor:
    """log of the mean probability."""
    if len(log_ps) == 1:
        return log_ps[0]
    return torch.stack(log_ps).logsumexp(0) - math.log(len(log_ps))
