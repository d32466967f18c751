"""The table of seeded bugs fits the code: a row whose text is gone would prove nothing. The script itself
takes minutes and is run by hand.
"""

import pytest
import seeded_bugs


def test_rows_fit_the_code() -> None:
    assert len(seeded_bugs.BUGS) > 12
    assert not seeded_bugs.refusals(list(seeded_bugs.BUGS)), (
        "update the row in tests/seeded_bugs.py, or drop it with what it was about"
    )


def test_rows_name_tests_that_exist() -> None:
    assert not {
        bug.tests[0] for bug in seeded_bugs.BUGS if not (seeded_bugs.ROOT / "tests" / bug.tests[0]).is_file()
    }


def test_main_refuses_rows_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [seeded_bugs.Bug("models/memory.py", old, "new", ("x",)) for old in ("no such text", "return")] + [
        seeded_bugs.Bug("models/none.py", "a", "b", ("x",))
    ]
    monkeypatch.setattr(seeded_bugs, "BUGS", rows)
    assert seeded_bugs.main([]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "the old text 0 times" in lines[0]
    assert lines[2].endswith("no such file")
