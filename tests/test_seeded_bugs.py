"""The table of seeded bugs fits the code: a row whose text is gone would prove nothing. The script itself
takes minutes and is run by hand.
"""

import pytest
import seeded_bugs


def test_every_row_fits_the_code() -> None:
    assert len(seeded_bugs.BUGS) > 12
    assert not seeded_bugs.refusals(list(seeded_bugs.BUGS)), (
        "update the row in tests/seeded_bugs.py, or drop it with what it was about"
    )


def test_every_row_names_tests_that_exist() -> None:
    assert not {
        bug.tests[0] for bug in seeded_bugs.BUGS if not (seeded_bugs.ROOT / "tests" / bug.tests[0]).is_file()
    }


def test_a_row_that_does_not_fit_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [seeded_bugs.Bug("models/memory.py", old, "new", ("x",)) for old in ("no such text", "return")] + [
        seeded_bugs.Bug("models/none.py", "a", "b", ("x",))
    ]
    monkeypatch.setattr(seeded_bugs, "BUGS", rows)
    assert seeded_bugs.main([]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "stands 0 times" in said[0]
    assert said[2].endswith("no such file")
