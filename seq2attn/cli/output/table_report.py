"""Reports of sentences and one table, as `audit` and `calibrate` print them."""

from collections.abc import Iterator
from typing import Protocol

from seq2attn.cli import console
from seq2attn.tasks.json_text import as_json
from seq2attn.tasks.table import Table


class TableReport(Protocol):
    def sentences(self) -> Iterator[str]: ...
    def table(self) -> Table: ...
    def legend(self) -> Iterator[str]: ...
    def to_dict(self) -> dict[str, object]: ...


def show(report: TableReport, json: bool) -> None:
    """Print one line of JSON, or sentences and a table, with the legend on stderr."""
    if json:
        console.result(as_json(report.to_dict()))
        return
    for sentence in report.sentences():
        console.result(sentence)
    console.result()
    table = report.table()
    console.table(table.headers, table.rows)
    for line in report.legend():
        console.note(line)
