"""The first page of a batch's Data Docs: every input, its verdict, and the way to Great Expectations' pages on it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Quality of the inputs</title>
<style>body {{ font: 1rem/1.5 sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
td, th {{ padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top }}</style>
<h1>Quality of the inputs</h1>
<table><thead><tr><th>Input<th>Cells<th>Quality<th>Pages</thead><tbody>
{rows}
</tbody></table></html>
""")
ROW = Markup("<tr><td>{input}<td>{cells}<td>{quality}<td>{pages}")
LINK = Markup('<a href="{href}">Great Expectations</a>')


def write_docs_index(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `index.html` into `folder`. `rows`: of the batch's summary; their `data_docs` lie below `folder`."""
    lines = Markup("\n").join(_row(folder, row) for row in rows)
    (folder / "index.html").write_text(PAGE.format(rows=lines), encoding="utf-8")


def _row(folder: Path, row: Mapping[str, Any]) -> Markup:
    docs = row.get("data_docs")
    href = quote(Path(os.path.relpath(docs, folder)).as_posix()) if docs else None
    return ROW.format(
        input=row["input"],
        cells=row.get("n_cells", ""),
        quality=row.get("quality") or f"refused: {row['codes']}",
        pages=LINK.format(href=href) if href else "",
    )
