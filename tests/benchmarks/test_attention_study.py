"""The study of all attentions and the figure of gradient paths: equal sizes, what is measured, what is said
of it, and that nothing is made twice.
"""

import importlib.util
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tiny
import torch

from seq2attn import config
from seq2attn.config import sizes
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared


def script(name: str) -> ModuleType:
    """A benchmark, which is a script of its own and in no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


study = script("attention_study")
gradient_path = script("gradient_path")
figures = sys.modules["figures"]

# One size and one budget


def test_study_names_presets_with_a_recurrent_decoder() -> None:
    """A preset need not be in the study."""
    for name in study.PRESETS.keys() | study.SAME.keys():
        model = config.load(name).model
        assert model.decoder.kind == "rnn"
        assert not model.images
    assert study.PRESETS.keys().isdisjoint(study.SAME)
    assert set(study.SAME.values()) <= study.PRESETS.keys()
    for name, kind in study.PRESETS.items():
        model = config.load(name).model
        hard = model.attention.normaliser in config.HARD
        assert kind == (
            study.FIXED if model.decoder.context_source != "attention" else study.HARD if hard else study.SOFT
        )


@pytest.mark.parametrize("name", study.PRESETS)
def test_settings_have_equal_sizes_and_budgets(name: str) -> None:
    there, made = config.load(name), config.load(name, study.settings(name, 1500))
    model = made.model
    assert {
        model.embedding,
        sizes.encoder_width(model),
        model.decoder.size,
        model.decoder.readout_size or model.decoder.size,
    } == {128}
    assert sizes.attention_size(model) == 128
    assert (model.encoder.layers, model.decoder.layers) == ((2, 2) if name == "keyed" else (1, 1))
    assert (model.tied, model.dropout) == ("output", 0.1)
    assert made.train == config.load("cho14", study.settings("cho14", 1500)).train
    assert made.search.beam == 1
    changed = {"size", "layers", "readout_size", "half_width", "embedding", "dropout", "tied", "metric"}
    differing = {
        key
        for key, value in config.flat(there).items()
        if value != config.flat(made)[key] and key.startswith("model.")
    }
    assert {key.rsplit(".", 1)[1] for key in differing} <= changed


@pytest.mark.parametrize(("name", "as_"), study.SAME.items())
def test_settings_of_omitted_presets_equal_another_preset(name: str, as_: str) -> None:
    one, other = (config.load(preset, study.settings(preset, 10)) for preset in (name, as_))
    assert (one.model, one.train, one.search) == (other.model, other.train, other.search)


# What is measured


def test_entropy_of_known_weights() -> None:
    uniform, certain, end = [0.25] * 4, [0, 1, 0, 0], [1, 0, 0, 0]
    assert study.entropy([np.array([uniform, end])]) == pytest.approx(math.log(4))
    assert study.entropy([np.array([certain, uniform])]) == 0.0
    assert study.entropy([np.array([uniform, certain, end]), np.array([uniform, end])]) == pytest.approx(
        2 / 3 * math.log(4)
    )
    assert study.entropy([np.array([[2.0, 2.0, 0, 0], [0, 0, 0, 0], end])]) == pytest.approx(math.log(2))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of a few sentences, its test with gold alignments."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "raw").mkdir()
    for split, times in (("train", 3), ("valid", 1), ("test", 1), ("test_long", 1)):
        for language, lines in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
            (folder / "raw" / f"{split}.{language}").write_text(
                "".join(f"{line}\n" for line in lines[: 7 * times]), encoding="utf-8"
            )
    gold = [
        " ".join(f"{i}-{i}" for i in range(min(len(a.split()), len(b.split()))))
        for a, b in zip(tiny.ENGLISH[:7], tiny.FRENCH[:7], strict=True)
    ]
    (folder / "raw" / "test.align").write_text("".join(f"{line}\n" for line in gold), encoding="utf-8")
    prepare(
        str(folder / "raw"), folder / "prepared", config.DataConfig(source="en", target="fr", vocab_size=90)
    )
    return folder / "prepared"


@pytest.mark.slow
def test_evaluate_of_the_study_equals_the_command(corpus: Path, tmp_path: Path) -> None:
    from seq2attn.evaluation import alignment, text, translation
    from seq2attn.inference import SearchOptions, Translator

    run = tiny.save_run(tmp_path / "run")
    found = study.evaluate(str(run), str(corpus), None)
    translator, split = Translator.load(run), Prepared(corpus).split("test")
    sources, targets = split.texts()
    outputs = translation.translate(translator, sources, SearchOptions(beam=1))
    assert found["outputs"] == {"test": outputs, "test_long": outputs}
    assert found["bleu"]["test"] == text.bleu(outputs, [targets], "fr").value
    links = translation.force(translator, sources, [targets], align=True).links
    assert found["aer"] == alignment.score(links, alignment.parse_lines(split.gold)).error_rate
    rows = [
        row for forced in translator.score_targets(sources, targets) for row in forced.subword_attention[:-1]
    ]
    assert found["entropy"] == pytest.approx(
        statistics.mean(-sum(p * math.log(p) for p in row.tolist() if p > 0) for row in rows), rel=1e-5
    )
    assert found["parameters"] == sum(p.numel() for p in translator.members[0].model.parameters())
    assert len(study.evaluate(str(run), str(corpus), 3)["outputs"]["test"]) == 3


@pytest.mark.slow
def test_evaluate_of_a_model_without_attention_has_no_weights(corpus: Path, tmp_path: Path) -> None:
    found = study.evaluate(str(tiny.save_run(tmp_path / "run", context_source="summary")), str(corpus), 2)
    assert (found["aer"], found["entropy"]) == (None, None)


@pytest.mark.slow
def test_study_run_reports_memory_and_failures(tmp_path: Path) -> None:
    work = study.Study(tmp_path, {}, study.STEPS, None)
    peak, printed = work.run([sys.executable, "-c", "x = bytearray(50_000_000); print(len(x))"])
    assert printed == "50000000\n"
    assert 50 < peak < 5000
    with pytest.raises(study.Failed, match=r"^that is why$"):
        work.run([sys.executable, "-c", "import sys; print('that is why', file=sys.stderr); sys.exit(1)"])
    work.stop()
    with pytest.raises(study.Failed, match="stopped"):
        work.run(["true"])


# Nothing twice


class Quick(study.Study):
    """Cells that are made at once, but for those of one preset."""

    def make(self, cell):
        if cell.preset == "cosine":
            raise study.Failed("no good")
        made = {
            "settings": self.recipe(cell),
            "sentences": self.sentences,
            "bleu": {"test": 1.0},
            "aer": 0.5,
            "seconds": 1.0,
        }
        study.write(self.file(cell), json.dumps(made))
        self.made = [*getattr(self, "made", []), cell]
        return made


def test_make_all_skips_finished_cells_and_goes_on_after_failures(tmp_path: Path) -> None:
    cells = [
        study.Cell("phrases", preset, seed) for seed in (1, 2) for preset in ("cho14", "cosine", "luong15")
    ]
    first = Quick(tmp_path, {}, study.STEPS, None)
    failures = study.make_all(first, cells, 2)
    assert {cell.preset for cell in failures} == {"cosine"}
    assert len(first.made) == 4
    again = Quick(tmp_path, {}, study.STEPS, None)
    assert study.make_all(again, cells, 1) == failures
    assert not hasattr(again, "made")
    other = Quick(tmp_path, {}, {"phrases": 7}, None)  # another budget makes other cells
    study.make_all(other, cells, 1)
    assert len(other.made) == 4


def test_finished_ignores_a_size_without_effect(tmp_path: Path) -> None:
    cell, work = study.Cell("phrases", "luong15", 1), study.Study(tmp_path, {}, study.STEPS, None)
    recipe = work.recipe(cell)
    assert not any("attention.size" in setting for setting in recipe)
    (tmp_path / "phrases").mkdir()
    for more, finished in (("model.attention.size=128", True), ("model.attention.half_width=4", False)):
        study.write(
            work.file(cell), json.dumps({"settings": [*recipe[:5], more, *recipe[5:]], "sentences": None})
        )
        assert (work.finished(cell) is not None) == finished


def test_same_run_compares_recipes(tmp_path: Path) -> None:
    cell, work = study.Cell("phrases", "cho14", 1), study.Study(tmp_path, {}, study.STEPS, None)
    run = work.file(cell).with_suffix("")
    (run / "training").mkdir(parents=True)
    (run / "training" / "state.json").write_text("{}")
    assert not work._same_run(run, cell)
    (run / "config.json").write_text(
        json.dumps({"config": config.load("cho14", work.recipe(cell)).model_dump(mode="json")})
    )
    assert work._same_run(run, cell)
    assert not work._same_run(run, cell._replace(seed=2))


# What is said of it


def cell(preset: str, seed: int, test: float, **more: object) -> dict[str, object]:
    return {
        "preset": preset,
        "seed": seed,
        "bleu": {"test": test},
        "aer": None,
        "entropy": None,
        "peak_mb": 400.0,
        "parameters": 800_000,
    } | more


def test_table_has_mean_and_deviation_over_seeds() -> None:
    cells = [
        cell("luong15", seed, value, aer=0.125, entropy=0.5)
        for seed, value in ((1, 90.0), (2, 91.0), (3, 95.0))
    ] + [cell("cho14", 1, 40.0)]
    lines = study.table(cells, {"luong15": 12345.6})
    assert lines[0] == "|  | test | AER, % | entropy, nats | target tokens/s | peak MB | weights |"
    assert lines[2] == "| `cho14` | 40.0 |  |  |  | 400 | 800k |"
    assert (
        lines[3] == f"| `luong15` | 92.0 ± {statistics.stdev([90, 91, 95]):.1f} | 12.5 ± 0.0 | 0.50 ± 0.00 "
        "| 12,346 | 400 | 800k |"
    )
    assert study.table([cell("cho14", 1, 40.0)], {})[0] == "|  | test | peak MB | weights |"


def test_by_length_divides_by_source_length() -> None:
    sources = ["a b c"] * 30 + ["a b c d e"] * 19 + [" ".join("abcdefgh")] * 10 + [" ".join("abcdefg")] * 10
    found = study.by_length(
        "phrases", sources, sources, [s if len(s.split()) == 7 else "no" for s in sources], "en"
    )
    assert [(r.low, r.high, r.sentences) for r in found] == [(3, 3, 30), (7, 8, 20)]  # 19 are too few
    assert found[1].words == 7.5
    assert found[0].bleu == 0.0
    assert 20 < found[1].bleu < 80


def ranges(*scores: float) -> list[object]:
    return [
        study.Range(low, high, (low + high) / 2, 50, score)
        for (low, high), score in zip(((2, 4), (11, 14), (31, 40)), scores, strict=True)
    ]


def presets(**of: dict[int, list[object]]) -> dict[str, dict[int, list[object]]]:
    return {name.replace("_", "-"): seeds for name, seeds in of.items()}


def test_course_of_a_kind_is_the_mean_of_its_presets_where_all_have_the_seed() -> None:
    found = presets(
        sutskever14={1: ranges(80, 40, 2), 2: ranges(1, 1, 1)},
        cho14={1: ranges(90, 60, 4)},
        gumbel={3: ranges(9, 8, 7)},
    )
    assert study.courses(found) == {study.FIXED: {1: [85, 50, 3]}, study.HARD: {3: [9, 8, 7]}}


def test_verdict_is_what_the_numbers_say() -> None:
    falls = presets(
        cho14={1: ranges(80, 40, 2), 2: ranges(80, 60, 2)},
        luong15={1: ranges(90, 88, 30), 2: ranges(90, 87, 30)},
    )
    lines = study.verdict("phrases", ranges(0, 0, 0), study.courses(falls))
    seen, beyond = "\n".join(lines).split("(longer than any in training)")
    assert "fixed context: BLEU 80.0 -> 50.0, 38% of it lost" in seen
    assert "order comes out: fixed context loses a larger share than soft attention in 2 of 2 seeds" in seen
    assert "comes out: it loses at most 5%" in seen
    assert "order comes out" in beyond
    assert "does NOT come out: it loses more than 5%" in beyond

    does_not = presets(
        cho14={1: ranges(80, 79, 70), 2: ranges(80, 10, 1)},
        luong15={1: ranges(90, 60, 30), 2: ranges(90, 88, 30)},
    )
    lines = study.verdict("phrases", ranges(0, 0, 0), study.courses(does_not))
    assert (
        sum(
            "order does NOT come out: fixed context loses a larger share than soft attention in 1 of 2 seeds"
            in line
            for line in lines
        )
        == 2
    )

    nothing = presets(cho14={1: ranges(0, 0, 0)}, luong15={1: ranges(0, 0, 0)})
    assert any(
        "order does NOT come out" in line
        for line in study.verdict("phrases", ranges(0, 0, 0), study.courses(nothing))
    )


@pytest.mark.slow
def test_draw_is_deterministic(tmp_path: Path) -> None:
    found = presets(
        cho14={1: ranges(80, 40, 2)},
        luong15={1: ranges(90, 88, 30), 2: ranges(91, 88, 31)},
        gumbel={1: ranges(90, 80, 25)},
    )
    curves = {
        (cell, way): [0.1 * 0.5**n for n in range(12)]
        for cell in gradient_path.CELLS
        for way in gradient_path.WAYS
    }
    for name in ("one", "two"):
        study.draw(
            {"phrases": found, "multi30k": found},
            [tmp_path / f"length-{name}.svg", tmp_path / f"length-{name}.png"],
        )
        gradient_path.draw({"first weights": curves, "trained": curves}, [tmp_path / f"path-{name}.svg"])
    for kind in ("length", "path"):
        assert (tmp_path / f"{kind}-one.svg").read_bytes() == (tmp_path / f"{kind}-two.svg").read_bytes()
    assert (tmp_path / "length-one.png").read_bytes().startswith(b"\x89PNG")


def test_apart_separates_labels() -> None:
    assert figures.apart([0.1, 0.5], 0.1) == [0.1, 0.5]
    assert figures.apart([0.5, 0.5, 0.9], 0.1) == pytest.approx([0.45, 0.55, 0.9])
    assert figures.apart([0.0, 0.01, 0.02], 0.1) == pytest.approx([0.0, 0.1, 0.2])
    assert figures.apart([0.4, 0.49, 0.58, 1.0, 1.0], 0.1) == pytest.approx([0.39, 0.49, 0.59, 0.9, 1.0])


# Gradient paths


@pytest.mark.slow
@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("cell", gradient_path.CELLS)
def test_gradients_by_distance_equal_those_of_each_sentence(
    cell: str, attention: bool, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.data.tokenizer import BOS, EOS

    monkeypatch.setattr(gradient_path, "EVERY", 1)
    prepared = Prepared(corpus)
    model = gradient_path.build(gradient_path.settings(cell, attention, 10, size=6), prepared).eval()
    sources, targets = prepared.split("valid").ids(np.arange(3))
    farthest = 200
    sums, counts = gradient_path.norms(model, sources, targets, farthest)

    expected, number = np.zeros(farthest), np.zeros(farthest, dtype=int)
    for source, target in zip(sources, targets, strict=True):
        source_BS, inputs_BT, wanted_T = (
            torch.tensor([[*source, EOS]]),
            torch.tensor([[BOS, *target]]),
            [*target, EOS],
        )
        kept: list[torch.Tensor] = []
        handle = model.encoder.embedding.register_forward_hook(
            lambda module, given, made, kept=kept: kept.append(made)
        )
        log_p_TN = (
            model(source_BS, torch.ones_like(source_BS, dtype=torch.bool), inputs_BT)
            .logits[0]
            .log_softmax(-1)
        )
        handle.remove()
        for i, token in enumerate(wanted_T):
            (gradient_BSE,) = torch.autograd.grad(-log_p_TN[i, token], kept[0], retain_graph=True)
            for j in range(source_BS.shape[1]):
                distance = source_BS.shape[1] - 1 - j + i + 1
                expected[distance] += gradient_BSE[0, j].norm().item()
                number[distance] += 1
    np.testing.assert_array_equal(counts, number)
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.slow
def test_gradients_bypass_a_forgetful_recurrence_with_attention_only(corpus: Path) -> None:
    """With no weight from state to state, all that the summary knows is the last word."""
    prepared, edges = Prepared(corpus), (1, 2, 20, 30)
    for attention in (False, True):
        model = gradient_path.build(gradient_path.settings("rnn", attention, 10, size=6), prepared)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if ".state." in name:
                    weight.zero_()
        near, middle, far = gradient_path.gradients(model, prepared.split("valid"), 7, edges)
        assert near >= 0
        assert (middle > 0) == attention
        assert (far > 0) == attention


def test_verdict_on_the_short_path() -> None:
    flat, steep = [1.0, 0.9, 0.8], [1.0, 0.1, 0.01]
    curves = {
        (cell, way): flat if (way == "with") != (cell == "lstm") else steep
        for cell in gradient_path.CELLS
        for way in gradient_path.WAYS
    }
    lines = gradient_path.verdict({"trained": curves}, (1, 5, 9, 13))
    short_path = (
        "the short path comes out: 9-12 steps away, of the gradient at 1-4, "
        "1.0e-02 is left without attention and 8.0e-01 with it"
    )
    assert sum(short_path in line for line in lines) == 2
    assert any("LSTM: the short path does NOT come out" in line for line in lines)
    assert len(gradient_path.tables({"trained": curves}, (1, 5, 9, 13))) == 3 + 2 + 3


@pytest.mark.slow
def test_study_continues_where_it_stopped(tmp_path: Path) -> None:
    command = [
        sys.executable,
        study.__file__,
        "--out",
        str(tmp_path),
        "--presets",
        "cho14",
        "keyed-bilinear",
        "--seeds",
        "1",
        "--steps",
        "4",
        "--sentences",
        "60",
    ]
    first = subprocess.run(
        [*command, "--processes", "2", "--speed", "2", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert first.stderr.count("BLEU") == 2
    assert "| `keyed-bilinear` |" in first.stdout
    assert "target tokens/s" in first.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not again.stderr
    assert again.stdout == first.stdout == (tmp_path / "report.md").read_text(encoding="utf-8")
    assert (tmp_path / "length.svg").is_file()
