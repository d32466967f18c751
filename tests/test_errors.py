"""Errors of the library name arguments; the command line writes them as flags."""

from pathlib import Path

import pytest

from seq2attn.errors import UsageError, UserError, with_flags

FLAGS = {"--device", "--resume", "--follow-links"}


@pytest.mark.parametrize(
    ("message", "setting", "printed"),
    [
        ("device gpu: choose cpu", "device", "--device gpu: choose cpu"),
        ("device_map gpu: choose cpu", "device", "device_map gpu: choose cpu"),
        ("beam 0: choose 1", "beam", "beam 0: choose 1"),
        ("device gpu: choose cpu", None, "device gpu: choose cpu"),
        ("/a: continue it with `resume`", None, "/a: continue it with --resume"),
        ("/resume: allow `follow_links` or `out`", None, "/resume: allow --follow-links or `out`"),
        ("no run; `seq2attn train` makes one", None, "no run; `seq2attn train` makes one"),
    ],
)
def test_with_flags_writes_arguments_of_the_command_as_flags(
    message: str, setting: str | None, printed: str
) -> None:
    assert with_flags(message, FLAGS, setting) == printed


def test_user_error_keeps_message_setting_and_exit_code() -> None:
    error = UsageError("device gpu: choose cpu", setting="device")
    assert (str(error), error.setting, error.exit_code) == ("device gpu: choose cpu", "device", 2)
    assert UserError(f"{Path('x')}: damaged").setting is None
    assert UserError("").exit_code == 1
