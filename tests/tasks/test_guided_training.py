"""Guided attention from a corpus to a run: what `train` needs, and which settings it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny

import seq2attn
from seq2attn.config import DataConfig
from seq2attn.data.prepare import prepare
from seq2attn.data.prepared import Prepared
from seq2attn.data.text.token_links import token_links
from seq2attn.data.text.words import word_numbers
from seq2attn.errors import UsageError, UserError
from seq2attn.explaining.aligner import pharaoh
from seq2attn.runs.choice import remembered

TINY = {
    "model.embedding": 8,
    "model.encoder.size": 4,
    "model.decoder.size": 8,
    "train.max_steps": 3,
    "train.validate_sentences": 2,
    "search.max_length": 4,
}


def corpus(path: Path, links: bool) -> Path:
    path.mkdir()
    for split in ("train", "valid"):
        (path / f"{split}.en").write_text("\n".join(tiny.ENGLISH) + "\n")
        (path / f"{split}.fr").write_text("\n".join(tiny.FRENCH) + "\n")
        if links:
            (path / f"{split}.align").write_text("0-0 1-1 2-2\n" * len(tiny.ENGLISH))
    return path


def test_training_is_guided_by_the_links_of_a_corpus(tmp_path: Path) -> None:
    folder = seq2attn.prepare(
        corpus(tmp_path / "corpus", True),
        tmp_path / "p",
        source="en",
        target="fr",
        vocab_size=80,
        keep=("all",),
    )
    losses = {}
    for guide in (0, 1):
        events = []
        seq2attn.train(
            "first-try", folder, tmp_path / str(guide), TINY | {"train.guide": guide}, on_event=events.append
        )
        losses[guide] = [event.loss for event in events if hasattr(event, "loss")]
    assert losses[0] != losses[1]
    assert losses[0][0] == losses[1][0]  # of the first update: what is shown is without the guide


def test_training_without_links_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = seq2attn.prepare(
        corpus(tmp_path / "corpus", False),
        tmp_path / "p",
        source="en",
        target="fr",
        vocab_size=80,
        keep=("all",),
    )
    with pytest.raises(UserError) as error:
        seq2attn.train("first-try", folder, tmp_path / "run", TINY | {"train.guide": 0.1})
    assert "have no word links" in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_of_the_guide_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        seq2attn.train("first-try", None, tmp_path / "run", {"train.guide_head": 1})
    assert "train.guide is 0; leave it out, or set train.guide=0.1" in str(error.value)


def test_training_pairs_are_linked_by_a_run_and_its_reverse(tmp_path: Path) -> None:
    runs = tiny.save_run(tmp_path / "there", 1), tiny.save_run(tmp_path / "back", 2)
    settings = json.loads((runs[1] / "config.json").read_text())
    settings["languages"] = ["fr", "en"]
    (runs[1] / "config.json").write_text(json.dumps(settings))
    source = corpus(tmp_path / "corpus", False)
    options = {"source": "en", "target": "fr", "vocab_size": 80, "keep": ("all",)}
    one = seq2attn.prepare(source, tmp_path / "one", align_with=runs[0], **options)
    both = seq2attn.prepare(source, tmp_path / "both", align_with=runs[0], align_reverse=runs[1], **options)
    wishes = {one: {}, both: {"reverse": runs[1]}}
    for folder, words in wishes.items():
        split = folder.split("train")
        assert split.gold is None  # links of an aligner are no gold
        assert folder.report["notes"][-1].startswith(f"train: words are linked by the attention of {runs[0]}")
        want = seq2attn.align(runs[0], tiny.ENGLISH, tiny.FRENCH, **words)
        tokenizers = folder.source_tokenizer, folder.target_tokenizer
        for row, links in enumerate(split.links(np.arange(len(split)))):
            texts = tiny.ENGLISH[row], tiny.FRENCH[row]
            ids = tokenizers[0].encode(texts[0]), tokenizers[1].encode(texts[1])
            line = pharaoh(want[row] or [])
            assert links.ravel().tolist() == token_links(line, texts, ids, tokenizers, "x")
    assert not both.split("valid").has_links


def test_linkers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "there", 1)
    source = corpus(tmp_path / "corpus", False)
    options = {"source": "en", "target": "fr", "vocab_size": 80}
    with pytest.raises(UsageError) as error:
        seq2attn.prepare(source, tmp_path / "p", align="eflomal", align_with=run, **options)
    assert "leave one out" in str(error.value)
    with pytest.raises(UsageError) as error:
        seq2attn.prepare(source, tmp_path / "p", align_reverse=run, **options)
    assert "align_reverse needs" in str(error.value)
    with pytest.raises(UsageError) as error:
        seq2attn.prepare("scenes", tmp_path / "p", align_with=run)
    assert "holds images" in str(error.value)
    fixed = tiny.save_run(tmp_path / "fixed", context_source="summary", query_state="current")
    with pytest.raises(UserError) as failure:
        seq2attn.prepare(source, tmp_path / "p", align_with=fixed, **options)
    assert "has no attention to align words by" in str(failure.value)
    assert not (tmp_path / "p").exists()


def test_aligner_with_too_few_lines_is_one_line(tmp_path: Path) -> None:
    options = DataConfig(source="en", target="fr", vocab_size=80, keep=("all",))
    with pytest.raises(UserError) as error:
        prepare(
            str(corpus(tmp_path / "corpus", False)),
            tmp_path / "p",
            options,
            linker=lambda pairs, folder, progress: iter(["0-0"] * 3),
        )
    assert f"the aligner gave 3 lines for {len(tiny.ENGLISH)} pairs" in str(error.value)


def test_links_of_an_aligner_take_the_place_of_those_of_the_corpus(tmp_path: Path) -> None:
    options = DataConfig(source="en", target="fr", vocab_size=80, keep=("all",))
    lines = ["0-0"] * len(tiny.ENGLISH)
    prepare(
        str(corpus(tmp_path / "corpus", True)),
        tmp_path / "p",
        options,
        shrink=True,
        linker=lambda pairs, folder, progress: iter(lines[: len(list(pairs()))]),
    )
    split = Prepared(tmp_path / "p").split("train")
    assert split.gold == ["0-0 1-1 2-2"] * len(split)
    ids, tokenizer = split.ids(np.array([0]))[1][0].tolist(), Prepared(tmp_path / "p").target_tokenizer
    words = word_numbers(tiny.FRENCH[0], ids, tokenizer)
    assert {words[t] for t, _, _ in split.links(np.array([0]))[0].tolist()} == {0}


def test_a_guided_run_remembers_what_it_was_taught(tmp_path: Path) -> None:
    folder = seq2attn.prepare(
        corpus(tmp_path / "corpus", True),
        tmp_path / "p",
        source="en",
        target="fr",
        vocab_size=80,
        keep=("all",),
    )
    for guide in (0, 1):
        changes = TINY | {"train.guide": guide, "train.max_steps": 1}
        if guide:
            changes |= {"train.guide_shift": 1}
        seq2attn.train("first-try", folder, tmp_path / str(guide), changes)
    plain, guided = (tmp_path / name for name in "01")
    assert remembered(plain) is None
    assert remembered(guided) == (1, 1, 1)
    texts = tiny.ENGLISH[:3], tiny.FRENCH[:3]
    assert seq2attn.align(guided, *texts) == seq2attn.align(guided, *texts, layer=1, head=1, shift=1)
    assert seq2attn.align(guided, *texts) != seq2attn.align(guided, *texts, shift=0)
