"""The notebooks run from the first cell to the last, and are stored without what they print."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_examples import PAGES, ROOT

NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
FIRST_LOOK = ROOT / "docs" / "notebooks" / "first-look.ipynb"


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    assert not [cell["id"] for cell in notebook["cells"] if cell["metadata"]]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert path.read_text(encoding="utf-8") == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_notebooks_lead_to_existing_files(path: Path) -> None:
    texts = ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    links = [link for text in texts for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    assert links
    assert not [link for link in links if not (path.parent / link).is_file()]


def test_notebook_is_named_where_readers_begin() -> None:
    for page in ("README.md", "README.zh.md", "docs/index.md", "docs/python.md"):
        assert "notebooks/first-look.ipynb)" in PAGES[page], page


def executed(notebook: dict[str, Any], folder: Path) -> Any:
    """The notebook after its cells have run in a process of their own, in `folder`."""
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `notebook`")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebook`")
    result = nbformat.from_dict(notebook)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "MPLCONFIGDIR": str(folder),
        "IPYTHONDIR": str(folder),
        "PYTHONWARNINGS": "error::DeprecationWarning:__main__",
    }
    client = nbclient.NotebookClient(
        result, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)
    return result


def outputs_of(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The kind and the text of each output of a cell."""
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            yield output["name"], output["text"]
        yield from output.get("data", {}).items()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's client, not ours
def test_first_look_runs(tmp_path: Path) -> None:
    cells = executed(read(FIRST_LOOK), tmp_path)["cells"]
    outputs = ["\n".join(f"{kind}: {text}" for kind, text in outputs_of(cell)) for cell in cells]
    everything = "\n".join(outputs)
    assert "stderr: " not in everything
    by_start = {"".join(cell["source"])[:24]: output for cell, output in zip(cells, outputs, strict=True)}
    assert "image/png" in by_start["run, losses = train_live"]
    assert "validation loss" in by_start["run, losses = train_live"]
    assert "text/html: <table>" in by_start["seq2attn.evaluate(run)"]
    assert ">AER</th>" in by_start["seq2attn.evaluate(run)"]
    assert "image/png" in by_start["seq2attn.plot(translatio"]
    assert "text/html" in by_start["translations[1]"]
    assert "scaled-dot" in by_start["reports = seq2attn.evalu"]
    assert "keyed" in by_start["reports = seq2attn.evalu"]
    assert "±" in by_start["reports = seq2attn.evalu"]
    assert sorted(path.name for path in tmp_path.glob("first-look-*/*")) == [
        "first-try",
        "keyed",
        "phrases",
        "scaled-dot",
    ]
