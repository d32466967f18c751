"""`evaluate` on random models that describe images, and on captions in files: what it prints, keeps,
compares and refuses, and where it sees attention point.
"""

import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_captions

from seq2attn.cli import app as application
from seq2attn.data.prepared import Prepared
from seq2attn.evaluation import captioning, captions, text
from seq2attn.evaluation.forced_decoding import Likelihood
from seq2attn.inference import Captioner
from seq2attn.inference.options import DEFAULTS
from seq2attn.inference.results import Caption
from seq2attn.progress import SILENT
from seq2attn.tasks.caption_test_set import CaptionTestSet
from seq2attn.tasks.test_set import System

Call = Callable[..., tuple[int, str, str]]
REFERENCES = [list(tiny_captions.captions(number)) for number in tiny_captions.numbers("test")]
BLEU_1_TO_4 = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def evaluate(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["evaluate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return evaluate


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return tiny_captions.prepare(tmp_path_factory.mktemp("bars") / "prepared", patch)


@pytest.fixture
def run(tmp_path: Path, prepared: Path) -> Path:
    return tiny_captions.save_run(tmp_path / "run", prepared)


@pytest.fixture
def other(tmp_path: Path, prepared: Path) -> Path:
    return tiny_captions.save_run(tmp_path / "other", prepared, seed=2)


def described(run: Path | str, prepared: Path, **options: Any) -> list[str]:
    split = Prepared(prepared).captioned_split("test")
    files = [split.content(number)[0] for number in range(len(split.names))]
    return [best[0].text for best in Captioner.load(run, device="cpu").caption(files, **options)]


def forced(run: Path | str, prepared: Path) -> list[Caption]:
    """Every caption of the test split, one by one."""
    split = Prepared(prepared).captioned_split("test")
    captioner = Captioner.load(run, device="cpu")
    return [
        captioner.score_targets([split.content(number)[0]], [caption])[0]
        for number, some in enumerate(split.captions)
        for caption in some
    ]


# A run


def test_evaluate_prints_bleu_and_then_caption_scores(call: Call, run: Path, prepared: Path) -> None:
    code, out, err = call(run)
    assert code == 0, err
    found = described(run, prepared)
    assert len(set(found)) > 1  # of something
    lines = out.splitlines()
    by_text = text.scores(found, captions.parallel(REFERENCES), "en")
    assert lines[:9] == [str(score) for score in (*by_text, *captions.scores(found, REFERENCES))]
    assert lines[0].startswith("BLEU ")
    assert "nrefs:var|" in lines[0]
    assert "tok:13a" in lines[0]
    assert [line.split()[0] for line in lines] == [
        "BLEU",
        "chrF2",
        "TER",
        *BLEU_1_TO_4,
        "CIDEr-D",
        "ROUGE-L",
        "pointing",
        "perplexity",
    ]
    assert "warning" not in err


def test_evaluate_likelihood_equals_teacher_forcing(call: Call, run: Path, prepared: Path) -> None:
    record = json.loads(call(run, "--json")[1])
    by_hand = forced(run, prepared)
    tokens = sum(len(caption.tokens) + 1 for caption in by_hand)
    expected = -sum(caption.log_probability for caption in by_hand) / tokens
    assert record["cross_entropy"] == pytest.approx(expected, rel=1e-5)
    assert record["perplexity"] == pytest.approx(math.exp(expected), rel=1e-4)
    assert record["forced"] == {"tokens": tokens, "references": sum(map(len, REFERENCES)), "left_out": 0}
    assert f"(of the references, {tokens:,} tokens with their end tokens)" in call(run)[1].splitlines()[-1]


def test_force_leaves_blank_captions_out_and_counts_them(run: Path, prepared: Path) -> None:
    captioner, split = Captioner.load(run, device="cpu"), Prepared(prepared).captioned_split("test")
    whole = captioning.force(captioner, split).likelihood
    assert split.boxes is not None
    split.captions[1][0], split.boxes[1][0] = " ", []
    without = captioning.force(captioner, split).likelihood
    assert (without.references, without.left_out) == (whole.references - 1, 1)
    assert without.tokens < whole.tokens


def test_evaluate_saves_captions_under_the_file_names_of_text(call: Call, run: Path, prepared: Path) -> None:
    _, out, _ = call(run, "--beam", 2, "--length-penalty", 0, "--no-repeat-ngram", 2)
    name = "test,search.beam=2,search.length_penalty=0.0,search.no_repeat_ngram=2"
    kept = json.loads((run / "scores" / f"{name}.json").read_text(encoding="utf-8"))
    assert {path.name for path in (run / "scores").iterdir()} == {f"{name}.json", f"{name}.txt"}
    outputs = (run / "scores" / f"{name}.txt").read_text(encoding="utf-8").split("\n")
    assert outputs == [*described(run, prepared, beam=2, length_penalty=0, no_repeat_ngram=2), ""]
    names = ["bleu", "chrf", "ter", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider", "rouge_l"]
    assert [f"{kept[name]:.2f}  {kept['signatures'][name]}" for name in names] == [
        line.split(" ", 1)[1] for line in out.splitlines()[:9]
    ]
    assert kept["images"] == 6
    assert set(kept["pointing"]) == {"accuracy", "chance", "words", "left_out"}
    assert kept["search"] == {"beam": 2, "length_penalty": 0, "no_repeat_ngram": 2}
    code, out, err = call(
        run,
        "--set",
        "search.beam=2",
        "--json",
        "--seed",
        3,
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "--allow-code",
        "--batch-tokens",
        100,
    )
    assert code == 0, err
    assert (run / "scores" / "test,search.beam=2.json").is_file()


@pytest.mark.parametrize(("most", "held"), [(1, 1), (4 * 32 * 32 * 3, 4)])
def test_evaluate_holds_images_within_its_memory_bound(
    call: Call, run: Path, most: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = call(run, "--mbr", "chrf", "--samples", 3), []
    load_images = captioning.load_images

    def watched(*arguments: Any) -> list[Any]:
        seen.append(len(arguments[2]))
        return load_images(*arguments)

    monkeypatch.setattr(captioning, "load_images", watched)
    monkeypatch.setattr(captioning, "BYTES", most)
    assert call(run, "--mbr", "chrf", "--samples", 3)[1] == whole[1]
    assert (max(seen), sum(seen)) == (held, 2 * len(REFERENCES))


def test_evaluate_mbr_chooses_captions_among_samples(call: Call, run: Path, prepared: Path) -> None:
    code, out, err = call(run, "--mbr", "chrf", "--samples", 6, "--seed", 3, "--json")
    assert code == 0, err
    assert json.loads(out)["search"] == {"no_repeat_ngram": 0, "mbr": "chrf", "samples": 6}
    expected = described(run, prepared, utility=text.utility("chrf", "en"), samples=6, seed=3)
    assert (run / "scores" / "test,mbr=chrf,samples=6.txt").read_text(encoding="utf-8").split("\n")[
        :-1
    ] == expected


def test_evaluate_compares_runs_with_the_first(call: Call, run: Path, other: Path, prepared: Path) -> None:
    code, out, err = call(run, other, f"{run},{other}", run)
    assert code == 0, err
    lines = out.splitlines()
    measures = ["BLEU", "BLEU-4", "CIDEr-D", "ROUGE-L"]
    headers = [
        "system",
        *(word for measure in measures for word in (measure, "95%", "p")),
        "pointing",
        "chance",
        "nats/token",
        "perplexity",
    ]
    assert lines[0].split() == headers
    first, second, _, again = (line.split() for line in lines[1:5])
    assert (first[0], second[0], again[0]) == (str(run), str(other), str(run))
    assert first[3:13:3] == ["-"] * 4
    assert again[3:13:3] == ["1.000"] * 4
    assert [part for part in first if part != "-"] == [part for part in again if part != "1.000"]
    found = described(other, prepared)
    assert second[1] == f"{text.bleu(found, captions.parallel(REFERENCES), 'en').value:.2f}"
    scores = {score.name: f"{score.value:.2f}" for score in captions.scores(found, REFERENCES)}
    assert [second[4], second[7], second[10]] == [scores[measure] for measure in measures[1:]]
    assert [line.split()[0] for line in lines[5:]] == measures
    assert all("bs:1000" in line for line in lines[5:])
    kept = json.loads((other / "scores" / "test.json").read_text(encoding="utf-8"))
    assert set(kept["compared"]) == {"bleu", "bleu_4", "cider", "rouge_l"}
    assert 0 <= kept["compared"]["cider"]["p"] <= 1
    assert kept["ter"] == pytest.approx(text.ter(found, captions.parallel(REFERENCES), "en").value, abs=1e-4)


def test_evaluate_forces_an_ensemble_as_one_model(call: Call, run: Path, other: Path, prepared: Path) -> None:
    record = json.loads(call(f"{run},{other}", "--json")[1])
    by_hand = forced(f"{run},{other}", prepared)
    assert record["cross_entropy"] == pytest.approx(
        -sum(c.log_probability for c in by_hand) / sum(len(c.tokens) + 1 for c in by_hand), rel=1e-5
    )


def test_evaluate_prints_several_splits_under_their_names(call: Call, run: Path) -> None:
    code, out, err = call(run, "--split", "test,test_plain")
    assert code == 0, err
    lines = out.splitlines()
    plain = lines.index("test_plain")
    assert (lines[0], lines[plain - 1]) == ("test", "")
    assert "pointing" in "\n".join(lines[:plain])
    assert "pointing" not in "\n".join(lines[plain:])  # no boxes
    assert (run / "scores" / "test_plain.txt").is_file()


# Where it points


def looking(at: Callable[[Caption, int], Sequence[int]]) -> Callable[..., list[Caption]]:
    """A `score_targets` whose attention is known: word `word` of a caption looks at the cells (row, column)
    of a grid of 2 x 4 that `at` says.
    """

    def score_targets(
        self: Captioner, images: Sequence[Any], texts: Sequence[str], **options: Any
    ) -> list[Caption]:
        found = []
        for image, caption in zip(images, texts, strict=True):
            words = caption.split()
            weights = np.zeros((len(words), 2, 4), np.float32)
            for word in range(len(words)):
                row, column = at(words, word, image[0])
                weights[word, row, column] = 1
            found.append(
                Caption(
                    caption,
                    -1.0,
                    -1.0,
                    [5] * len(words),
                    words=words,
                    attention=weights.reshape(len(words), 8),
                    grid=(2, 4),
                )
            )
        return found

    return score_targets


def right_side(image: np.ndarray) -> bool:
    return bool((image[0, 0, 0] == 255).all())  # the left is white


@pytest.mark.parametrize(
    ("at", "hits"),
    [
        (
            lambda words, word, image: (1, 3 if right_side(image) else 0) if words[word] == "bar" else (0, 0),
            1.0,
        ),
        (
            lambda words, word, image: (1, 0 if right_side(image) else 3) if words[word] == "bar" else (0, 0),
            0.0,
        ),
        (lambda words, word, image: (0, 1), None),  # always on the left
        # the word behind the thing's
        (
            lambda words, word, image: (
                1,
                3 if right_side(image) == (words[word - 1 if word else 0] == "bar") else 0,
            ),
            0.0,
        ),
    ],
)
def test_pointing_counts_a_word_whose_largest_weight_is_in_its_box(
    call: Call, run: Path, monkeypatch: pytest.MonkeyPatch, at: Callable[..., Any], hits: float | None
) -> None:
    monkeypatch.setattr(Captioner, "score_targets", looking(at))
    found = json.loads(call(run, "--json")[1])["pointing"]
    every = [number for number in tiny_captions.numbers("test") for _ in tiny_captions.captions(number)]
    by_hand = sum(number % 2 == 0 for number in every) / len(every) if hits is None else hits
    assert found == {
        "accuracy": pytest.approx(by_hand),
        "chance": pytest.approx(0.5),
        "words": len(every),
        "left_out": 0,
    }
    expected_line = f"pointing {100 * by_hand:.1f}%  chance 50.0%  ({len(every)} words, 0 boxes left out)"
    assert expected_line in call(run)[1].splitlines()


@pytest.mark.parametrize("bug", ["word", "image"])
def test_pointing_is_low_with_weights_of_another_word_or_image(
    call: Call, run: Path, monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    honest = looking(lambda words, word, image: (1, 3 if right_side(image) == (words[word] == "bar") else 0))

    def score_targets(
        self: Captioner, images: Sequence[Any], texts: Sequence[str], **options: Any
    ) -> list[Caption]:
        if bug == "image":
            return honest(self, [*images[1:], images[0]], texts)
        return [
            replace(caption, attention=np.roll(caption.attention, 1, 0))
            for caption in honest(self, images, texts)
        ]

    monkeypatch.setattr(Captioner, "score_targets", score_targets)
    assert json.loads(call(run, "--json")[1])["pointing"]["accuracy"] < 0.8
    monkeypatch.setattr(Captioner, "score_targets", honest)
    assert json.loads(call(run, "--json")[1])["pointing"]["accuracy"] == 1


def test_evaluate_of_a_run_without_attention_prints_no_pointing(
    call: Call, tmp_path: Path, prepared: Path
) -> None:
    blind = tiny_captions.save_run(
        tmp_path / "blind", prepared, context_source="summary", context_to=["input"], bridge="mean"
    )
    code, out, err = call(blind)
    assert code == 0, err
    assert "pointing" not in out
    assert out.splitlines()[-1].startswith("perplexity ")


def test_pointing_is_left_out_for_clips(
    call: Call, tmp_path: Path, prepared: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tiny_captions.prepare(tmp_path / "clips", monkeypatch, tiny_captions.corpus(clips=True))
    watching = tiny_captions.save_run(tmp_path / "watching", clips, encoder={"max_frames": 2})
    code, out, err = call(watching)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()][-2:] == ["ROUGE-L", "perplexity"]
    code, out, err = call(run, "--data", clips)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "holds clips" in err
    code, out, err = call(watching, "--data", prepared)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "holds stills" in err


# Captions of any system


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """A system's captions, and the references in files of one caption an image, blank where there is no
    more.
    """
    files = {
        "good": [some[-1] for some in REFERENCES],
        "bad": ["a bar"] * len(REFERENCES),
        "short": ["a bar"],
        **{
            f"ref{place}": [some[place] if place < len(some) else "" for some in REFERENCES]
            for place in range(3)
        },
        "none": ["", *["a bar"] * 5],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {name: tmp_path / name for name in files}


def test_hypotheses_are_scored_against_all_references_of_a_split(
    call: Call, prepared: Path, written: dict[str, Path]
) -> None:
    code, out, err = call("--hypotheses", written["good"], "--data", prepared, "--split", "test")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["BLEU", "chrF2", "TER", *BLEU_1_TO_4, "CIDEr-D", "ROUGE-L"]
    assert [line.split()[1] for line in lines[:7]] == [
        "100.00",
        "100.00",
        "0.00",
        "100.00",
        "100.00",
        "100.00",
        "100.00",
    ]
    code, out, err = call("--hypotheses", written["good"], written["bad"], "--data", prepared, "--json")
    good, bad = map(json.loads, out.splitlines())
    assert bad["cider"] == pytest.approx(captions.scores(["a bar"] * 6, REFERENCES)[4].value, abs=1e-4)
    assert bad["compared"]["cider"]["p"] < 0.05
    assert good["bleu"] > bad["bleu"]


def test_evaluate_compares_a_run_and_a_file(call: Call, run: Path, written: dict[str, Path]) -> None:
    code, out, err = call(run, "--hypotheses", written["good"])
    assert code == 0, err
    row = out.splitlines()[2].split()
    assert row[0] == str(written["good"])
    assert row[-4:] == ["-"] * 4  # it has no attention and no probabilities to tell of


def test_captions_option_scores_files_as_a_split(
    call: Call, prepared: Path, written: dict[str, Path]
) -> None:
    references = [written[f"ref{place}"] for place in range(3)]
    arguments = ("--hypotheses", written["bad"], "--reference", *references, "--json")
    code, out, err = call(*arguments, "--captions", "--language", "en")
    assert code == 0, err
    of_files = json.loads(out)
    of_split = json.loads(call("--hypotheses", written["bad"], "--data", prepared, "--json")[1])
    assert {key: value for key, value in of_files.items() if key not in ("split", "data")} == {
        key: value for key, value in of_split.items() if key not in ("split", "data")
    }
    # text, unless they are said to be captions
    assert set(json.loads(call(*arguments)[1])["signatures"]) == {"bleu", "chrf", "ter"}


# What makes no sense, or is not there


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--by-length"), "--by-length is for text"),
        (("run", "--gold", "good"), "pointing accuracy is printed if"),
        (
            ("run", "--source", "good", "--reference", "ref0"),
            "`seq2attn prepare`), and name the folder with --data",
        ),
        (("run", "translating"), "describes images and"),
        (("translating", "run"), "describes images and"),
        (("run,translating",), "describes images and"),
        (("translating", "--allow-code"), "--allow-code is for runs that name code of your own"),
        (("--hypotheses", "good", "--data", "prepared", "--by-length"), "--by-length is for text"),
        (("--hypotheses", "good", "--data", "prepared", "--captions"), "--captions needs --reference FILE"),
        (("--hypotheses", "good", "--data", "prepared", "--allow-code"), "--allow-code needs RUN"),
        (("run", "--captions"), "--captions and RUN"),
        (
            ("--hypotheses", "good", "--reference", "ref0", "--source", "ref0", "--captions"),
            "--captions and --source",
        ),
    ],
)
def test_evaluate_refuses_options_of_text_for_images(
    call: Call,
    run: Path,
    prepared: Path,
    tmp_path: Path,
    written: dict[str, Path],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    translating = tiny.save_run(tmp_path / "translating")
    known: dict[str, object] = {
        **written,
        "run": run,
        "translating": translating,
        "prepared": prepared,
        "run,translating": f"{run},{translating}",
    }
    code, out, err = call(*(known.get(word, word) for word in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--split", "tset"), "no split tset; there are"),
        (("translating", "--data", "prepared"), "name a prepared folder of text with --data"),
        (("--hypotheses", "short", "--data", "prepared"), "split test 6: every line needs its own"),
        (
            ("--hypotheses", "short", "--reference", "ref0", "--captions"),
            "the reference 6: every line needs its own",
        ),
        (("--hypotheses", "good", "--reference", "none", "--captions"), "image 1 has no reference"),
    ],
)
def test_evaluate_reports_wrong_inputs_on_one_line(
    call: Call,
    run: Path,
    prepared: Path,
    tmp_path: Path,
    written: dict[str, Path],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    known: dict[str, object] = {
        **written,
        "run": run,
        "translating": tiny.save_run(tmp_path / "translating"),
        "prepared": prepared,
    }
    code, out, err = call(*(known.get(word, word) for word in arguments))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err


def test_evaluate_names_the_data_that_an_image_run_needs(call: Call, run: Path, tmp_path: Path) -> None:
    from seq2attn import config
    from seq2attn.data.prepare import prepare

    for split in ("train", "test"):
        for side, lines in (("en", tiny.ENGLISH), ("fr", tiny.FRENCH)):
            (tmp_path / f"{split}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for file in [*tmp_path.glob("*")]:
        if file.suffix in (".en", ".fr"):
            (tmp_path / "raw").mkdir(exist_ok=True)
            file.rename(tmp_path / "raw" / file.name)
    options = config.DataConfig(source="en", target="fr", vocab_size=60, keep=("all",))
    prepare(str(tmp_path / "raw"), tmp_path / "text", options)
    code, out, err = call(run, "--data", tmp_path / "text")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "name a prepared folder of captioned images with --data" in err


# The test at the end of a training


def test_train_prints_the_scores_that_evaluate_prints(
    call: Call, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        "max_steps=2",
        "validate_every=2",
        "validate_sentences=2",
        "batch_tokens=200",
        "warmup=0",
        "captions_per_image=2",
    ]
    sizes = [
        "embedding=16",
        "encoder.size=16",
        "encoder.channels=4",
        "encoder.blocks=[1]",
        "encoder.image_size=32",
        "decoder.size=16",
        "attention.size=8",
    ]
    settings = (
        [f"train.{change}" for change in changes]
        + [f"model.{size}" for size in sizes]
        + ["search.max_length=9"]
    )
    trained = tmp_path / "trained"
    arguments = [
        "train",
        "xu15-soft",
        "--data",
        str(prepared),
        "--out",
        str(trained),
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ]
    assert (
        application.run([*arguments, *(part for setting in settings for part in ("--set", setting))]) == 0
    ), capsys.readouterr().err
    out = capsys.readouterr().out.splitlines()
    of_test, of_plain = (
        [line.removesuffix(f"  {name}") for line in out if line.endswith(f"  {name}")]
        for name in ("test", "test_plain")
    )
    assert len(of_test) + len(of_plain) == len(out)
    assert call(trained, "--device", "cpu")[1].splitlines() == of_test
    assert call(trained, "--device", "cpu", "--split", "test_plain")[1].splitlines() == of_plain


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["a dog runs over the grass"], "there is one image alone"),
        (["a dog runs over the grass"] * 3, "every word is said of every image"),
        (["a dog runs over the grass", "a cat sleeps under a tree"], None),
    ],
)
def test_evaluate_explains_a_cider_of_zero(
    call: Call, tmp_path: Path, lines: list[str], why: str | None
) -> None:
    (tmp_path / "a").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    for options in ([], ["--json"]):
        code, _, err = call(
            "--hypotheses", tmp_path / "a", "--reference", tmp_path / "a", "--captions", *options
        )
        assert code == 0
        assert err.count("CIDEr-D is not informative here: ") == (why is not None)
        assert why is None or why in err


def test_evaluate_compares_captions_in_one_form(call: Call, tmp_path: Path) -> None:
    composed = [
        "une chèvre noire à côté d'un garçon",
        "l'été à la mer est très beau",
        "un père élève son fils",
    ]
    (tmp_path / "composed").write_text("".join(line + "\n" for line in composed), encoding="utf-8")
    decomposed = [unicodedata.normalize("NFD", line) for line in composed]
    (tmp_path / "decomposed").write_text("".join(line + "\n" for line in decomposed), encoding="utf-8")
    found = []
    for one in ("composed", "decomposed"):
        for other in ("composed", "decomposed"):
            _, out, err = call(
                "--hypotheses", tmp_path / one, "--reference", tmp_path / other, "--captions", "--json"
            )
            assert err.count("decomposed: 3 of 3 lines are not in Unicode's composed form") == (
                one,
                other,
            ).count("decomposed")
            found.append(
                {
                    key: value
                    for key, value in json.loads(out).items()
                    if key not in ("system", "split", "data")
                }
            )
    assert found[1:] == found[:1] * 3
    assert found[0]["bleu"] == found[0]["bleu_4"] == found[0]["rouge_l"] == pytest.approx(100)
    assert found[0]["cider"] == pytest.approx(10)


def test_evaluate_leaves_out_blank_references(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a dog runs over the grass\na cat sleeps under a tree\n", encoding="utf-8")
    (tmp_path / "b").write_text("\u200b\u200f\na cat sits under a tree\n", encoding="utf-8")
    code, out, _ = call(
        "--hypotheses", tmp_path / "a", "--reference", tmp_path / "a", tmp_path / "b", "--captions", "--json"
    )
    assert code == 0
    assert "nrefs:1-2|" in json.loads(out)["signatures"]["cider"]
    code, out, err = call("--hypotheses", tmp_path / "a", "--reference", tmp_path / "b", "--captions")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "image 1 has no reference" in err


def test_caption_test_set_compares_without_case_if_lowercase() -> None:
    written = [["A Dog runs over THE grass", "the dog"], ["Two Cats sleep in a Box"]] * 6
    lower = [of_image[0].lower() for of_image in written]
    systems = [System("one", lower), System("other", [*lower[1:], "a bird"])]
    CaptionTestSet("test", "here", written, language="en", lowercase=True).score(systems)
    for system in systems:
        assert system.scores[0].name == "BLEU"
        assert "case:lc" in system.scores[0].signature
        assert system.compared["BLEU"].value == pytest.approx(system.scores[0].value)
    assert systems[0].compared["BLEU"].value > 99


def test_caption_test_set_describes_nothing_again_where_there_are_outputs_even_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*arguments: object, **options: object) -> list[str]:
        raise AssertionError("described again")

    monkeypatch.setattr(captioning, "caption", never)
    forced: Any = captioning.Forced(Likelihood(0.0, 0, 0, 0), None)
    monkeypatch.setattr(captioning, "force", lambda *_, **__: forced)
    split: Any = object()
    reader: Any = SimpleNamespace(clips=False)
    system = System("run")
    CaptionTestSet("test", "here", [], split=split).take(system, reader, DEFAULTS, SILENT, outputs=[])
    assert (system.outputs, system.likelihood) == ([], forced.likelihood)
