"""The commands on the device: each as on a CPU."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import image_toy
import pytest
import tiny_images

from seq2attn.cli import app, console

WORDS = {"one": "un", "two": "deux", "three": "trois", "cats": "chats", "dogs": "chiens", "sleep": "dorment"}
TEXT = (
    *("data.tokenizer=word", "data.vocab_size=20", "data.joint=false", "model.tied=none"),
    *("model.embedding=8", "model.encoder.size=8", "model.decoder.size=16", "search.beam=2"),
    *("train.batch_tokens=300", "train.log_every=5", "train.validate_every=10"),
)
IMAGES = (
    *("model.embedding=4", "model.decoder.size=8", "model.encoder.image_size=32", "model.encoder.size=8"),
    *("search.max_length=5", "train.self_critical.start_step=1", "train.self_critical.samples=2"),
)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, with corpora of texts and of images; and a cache of its own."""
    home, before = tmp_path_factory.mktemp("commands"), Path.cwd()
    (home / "corpus").mkdir()
    draw = random.Random(1)
    for split, count in (("train", 100), ("valid", 8), ("test", 6)):
        pairs = [draw.choices(list(WORDS.items()), k=draw.randint(1, 5)) for _ in range(count)]
        for side, language in enumerate(("en", "fr")):
            lines = (" ".join(pair[side] for pair in words) + "\n" for words in pairs)
            (home / "corpus" / f"{split}.{language}").write_text("".join(lines))
    image_toy.folder(home / "images", 6, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("HOME", str(home))
        os.chdir(home)
        yield home
        os.chdir(before)


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """`seq2attn ARGUMENTS --device cuda` in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(console, "quiet", False)
        code = app.run([*arguments, "--device", "cuda"])
        return code, *capsys.readouterr()

    return run


def settings(changes: tuple[str, ...]) -> list[str]:
    return [part for change in changes for part in ("--set", change)]


def test_train_goes_from_a_corpus_to_the_test_score_and_translates(call: Call, home: Path) -> None:
    train = ("train", "first-try", "--data", "corpus", "--source", "en", "--target", "fr", "--out", "run")
    code, out, err = call(*train, *settings(TEXT), "--max-steps", "12")
    assert code == 0, err
    assert "BLEU" in out
    provenance = json.loads(Path("run/provenance.jsonl").read_text().splitlines()[0])
    assert provenance["device"].startswith("cuda:0 (a simulated CUDA device")
    assert provenance["precision"] == "bf16"

    code, out, err = call("train", "--out", "run", "--resume", "--max-steps", "14")
    assert code == 0, err
    assert "step 14" in err

    Path("lines.en").write_text("one cats sleep\ntwo dogs\n")
    Path("lines.fr").write_text("un chats dorment\ndeux chiens\n")
    outputs = {}
    for precision in ("fp32", "bf16", "fp16"):
        code, out, err = call("translate", "run", "lines.en", "--precision", precision)
        assert code == 0, err
        outputs[precision] = out
        assert len(out.splitlines()) == 2
    code, out, err = call("evaluate", "run", "--source", "lines.en", "--reference", "lines.fr")
    assert code == 0, err
    assert "BLEU" in out
    code, out, err = call(
        "plot-alignment", "run", "--source", "one cats sleep", "--target", "un", "-o", "a.png"
    )
    assert code == 0, err
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_train_on_images_with_self_critical_updates(call: Call, home: Path) -> None:
    train = ("train", "caption-fixed", "--data", "images", "--out", "captions", "--max-steps", "2")
    code, _, err = call(*train, *settings(IMAGES))
    assert code == 0, err
    assert "step 2: all steps are done" in err


def test_caption_writes_a_line_for_each_image(call: Call, home: Path) -> None:
    run = str(tiny_images.save_run(home / "tiny"))
    images = [str(tiny_images.draw(home / f"{number}.png", number)) for number in range(3)]
    code, out, err = call("caption", run, *images)
    assert code == 0, err
    assert len(out.splitlines()) == 3
