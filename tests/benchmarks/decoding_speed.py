"""How fast translation is: sentences a second of seq2attn, and of others given the same model, or one of its
size, and the same sentences.

    python tests/benchmarks/decoding_speed.py --data MULTI30K --run RUN [--precisions fp32 bf16] [--peers
    PATH/TO/python] [--against "NAME=COMMAND"]...
    python tests/benchmarks/decoding_speed.py --data MULTI30K --preset transformer --forced 15 ...

MULTI30K is a folder with test_2016_flickr.en and .de, 1,000 sentences, and for --preset also train.en and
.de. A run translates them as it was trained to, and
its BLEU is said; a preset has random weights over 8,000 pieces and no end of its own: with --forced each of
its outputs has just so many tokens, and speed is all.
Each row of the table is a program of its own; all run once in turn, then all again (--rounds), and the median
counts. Have the machine to yourself.

Counted is the search: from the ids of all sentences to the ids of all outputs, batching included; loading, a
first time that
warms up, and the way between text and ids are not. For seq2attn that is `Translator.translate` less the time
of reading text, with tokenizers that write none. Each program makes batches its
own way: seq2attn by its default, the others --batch sentences of like length.

--peers takes a Python with ctranslate2 4.8.5, transformers 5.23.0 and torch (pip install ctranslate2
transformers torch, in an environment of its own).
CTranslate2 gets what `seq2attn export` makes, and has as many workers of one thread as there are --threads:
less waits for less than with threads on one batch.
transformers is MarianMTModel with `generate`. That is a Transformer as it was first, so it gets the run's own
weights where they are of that kind (`vaswani17`).
Of any other Transformer it gets the size alone: its weights are random, each of its outputs has the length of
seq2attn's, and the row says so.

"same" is the share of outputs that are those of the first row of seq2attn with that beam. They differ by
rounding, and where a beam stops: seq2attn goes on until nothing
unfinished can win, CTranslate2 until as many outputs are finished as the beam is wide, transformers by a
guess between both. With --forced the others stop
once the tokens are there; seq2attn takes one step more, which gives the score of the end.

--against runs any shell command; the last "N sentences/s" that it prints is its number, and "BLEU N" its
BLEU; what they count is the command's affair.
"""

import argparse
import json
import operator
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import peak
from in_turn import Failed, Row, against, note_load, number_before, output_of, run_in_turn
from peers import POSITIONS, marian_facts, output_by

# Nothing of seq2attn up here: this file also runs where there is none.

TEST, SOURCE, TARGET = "test_2016_flickr", "en", "de"
VOCABULARY = 8000
SPEED = "sentences/s"
SYSTEMS = ("seq2attn", "ctranslate2", "transformers")


class Engine(NamedTuple):
    """A loaded model."""

    # the sentences of these numbers, batched and searched, in that order
    translate: Callable[[list[int]], Any]
    ids: Callable[[Any], list[list[int]]]  # of what that gave, without end tokens
    outside: Callable[[], float] = lambda: 0.0  # seconds so far that are none of the search


# One measurement, in a process of its own: `job` says all, and where its result goes


def measure(job: Mapping[str, Any]) -> None:
    sources: list[list[int]] = json.loads(Path(job["sources"]).read_text(encoding="utf-8"))
    engine = {"seq2attn": own, "ctranslate2": ctranslate2, "transformers": transformers}[job["system"]](
        job, sources
    )
    numbers = list(range(len(sources)))
    engine.translate(numbers)
    before, began = engine.outside(), time.perf_counter()
    found = engine.translate(numbers)
    seconds = time.perf_counter() - began
    outside = engine.outside() - before
    result = {
        "seconds": seconds - outside,
        "outputs": engine.ids(found),
        "peak": (peak.resident() + peak.children()) / 2**20,
    }
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def own(job: Mapping[str, Any], sources: list[list[int]]) -> Engine:
    import torch

    from seq2attn.devices import keep_freed_memory
    from seq2attn.inference import Translator

    keep_freed_memory()  # as `translate` does
    torch.set_num_threads(job["threads"])
    # as `translate` does
    translator = Translator.load(job["model"], device="cpu", precision=job["format"], processes=True)
    lines = Path(job["texts"]).read_text(encoding="utf-8").split("\n")
    spent, encode = 0.0, translator.source_tokenizer.encode_batch

    def timed(texts: Any) -> list[list[int]]:
        nonlocal spent
        began = time.perf_counter()
        ids = encode(texts)
        spent += time.perf_counter() - began
        return ids

    translator.source_tokenizer.encode_batch = timed  # type: ignore[method-assign]
    # ids are all that is wanted back
    for tokenizer in {translator.source_tokenizer, translator.target_tokenizer}:
        tokenizer.decode, tokenizer.pieces = (lambda ids: ""), (lambda ids: [])  # type: ignore[method-assign]
    lengths = {} if job["forced"] is None else {"min_length": job["forced"], "max_length": job["forced"]}

    def translate(numbers: list[int]) -> Any:
        return translator.translate(
            [lines[number] for number in numbers], beam=job["beam"], attention=False, **lengths
        )

    return Engine(translate, lambda found: [translations[0].tokens for translations in found], lambda: spent)


