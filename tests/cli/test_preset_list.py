"""`train --list` and `--show`: the presets in groups, a short line each, and what a preset's file says of
itself.
"""

import re
from pathlib import Path

import pytest

from seq2attn import config
from seq2attn.cli import app, glossary, settings_help
from seq2attn.tasks import presets

ORDER = ["start here", "papers", "one part changed", "images and clips", "paper sizes"]


def train(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = app.run(["train", *arguments])
    return code, *capsys.readouterr()


def test_head_gives_every_preset_a_group_and_a_short_line() -> None:
    assert list(presets.GROUPS) == ORDER
    heads = {name: presets.head(path) for name, path in config.presets().items()}
    assert {one.group for one in heads.values()} == set(ORDER)
    assert all(one.short for one in heads.values())
    assert {name for name, one in heads.items() if one.group == "paper sizes"} == {
        name for name in heads if name.endswith("-paper")
    }
    images = {name for name, one in heads.items() if one.group == "images and clips"}
    assert images == {name for name in heads if config.load(name).model.images}
    assert presets.head(config.presets()["first-try"]).group == "start here"


def test_list_has_every_preset_once_in_groups_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = train(capsys, "--list")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= presets.WIDTH == 80
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(config.presets())
    assert [line.split(":")[0] for line in lines if line and not line.startswith("  ")] == ORDER
    assert lines[1].split()[0] == "first-try"
    assert "3 min on phrases" in lines[1]
    assert len({line.split(None, 1)[1] for line in lines if line.startswith("  ")}) == len(config.presets())


@pytest.mark.parametrize(
    ("word", "some", "none"),
    [
        ("hard", ["hard-topk", "hard-sample", "gumbel", "xu15-hard"], ["bahdanau15", "xu15-soft"]),
        ("LUONG", ["luong15", "luong15-local-p", "luong15-paper"], ["cho14", "recurrent"]),
        ("images", ["xu15-soft", "video", "caption-fixed"], ["luong15"]),
        ("paper sizes", ["cho14-paper"], ["cho14"]),
        ("first-try", ["first-try"], ["recurrent"]),
    ],
)
def test_list_with_a_word_has_the_presets_with_that_word(
    capsys: pytest.CaptureFixture[str], word: str, some: list[str], none: list[str]
) -> None:
    for arguments in (("--list", word), (word, "--list")):
        code, out, _ = train(capsys, *arguments)
        names = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
        assert code == 0
        assert set(some) <= set(names)
        assert not set(none) & set(names)


def test_list_with_a_word_of_no_preset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = train(capsys, "--list", "zebra")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--list zebra: no preset" in err


def test_every_preset_names_its_paper_and_what_was_measured() -> None:
    for name, path in config.presets().items():
        head = "\n".join(presets.comment(path))
        for part in ("# Paper: ", "https://arxiv.org/", "# Measured: "):
            assert part in head, name


@pytest.mark.parametrize(
    "name",
    [  # every fifth is quick
        pytest.param(name, marks=pytest.mark.slow if number % 5 else ())
        for number, name in enumerate(sorted(config.presets()))
    ],
)
def test_show_begins_with_what_the_preset_says_of_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    code, out, _ = train(capsys, name, "--show")
    assert code == 0
    head, _, settings = out.partition("\n\n")
    assert head.splitlines() == presets.comment(config.presets()[name])
    assert settings.startswith("about = ")
    (tmp_path / "mine.toml").write_text(out, encoding="utf-8")
    assert config.load(str(tmp_path / "mine.toml")) == config.load(name)
    assert train(capsys, str(tmp_path / "mine.toml"), "--show") == (0, out, "")


def test_show_describes_every_setting_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bahdanau15", "transformer", "gehring17", "video"):
        _, out, _ = train(capsys, name, "--show")
        lines = out.partition("\n\n")[2].splitlines()
        comments = [line for line in lines if "# " in line.lstrip("# ") or line.startswith("    # ")]
        assert max(map(len, comments)) <= settings_help.COLUMNS
        unwrapped = re.sub(r"\n *# ", " ", "\n".join(lines))
        for key in config.flat(config.load(name)):
            assert config.description(config.load(name), key) in unwrapped


def test_show_gives_the_formula_of_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = train(capsys, "bahdanau15", "--show")
    settings = re.sub(r"\n *# ", " ", out.partition("\n\n")[2])
    assert ".py" not in settings
    assert (
        "additive: v . tanh(W s + U h); dot: s . h; scaled-dot: s . h / sqrt(size); general: s . W h; "
        "keyed: q(s) . k(h)"
    ) in settings
    assert "bahdanau15: normal, standard deviation 0.01" in settings
    scores = next(field.annotation for key, _, field in config.fields() if key == "model.attention.score")
    for score in config.choices(scores):
        assert f" {score}: " in settings


def test_glossary_explains_its_words_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = train(capsys, "--glossary")
    assert code == 0
    assert "teacher forcing  " in out
    assert len([line for line in out.splitlines() if not line.startswith(" ")]) == len(glossary.WORDS)
    assert max(map(len, out.splitlines())) <= glossary.COLUMNS


@pytest.mark.parametrize("word", ["image", "Images", "images", "photos", "captions"])
def test_list_knows_other_words_for_images(capsys: pytest.CaptureFixture[str], word: str) -> None:
    code, out, err = train(capsys, "--list", word)
    assert code == 0
    assert {"xu15-soft", "caption-transformer", "selfattention-cnn"} <= set(out.split())
    assert "first-try" not in out
    assert max(map(len, err.splitlines())) <= 80


# A file that begins from a preset


def test_file_may_begin_from_a_preset(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '# Mine\npreset = "bahdanau15"\nmodel.dropout = 0.5\n[train]\nlr = 0.01\n'
    )
    file = str(tmp_path / "mine.toml")
    assert config.load(file) == config.load("bahdanau15", ["model.dropout=0.5", "train.lr=0.01"])
    assert config.load(file, ["train.lr=0.02"]) == config.load(
        "bahdanau15", ["model.dropout=0.5", "train.lr=0.02"]
    )
    code, out, _ = train(capsys, file, "--show")
    assert code == 0
    assert out.startswith("# Mine\n\n")
    assert "train.lr = 0.01" in out
    assert f"train.max_steps = {config.load('bahdanau15').train.max_steps} " in out
    assert "preset =" not in out


def test_section_of_another_kind_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('preset = "transformer"\n[model.encoder]\nkind = "rnn"\nsize = 32\n')
    assert config.load(str(tmp_path / "mine.toml")) == config.load(
        "transformer", ["model.encoder.kind=rnn", "model.encoder.size=32"]
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('preset = "bahdanau"', "did you mean bahdanau15?"),
        ('preset = "zebra"', "train --list"),
        ('preset = "mine.toml"', "a file is not possible here"),
        ('preset = "other.toml"', "a file is not possible here"),
        ("preset = 3", "train --list"),
        ('preset = ["luong15"]', "train --list"),
        ("[preset]\nname = 1", "train --list"),
        ('preset = "cho14"\ntrain.lrr = 1', "train.lrr: no such setting; did you mean train.lr?"),
        ('base = "bahdanau15"', 'write preset = "bahdanau15"'),
        ('extends = "bahdanau15"', 'write preset = "bahdanau15"'),
    ],
)
def test_file_that_begins_from_no_preset_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "other.toml").write_text('preset = "mine.toml"\n')
    (tmp_path / "mine.toml").write_text(f"{line}\n")
    code, out, err = train(capsys, str(tmp_path / "mine.toml"), "--show")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert "mine.toml: " in err
