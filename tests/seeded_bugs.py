"""Does the suite catch bugs? Plants one-line bugs, one at a time, in a copy of the package and runs the tests that should fail.

    python tests/seeded_bugs.py             all of them (minutes)
    python tests/seeded_bugs.py beam mask   those whose file or text holds one of the words

Each row of BUGS is (file, old text, new text, tests): the old text must stand in the file exactly once. The named tests
must pass on the clean copy and fail (not merely break off) with the bug. Prints a table; exit 1 when a bug is missed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIMIT = 300  # seconds a row; a bug that makes a test hang is caught, too


class Bug(NamedTuple):
    file: str  # in seq2attn/
    old: str
    new: str
    tests: tuple[str, ...]  # in tests/, with pytest's ::name and -k words allowed

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()}  ->  {self.new.strip()}"


# fmt: off
BUGS = (
    # attention: scores
    Bug("attention/scores.py", "* keys.size(-1) ** -0.5", "* keys.size(-2) ** -0.5", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "product(_direction(query_BTQ), keys.mT)", "product(query_BTQ, keys.mT)", ("attention/test_scores.py", "-k", "cosine")),
    Bug("attention/scores.py", "10 * self.p.exp()", "self.p.exp()", ("attention/test_scores.py", "-k", "cosine")),
    Bug("attention/scores.py", "return scores + added.squeeze(-1)", "return scores - added.squeeze(-1)", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "self.weight[:, : self.query_size].t()", "self.weight[:, -self.query_size :].t()", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "super().compare(query_BTQ, keys).sigmoid()", "super().compare(query_BTQ, keys)", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/scores.py", "value=UNREAD", "value=0.0", ("attention/test_scores.py", "-k", "location")),
    Bug("attention/scores.py", "return y.tanh()", "return y", ("attention/test_scores.py", "-k", "papers")),
    Bug("attention/energy.py", "value=-1", "value=1", ("attention/test_energy.py",)),
    Bug("attention/energy.py", ".flatten(0, -2), u_PA)", ".flatten(0, -2), u_PA, alpha=-1)", ("attention/test_energy.py", "-k", "values")),
    Bug("attention/energy.py", "slope_BSA = 1 - square_BSA", "slope_BSA = square_BSA", ("attention/test_energy.py", "-k", "gradients")),
    # attention: past weights
    Bug("attention/past.py", "return past.total[..., None]", "return past.last[..., None]", ("attention/test_past.py",)),
    Bug("attention/past.py", "past.total / source[:, None]", "past.total * source[:, None]", ("attention/test_past.py",)),
    Bug("attention/past.py", "self.most * share", "share", ("attention/test_past.py",)),
    Bug("attention/past.py", "F.conv1d(past.last.flatten", "F.conv1d(past.total.flatten", ("attention/test_past.py",)),
    Bug("attention/past.py", "self.filters, padding", "self.filters.flip(-1), padding", ("attention/test_past.py",)),
    # attention: normalisers
    Bug("attention/normalisers.py", "scores_BTS.masked_fill(hidden, torch.finfo(scores_BTS.dtype).min).softmax(-1)", "scores_BTS.softmax(-1)", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "min).softmax(-1).masked_fill(hidden, 0.0)", "min).softmax(-1)", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "else scores_BTS / self.temperature", "else scores_BTS * self.temperature", ("attention/test_normalisers.py",)),
    Bug("attention/normalisers.py", "gumbel(scores_BTS) / self.temperature", "gumbel(scores_BTS)", ("attention/test_hard.py", "-k", "gumbel")),
    Bug("attention/normalisers.py", "gumbel(logs)", "gumbel(logs[:, :1])", ("attention/test_hard.py", "-k", "drawn or frequent")),
    Bug("attention/normalisers.py", "scores_BTS + gumbel_of(", "scores_BTS - gumbel_of(", ("attention/test_hard.py", "-k", "draw or outside")),
    Bug("attention/normalisers.py", "(expected_BT[..., None], soft, weights)", "(expected_BT[..., None], weights, soft)", ("attention/test_hard.py", "-k", "expected")),
    Bug("attention/normalisers.py", "log_p.masked_fill(expected_BT, 0.0)", "log_p", ("attention/test_hard.py", "-k", "expected")),
    Bug("attention/normalisers.py", "-(soft * logs).sum(-1)", "(soft * logs).sum(-1)", ("attention/test_hard.py", "-k", "entropy")),
    Bug("attention/normalisers.py", "HardSample(settings.k, settings.decoding,", 'HardSample(settings.k, "argmax",', ("test_inference.py", "-k", "hard_model")),
    Bug("attention/sparse.py", "filled = scores_BTS.masked_fill(hidden, torch.finfo(scores_BTS.dtype).min)", "filled = scores_BTS", ("attention/test_normalisers.py", "-k", "sparsemax or entmax15")),
    Bug("attention/sparse.py", "rank * ordered > beyond", "rank * ordered > beyond + 0.5", ("attention/test_normalisers.py", "-k", "sparsemax")),
    Bug("attention/sparse.py", "_shifted(scores_BTS / 2, hidden)", "_shifted(scores_BTS, hidden)", ("attention/test_normalisers.py", "-k", "entmax15")),
    Bug("attention/sparse.py", "_back(weights.sign(), gradient_BTS)", "_back(weights, gradient_BTS)", ("attention/test_normalisers.py", "-k", "sparsemax")),
    Bug("attention/hard.py", "descending=True", "descending=False", ("attention/test_hard.py", "-k", "earlier or masked")),
    Bug("attention/hard.py", ".scatter(-1, positions_BTK, 1.0) * mask", ".scatter(-1, positions_BTK, 1.0)", ("attention/test_hard.py", "-k", "masked or fewer")),
    Bug("attention/hard.py", "left = left.scatter(-1, position, False)", "", ("attention/test_hard.py", "-k", "log_p")),
    Bug("attention/hard.py", "_mixed(time_BT + 0x9E3779B9)", "_mixed(time_BT + torch.arange(len(time_BT))[:, None] + 0x9E3779B9)", ("attention/test_hard.py", "-k", "noise or company")),
    Bug("attention/hard.py", "return -(-uniform.log()).log()", "return (-uniform.log()).log()", ("attention/test_hard.py", "-k", "noise or step")),
    Bug("attention/hard.py", "return None, gradient", "return None, gradient * 0", ("attention/test_hard.py", "-k", "topk")),
    # attention: windows, heads, the reading
    Bug("attention/window.py", "(distance_BTS <= self.half_width)", "(distance_BTS < self.half_width)", ("attention/test_window.py",)),
    Bug("attention/window.py", "mask_BS.sum(-1, keepdim=True) - 1", "mask_BS.sum(-1, keepdim=True)", ("attention/test_window.py",)),
    Bug("attention/window.py", "mask_BS.sum(-1, keepdim=True) * (self.query", "mask_BS.size(-1) * (self.query", ("attention/test_window.py",)),
    Bug("attention/window.py", "(-2 * (distance", "(-0.5 * (distance", ("attention/test_window.py",)),
    Bug("attention/read.py", "chosen.weights * factor_BTS", "chosen.weights", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("attention/attention.py", "total=past.total + weights_RHS", "total=weights_RHS", ("attention/test_attention.py", "-k", "past")),
    Bug("attention/attention.py", "past._replace(time=past.time + 1)", "past", ("models/test_decoder_recipes.py", "-k", "papers or single_steps or whole")),
    Bug("attention/attention.py", "            values_BSV = values_BSV.tanh()", "            pass", ("attention/test_attention.py", "-k", "mapped")),
    Bug("attention/attention.py", "unflatten(-1, (self.heads, -1)).transpose(1, 2)", "unflatten(-1, (-1, self.heads)).movedim(-1, 1)", ("attention/test_attention.py", "-k", "torchs")),
    Bug("attention/attention.py", "source.mask_BS.repeat_interleave(self.heads, 0)", "source.mask_BS.repeat(self.heads, 1)", ("attention/test_attention.py", "-k", "torchs")),
    Bug("attention/attention.py", "x_BT.repeat_interleave(self.heads, 0)", "x_BT.repeat(self.heads, 1)", ("attention/test_attention.py", "-k", "expected_value")),
    Bug("attention/attention.py", "past.time.repeat_interleave(self.heads, 0)", "past.time.repeat(self.heads, 1)", ("attention/test_attention.py", "-k", "own_step")),
    Bug("attention/attention.py", "past._replace(time=past.time * self.heads + head_BH[:, None])", "past", ("attention/test_attention.py", "-k", "independently")),
    Bug("attention/attention.py", "< self.settings.expected", "> self.settings.expected", ("attention/test_attention.py", "-k", "share")),
    Bug("attention/attention.py", "unflatten(0, shape).sum(1) for part", "unflatten(0, shape).mean(1) for part", ("attention/test_attention.py", "-k", "log_probability")),
    # attention: the loop
    Bug("attention/unrolled.py", "        self.inputs, self.gradients = [], []", "", ("attention/test_unrolled.py",)),
    Bug("attention/unrolled.py", "tensor.shape, tensor.stride(), tensor.dtype", "tensor.shape, tensor.dtype", ("attention/test_unrolled.py",)),
    # models
    Bug("models/cells.py", "n + z * (h - n)", "h + z * (n - h)", ("models/test_cells.py",)),
    Bug("models/cells.py", "tanh_backward(grad_h * o, tanh_c) + grad_c", "tanh_backward(grad_h * o, tanh_c)", ("models/test_cells.py",)),
    Bug("models/encoders/rnn.py", "last_B = mask_BS.sum(1) - 1", "last_B = mask_BS.sum(1) * 0 + mask_BS.size(1) - 1", ("models/test_rnn_encoder.py",)),
    Bug("models/encoders/rnn.py", "torch.where(position < length, length - 1 - position, position)", "mask_BS.size(1) - 1 - position.expand_as(mask_BS)", ("models/test_rnn_encoder.py",)),
    Bug("models/decoders/rnn.py", "if self.previous else x", "if False else x", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "State(tuple(layers), found.context if", "State(tuple(layers), state.context if", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "self.gate(seen).sigmoid() * context", "(1 - self.gate(seen).sigmoid()) * context", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", '"both": (embedded_BTE, asking_BTH)', '"both": (asking_BTH, embedded_BTE)', ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "torch.arange(steps, device=past.time.device)", "torch.arange(1, steps + 1, device=past.time.device)", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", " or (self.attention is not None and self.attention.remembers)", "", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "weights_THS.mean(-2)", "weights_THS[..., 0, :]", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/encoders/rnn.py", "keys, values = _part(self.keys, x, embedded)", "keys, values = _part(self.values, x, embedded)", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/encoders/rnn.py", "return states + embedded", "return states", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "(memory.values_BSV * real).sum(1) / real.sum(1)", "memory.values_BSV.mean(1)", ("models/test_decoder_recipes.py", "-k", "padding")),
    Bug("models/decoders/rnn.py", "y.unflatten(-1, (-1, 2)).amax(-1)", "y.unflatten(-1, (2, -1)).amax(-2)", ("models/test_decoder_recipes.py", "-k", "papers")),
    Bug("models/decoders/rnn.py", "part.repeat_interleave(width, 0) for part", "part.repeat(width, 1) for part", ("models/test_decoder_recipes.py", "-k", "beam")),
    Bug("models/memory.py", "return value.index_select(0, index_R)", "return value", ("models/test_memory.py",)),
    Bug("models/initial.py", "module.input.bias[module.size : 2 * module.size] = 1.0", "module.input.bias[: module.size] = 1.0", ("models/test_seq2seq.py", "-k", "glorot")),
    Bug("models/seq2seq.py", "encoder.embedding.weight = decoder.target_embedding.weight", "decoder.target_embedding.weight = encoder.embedding.weight", ("models/test_seq2seq.py", "-k", "tied")),
    # search
    Bug("search/beam.py", "* beam + parent_BW", "* beam + parent_BW.sort(1).values", ("search/test_state.py",)),
    Bug("search/beam.py", "ended_BW / (length + 1) ** length_penalty", "ended_BW / max(length, 1) ** length_penalty", ("search/test_beam.py",)),
    Bug("search/beam.py", "(rules.limit_B + 1).double() ** length_penalty", "(length + 1) ** length_penalty", ("search/test_beam.py",)),
    Bug("search/constraints.py", "index_fill_(2, self.banned, -torch.inf)", "index_fill_(2, self.banned[1:], -torch.inf)", ("search/test_beam.py",)),
    Bug("search/history.py", "weights[rows[::-1]]", "weights[rows]", ("search/test_beam.py",)),
    Bug("search/sampling.py", "log_p_RN.double() / temperature", "log_p_RN.double() * temperature", ("search/test_sampling.py",)),
    # batches
    Bug("data/batches.py", "targets_BT[:, :-1], PAD", "targets_BT[:, 1:], PAD", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "positions <= lengths[:, None]", "positions < lengths[:, None]", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "np.random.default_rng([seed, epoch])", "np.random.default_rng(seed)", ("data/test_plan_and_collate.py",)),
    Bug("data/batches.py", "longest = np.maximum(source, target)", "longest = source", ("data/test_plan_and_collate.py",)),
    # inference
    Bug("inference/translator.py", "index_R[::width] // width", "index_R[: len(index_R) // width] // width", ("test_inference.py",)),
    Bug("inference/translator.py", "source_BS != PAD", "source_BS != EOS", ("test_inference.py",)),
    Bug("inference/translator.py", "logsumexp(0) - math.log(len(log_ps))", "mean(0)", ("test_inference.py",)),
    Bug("inference/words.py", "@ to_source / counts", "@ to_source", ("test_inference.py",)),
    Bug("inference/translator.py", "_changed(open_run(path), settings) for path", "_changed(open_run(path), settings if path == paths[0] else []) for path", ("test_inference.py", "-k", "every_run")),
    Bug("inference/translator.py", "    if _shapes(changed) != own:", "    if False:", ("test_inference.py", "-k", "other_weights")),
    Bug("config.py", ".default and kind not in kinds:", ".default and kind in kinds:", ("test_config.py", "-k", "one_choice")),
    # training
    Bug("training/loss.py", "sharp = 1 - smoothing", "sharp = 1.0", ("training/test_loss.py",)),
    Bug("training/loss.py", ".sub_(mean_weight, alpha=smoothing)", ".sub_(mean_weight, alpha=smoothing / len(bias))", ("training/test_loss.py",)),
    Bug("training/schedule.py", "return train.lr * step / train.warmup", "return train.lr * (step - 1) / train.warmup", ("training/test_schedule.py",)),
    Bug("training/schedule.py", "score > self.best:", "score < self.best:", ("training/test_schedule.py",)),
    Bug("training/trainer.py", "for used in range(position, len(order)):", "for used in range(len(order)):", ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/trainer.py", "            torch.manual_seed(_mix(settings.seed, step, number))", "", ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/trainer.py", "sums.objective / update.tokens", "sums.objective / len(batch.targets_M)", ("training/test_trainer.py", "-k", "accumul")),
    Bug("training/trainer.py", "sums.objective / update.tokens", "sums.loss / update.tokens", ("training/test_reinforce.py", "-k", "goes_down")),
    Bug("training/trainer.py", "first_baseline(self.settings, self.directory.target_size) if self.state.baseline is None else self.state.baseline", "first_baseline(self.settings, self.directory.target_size)", ("training/test_reinforce.py", "-k", "tells_baseline")),
    Bug("training/trainer.py", "to_go = self.model.decoder.loops", "to_go = False", ("training/test_reinforce.py", "-k", "could_change")),
    Bug("training/checkpoint.py", '{"tensors": name} | asdict(state)', '{"tensors": name} | asdict(state) | {"baseline": None}', ("training/test_trainer.py", "-k", "10_steps or bit or resum")),
    Bug("training/reinforce.py", "-losses_M - baseline", "-losses_M + baseline", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/reinforce.py", "gain_BT.flip(1).cumsum(1).flip(1)", "gain_BT.cumsum(1)", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/reinforce.py", "return -settings.reinforce *", "return settings.reinforce *", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/reinforce.py", "- settings.entropy * entropy", "+ settings.entropy * entropy", ("training/test_reinforce.py", "-k", "given_draws")),
    Bug("training/reinforce.py", "settings.baseline * baseline + (1 - settings.baseline) * reward", "settings.baseline * reward + (1 - settings.baseline) * baseline", ("training/test_reinforce.py", "-k", "moving_average")),
    Bug("training/trainer.py", "self.scaler.unscale_(self.optimizer)", "self.scaler.is_enabled()", ("training/test_clipping.py",)),
    Bug("training/trainer.py", "settings.clip, norm_)", "settings.clip, norm_.square())", ("training/test_trainer.py", "-k", "clip")),
    Bug("training/trainer.py", "list(self.weights.values()), 1 - decay)", "list(self.weights.values()), decay)", ("training/test_trainer.py", "-k", "average")),
    Bug("training/trainer.py", "with self._averaged():", "with torch.no_grad():", ("training/test_trainer.py", "-k", "average")),
)
# fmt: on


def copy(folder: Path) -> None:
    for name in ("seq2attn", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    if (ROOT / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")


def run(folder: Path, arguments: tuple[str, ...]) -> int | None:
    """pytest's exit code, None when it ran out of time. Compiled files are neither written nor read: an edit within the same
    second would go unseen."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    try:
        return subprocess.run(command, cwd=folder / "tests", env=environment, capture_output=True, timeout=LIMIT, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def origin(folder: Path) -> Path:
    """The package that a test in the folder imports: an installed one must not stand in for the copy."""
    code = "import seq2attn.config; print(seq2attn.config.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "tests", env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip()).parents[1]


def refusals(bugs: list[Bug]) -> list[str]:
    """Rows that do not fit the code any more."""
    wrong = []
    for bug in bugs:
        path = ROOT / "seq2attn" / bug.file
        found = path.read_text(encoding="utf-8").count(bug.old) if path.is_file() else -1
        if found != 1 or bug.old == bug.new:
            wrong.append(f"{bug}: " + ("no such file" if found < 0 else f"the old text stands {found} times in the file, not once"))
    return wrong


def main(words: list[str]) -> int:
    bugs = [bug for bug in BUGS if not words or any(word in str(bug) for word in words)]
    if wrong := refusals(bugs):
        print(*wrong, sep="\n", file=sys.stderr)
        return 2
    missed = 0
    with tempfile.TemporaryDirectory(prefix="seeded-bugs-") as name:
        folder = Path(name).resolve()
        copy(folder)
        if origin(folder) != folder:
            print(f"the copy in {folder} is not what Python imports, but {origin(folder)}", file=sys.stderr)
            return 2
        for tests in sorted({bug.tests for bug in bugs}):
            if (code := run(folder, tests)) != 0:
                print(f"without any bug, pytest {' '.join(tests)} exits {code}", file=sys.stderr)
                return 2
        for bug in bugs:
            path = folder / "seq2attn" / bug.file
            clean = path.read_text(encoding="utf-8")
            path.write_text(clean.replace(bug.old, bug.new), encoding="utf-8")
            start = time.monotonic()
            code = run(folder, bug.tests)
            path.write_text(clean, encoding="utf-8")
            verdict = {1: "caught", None: "caught (hangs)", 0: "MISSED"}.get(code, f"BROKEN (pytest exits {code})")
            missed += not verdict.startswith("caught")
            print(f"{verdict:15}{time.monotonic() - start:6.1f} s  {bug}", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} bugs caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