def ctranslate2(job: Mapping[str, Any], sources: list[list[int]]) -> Engine:
    import ctranslate2

    folder = Path(job["model"])
    pieces: dict[str, list[str]] = {}
    for side in ("source", "target"):
        file = next(
            file
            for file in (folder / f"{side}_vocabulary.json", folder / "shared_vocabulary.json")
            if file.is_file()
        )
        pieces[side] = json.loads(file.read_text(encoding="utf-8"))
    number_of = {piece: number for number, piece in enumerate(pieces["target"])}
    texts = [[pieces["source"][i] for i in ids] for ids in sources]
    engine = ctranslate2.Translator(
        str(folder), device="cpu", inter_threads=job["threads"], intra_threads=1, compute_type=job["format"]
    )
    rules = {
        "beam_size": job["beam"],
        "length_penalty": job["length_penalty"],
        "max_batch_size": job["batch"],
    }
    shortest, longest = (
        (0, 2 * max(map(len, sources)) + 10) if job["forced"] is None else (job["forced"], job["forced"])
    )
    rules |= {"min_decoding_length": shortest, "max_decoding_length": longest}
    return Engine(
        lambda numbers: engine.translate_batch([texts[number] for number in numbers], **rules),
        lambda found: [[number_of[piece] for piece in result.hypotheses[0]] for result in found],
    )


def transformers(job: Mapping[str, Any], sources: list[list[int]]) -> Engine:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from safetensors.torch import load_file
    from transformers import LogitsProcessor, LogitsProcessorList, MarianConfig, MarianMTModel

    torch.set_num_threads(job["threads"])
    torch.manual_seed(1)
    folder = Path(job["model"])
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    pad, bos, eos = facts["pad_token_id"], facts["bos_token_id"], facts["eos_token_id"]
    model = MarianMTModel(MarianConfig(**facts)).eval()
    weights = folder / "model.safetensors"
    if weights.is_file():
        missing, unexpected = model.load_state_dict(load_file(weights), strict=False)
        tied = {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}
        assert not unexpected, unexpected
        assert set(missing) <= tied, missing
        model.tie_weights()

    class Lengths(LogitsProcessor):
        """The end token when each row has as many tokens as it shall have, and not before."""

        def __init__(self, lengths: list[int]) -> None:
            self.lengths_R = torch.tensor(lengths).repeat_interleave(job["beam"])

        def __call__(self, ids_RT: Any, scores_RN: Any) -> Any:
            written = ids_RT.shape[1] - 1
            ended_R = self.lengths_R <= written
            scores_RN = scores_RN.masked_fill(ended_R[:, None], -torch.inf)
            scores_RN[:, eos] = torch.where(ended_R, 0.0, -torch.inf)
            return scores_RN

    def search(rows: list[int]) -> list[list[int]]:
        longest = max(len(sources[row]) for row in rows) + 1
        source_BS = torch.tensor(
            [[*sources[row], eos, *[pad] * (longest - 1 - len(sources[row]))] for row in rows]
        )
        rules: dict[str, Any] = {"max_new_tokens": 2 * longest + 9}
        if job["forced"] is not None:
            rules = {"min_new_tokens": job["forced"], "max_new_tokens": job["forced"]}
        elif job["lengths"] is not None:
            lengths = [job["lengths"][row] for row in rows]
            rules = {
                "max_new_tokens": max(lengths) + 1,
                "logits_processor": LogitsProcessorList([Lengths(lengths)]),
            }
        if job["beam"] > 1:
            rules["length_penalty"] = job["length_penalty"]
        found = model.generate(
            source_BS,
            attention_mask=(source_BS != pad).long(),
            num_beams=job["beam"],
            do_sample=False,
            suppress_tokens=[pad, 1, bos],
            **rules,
        )
        outputs: list[list[int]] = found[:, 1:].tolist()
        return outputs

    def translate(numbers: list[int]) -> Any:
        order = sorted(numbers, key=lambda number: len(sources[number]))
        found: dict[int, list[int]] = {}
        for start in range(0, len(order), job["batch"]):
            rows = order[start : start + job["batch"]]
            found.update(zip(rows, search(rows), strict=True))
        return [found[number] for number in numbers]

    return Engine(translate, lambda found: [[i for i in ids if i not in (pad, eos)] for ids in found])


# Models for it


def random_run(preset: str, data: Path, vocabulary: int, folder: Path) -> Path:
    """A run of this preset with its first weights."""
    import torch

    from seq2attn import config
    from seq2attn.data.tokenizer import BOS, PAD, UNK, Tokenizer
    from seq2attn.models.seq2seq import build
    from seq2attn.runs import directory
    from seq2attn.runs.tensors import save_weights

    chosen = config.load(preset)
    texts = [
        line
        for side in (SOURCE, TARGET)
        for line in (data / f"train.{side}").read_text(encoding="utf-8").splitlines()
    ]
    tokenizer = Tokenizer.train(texts, vocabulary)
    tokenizer.save(folder / "tokenizer.model")
    content = {"tokenizer.model": (folder / "tokenizer.model").read_bytes()}
    sizes = {"source_size": tokenizer.size, "target_size": tokenizer.size}
    run = directory.create(
        folder / "run",
        chosen,
        **sizes,
        languages=(SOURCE, TARGET),
        tokenizers=content,
        corpus=str(data),
        force=False,
    )
    torch.manual_seed(1)
    model = build(chosen.model, tokenizer.size, tokenizer.size)
    with torch.no_grad():  # what seq2attn never writes, and a trained model does not either
        model.decoder.output.bias[[PAD, UNK, BOS]] = -100
    save_weights(run, model)
    return run.path


def write_marian(run: Path, folder: Path) -> bool:
    """A MarianMTModel of the run's size, and whether it also has its weights. Raises Failed where the run is
    no Transformer.
    """
    from safetensors.torch import save_file

    from seq2attn.inference import Translator
    from seq2attn.runs.directory import open_run

    opened = open_run(run)
    settings = opened.config.model
    if settings.encoder.kind != "transformer" or settings.decoder.kind != "transformer":
        raise Failed("a Transformer, and this run is none")
    facts = marian_facts(settings, opened.source_size, opened.target_size)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(facts), encoding="utf-8")
    if not is_first_form(settings):
        return False
    save_file(
        marian_weights(Translator.load(run, device="cpu").members[0].model), folder / "model.safetensors"
    )
    return True


def is_first_form(settings: Any) -> bool:
    """Whether a model's settings are those of `vaswani17`, but for its size."""
    from seq2attn import config

    first = config.load("vaswani17").model
    sizes = [
        f"{side}.{name}"
        for side in ("encoder", "decoder")
        for name in ("size", "layers", "heads", "feedforward")
    ]
    free = {"embedding", "dropout", "init", "init_range", "attention.heads", *sizes}
    ours, theirs = (
        {
            key.removeprefix("model."): value
            for key, value in config.flat(config.Config(model=model)).items()
            if key.startswith("model.")
        }
        for model in (settings, first)
    )
    alike = (
        all(ours.get(key) == value for key, value in theirs.items() if key not in free)
        and ours.keys() == theirs.keys()
    )
    return alike and settings.attention.heads == settings.decoder.heads


def marian_weights(model: Any) -> dict[str, Any]:
    """A `vaswani17` by the names that Marian's model has."""
    import torch

    encoder, decoder = model.encoder, model.decoder
    size = decoder.settings.size
    table = decoder.positions(0, POSITIONS, torch.zeros(1, size))
    weights = {
        "model.shared.weight": decoder.target_embedding.weight,
        "final_logits_bias": decoder.output.bias[None],
    }

    def put(name: str, module: Any) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = module.weight, module.bias

    for side, own in (("encoder", encoder), ("decoder", decoder)):
        weights[f"model.{side}.embed_positions.weight"] = table
        for number, layer in enumerate(own.layers):
            at = f"model.{side}.layers.{number}"
            for kind in ("weight", "bias"):
                for name, part in zip("qkv", getattr(layer.attention.qkv, kind).split(size), strict=True):
                    weights[f"{at}.self_attn.{name}_proj.{kind}"] = part
            put(f"{at}.self_attn.out_proj", layer.attention.out)
            put(f"{at}.self_attn_layer_norm", layer.attending.norm)
            put(f"{at}.fc1", layer.feedforward.into)
            put(f"{at}.fc2", layer.feedforward.out)
            put(f"{at}.final_layer_norm", layer.feeding.norm)
            if side == "decoder":
                read = layer.source_attention
                for name, part in (("q", read.query), ("k", read.key), ("v", read.value), ("out", read.out)):
                    put(f"{at}.encoder_attn.{name}_proj", part)
                put(f"{at}.encoder_attn_layer_norm", layer.reading.norm)
    return {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}


# The rows


class Study:
    """One run and its test sentences, the jobs that translate them, and what came of each."""

    def __init__(self, options: argparse.Namespace, run: Path, work: Path) -> None:
        from seq2attn.inference import Translator

        self.options, self.run, self.work = options, run, work
        self.results: dict[str, dict[str, Any]] = {}
        self.alike: dict[str, str] = {}  # row -> the row whose outputs it should have
        translator = Translator.load(run, device="cpu")
        self.languages, self.tokenizer = translator.languages, translator.target_tokenizer
        self.length_penalty = translator.config.search.length_penalty
        texts, self.references = (
            lines(options.data / f"{TEST}.{side}")[: options.sentences] for side in (SOURCE, TARGET)
        )
        (work / "texts").write_text("\n".join(texts), encoding="utf-8")
        ids = translator.source_tokenizer.encode_batch(texts)
        (work / "sources.json").write_text(json.dumps(ids), encoding="utf-8")

    def rows(self) -> list[Row]:
        options, rows = self.options, []
        exported: Path | str | None = None
        marian: tuple[Path, bool] | str | None = None
        if options.peers:
            exported, marian = self.attempt(self.export), self.attempt(self.marian)
        for beam in options.beams:
            search = "greedy" if beam == 1 else f"beam {beam}"
            first = f"seq2attn {options.precisions[0]}, {search}"
            for precision in options.precisions:
                rows.append(
                    self.row(
                        f"seq2attn {precision}, {search}",
                        first,
                        sys.executable,
                        system="seq2attn",
                        model=self.run,
                        format=precision,
                        beam=beam,
                    )
                )
            for compute in options.compute_types if exported is not None else ():
                rows.append(
                    self.row(
                        f"CTranslate2 {compute}, {search}",
                        first,
                        options.peers,
                        system="ctranslate2",
                        model=exported,
                        format=compute,
                        beam=beam,
                    )
                )
            if marian is not None:
                model, same = marian if isinstance(marian, tuple) else (marian, True)
                name = f"transformers generate{'' if same else ' (random weights)'}, {search}"
                rows.append(
                    self.row(
                        name,
                        first if same else "",
                        options.peers,
                        lengths=None if same else first,
                        system="transformers",
                        model=model,
                        beam=beam,
                    )
                )
        rows += [
            Row(name, lambda name=name, command=command: self.other(name, command))
            for name, command in options.against
        ]
        return rows

    def row(self, name: str, alike: str, python: str, lengths: str | None = None, **job: Any) -> Row:
        """`lengths` is the row whose outputs' lengths this one takes."""
        self.alike[name] = alike
        files = {
            "texts": self.work / "texts",
            "sources": self.work / "sources.json",
            "result": self.work / "result.json",
        }
        settings = {name: getattr(self.options, name) for name in ("forced", "threads", "batch")}

        def run() -> float:
            if isinstance(job["model"], str):
                raise Failed(job["model"])
            if lengths is not None and lengths not in self.results:
                raise Failed(f"there is no {lengths}, whose lengths it takes")
            taken = None if lengths is None else [len(ids) for ids in self.results[lengths]["outputs"]]
            whole = {**settings, **job, **files, "lengths": taken, "length_penalty": self.length_penalty}
            (self.work / "job.json").write_text(json.dumps(whole, default=str), encoding="utf-8")
            output_by(python, __file__, "--inner", str(self.work / "job.json"), folder=self.work)
            found = json.loads(files["result"].read_text(encoding="utf-8"))
            count = len(found["outputs"])
            self.results[name] = {"outputs": found["outputs"], "peak": found["peak"]}
            return count / float(found["seconds"])

        return Row(name, run)

    def other(self, name: str, command: str) -> float:
        printed = output_of(command)
        score = re.findall(r"BLEU\D{0,5}(\d+\.\d+)", printed)
        self.results[name] = {"bleu": float(score[-1]) if score else None}
        return number_before(SPEED, printed)

    @staticmethod
    def attempt(make: Callable[[], Any]) -> Any:
        """What it makes, or why it cannot."""
        try:
            return make()
        except Failed as error:
            return str(error)

    def export(self) -> Path:
        made = self.work / "ctranslate2"
        output_of(
            [sys.executable, "-m", "seq2attn", "export", str(self.run), str(made), "--format", "ctranslate2"]
        )
        return made

    def marian(self) -> tuple[Path, bool]:
        made = self.work / "marian"
        return made, write_marian(self.run, made)

    def table(self, speeds: Mapping[str, Sequence[float]], failures: Mapping[str, str]) -> list[str]:
        """Markdown."""
        header = ["", SPEED, "rounds", "tokens/s", "BLEU", "same", "peak, MB"]
        lines = [header, ["---", *["---:"] * (len(header) - 1)]]
        for name, values in speeds.items():
            if name in failures:
                lines.append([name, f"failed: {failures[name]}", *[""] * (len(header) - 2)])
                continue
            median = statistics.median(values)
            lines.append([name, digits(median), " ".join(map(digits, values)), *self.cells(name, median)])
        return [f"| {' | '.join(cells)} |" for cells in lines]

    def cells(self, name: str, speed: float) -> list[str]:
        found = self.results[name]
        if "outputs" not in found:
            return ["", "" if found["bleu"] is None else f"{found['bleu']:.2f}", "", ""]
        outputs, trained = found["outputs"], self.options.run is not None and self.options.forced is None
        tokens = f"{speed * sum(map(len, outputs)) / len(outputs):,.0f}"
        base = self.results.get(self.alike[name])
        same = (
            ""
            if base is None
            else f"{100 * statistics.mean(map(operator.eq, outputs, base['outputs'])):.1f}%"
        )
        return [
            tokens,
            f"{self.bleu(outputs):.2f}" if trained and base is not None else "",
            same,
            f"{found['peak']:,.0f}",
        ]

    def bleu(self, outputs: Sequence[Sequence[int]]) -> float:
        from seq2attn.evaluation import text

        return text.bleu(
            [self.tokenizer.decode(ids) for ids in outputs], [self.references], self.languages[1]
        ).value


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


# The program


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of Multi30k, English and German")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--run", type=Path, help="a trained run")
    model.add_argument("--preset", help="random weights of this preset; needs --forced")
    parser.add_argument("--forced", type=int, metavar="N", help="each output has N tokens")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5], metavar="W", help="1: greedy")
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=["fp32", "bf16"],
        metavar="FORMAT",
        help="of seq2attn, as `translate --precision` takes them",
    )
    parser.add_argument(
        "--compute-types", nargs="+", default=["float32", "int8"], metavar="TYPE", help="of CTranslate2"
    )
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        type=os.path.abspath,
        help="a Python with ctranslate2, transformers and torch",
    )
    parser.add_argument(
        "--batch", type=int, default=64, help="sentences of one batch of CTranslate2 and transformers"
    )
    parser.add_argument(
        "--against",
        metavar="NAME=COMMAND",
        action="append",
        type=against,
        default=[],
        help="another row; repeatable",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    )
    parser.add_argument(
        "--sentences", type=int, metavar="N", help="the first N alone: to try the program out"
    )
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY, metavar="N", help="pieces, of a preset")
    parser.add_argument("--inner", type=Path, metavar="JOB", help=argparse.SUPPRESS)  # one measurement
    chosen = parser.parse_args()
    if chosen.inner:
        return chosen
    if chosen.data is None or (chosen.run is None and chosen.preset is None):
        parser.error("--data and one of --run and --preset are needed")
    if chosen.preset and chosen.forced is None:
        parser.error("--preset has random weights, which never end: add --forced N, as 15")
    if min(chosen.rounds, chosen.threads, chosen.batch, chosen.forced or 1, *chosen.beams) < 1:
        parser.error("--rounds, --threads, --batch, --forced and --beams: at least 1")
    return chosen


def main() -> int:
    chosen = arguments()
    if chosen.inner:
        measure(json.loads(chosen.inner.read_text(encoding="utf-8")))
        return 0
    from seq2attn.errors import UserError

    note_load()
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of all rows
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            study = Study(
                chosen, chosen.run or random_run(chosen.preset, chosen.data, chosen.vocabulary, work), work
            )
        except (UserError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        speeds, failures = run_in_turn(study.rows(), chosen.rounds)
        what = f"{chosen.run}" if chosen.run else f"{chosen.preset} with random weights"
        lengths = "" if chosen.forced is None else f", {chosen.forced} tokens each"
        counted = (
            f"{len(study.references):,} sentences{lengths}, {chosen.threads} threads, "
            f"median of {chosen.rounds} rounds"
        )
        print(f"{what}: {counted}\n")
        print("\n".join(study.table(speeds, failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
