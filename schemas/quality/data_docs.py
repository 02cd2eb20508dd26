"""Data Docs: HTML pages about one input (`quality_page.py`), in a folder that appears whole or not at all; and the
first page of a batch, which names every input and links to its pages.

The pages name no cell and load nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from ..errors import OutputError
from .quality_page import POLICY, STYLE


def site_config(site: Path) -> dict[str, Any]:
    """Great Expectations' configuration of a site in the folder `site`."""
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def refuse_used(folder: Path) -> None:
    """Raise `OutputError` (`OUTPUT_EXISTS`) unless `folder` is new or empty: pages never mix with other files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError.of(
            "OUTPUT_EXISTS",
            where=str(folder),
            expected="a folder that is new or empty",
            found="files in it",
            remedy="Name another folder.",
        )


@contextmanager
def site_folder(target: Path | None) -> Iterator[Path | None]:
    """A folder beside `target` to write pages to, which takes its place when all went well. Raises `OutputError`."""
    if target is None:
        yield None
        return
    refuse_used(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".data-docs-") as beside:
            site = Path(beside).resolve() / "site"
            yield site
            leave_tutorials_out(site)
            site.replace(target)
    except OSError as error:
        raise OutputError.of(
            "OUTPUT_UNWRITABLE",
            where=str(target),
            expected="a folder that can be written",
            found=str(error),
            remedy="Name another folder.",
        ) from error


def leave_tutorials_out(site: Path) -> None:
    """Remove 4 MB of pictures, fonts and styles that Great Expectations adds and no page refers to."""
    shutil.rmtree(site / "static", ignore_errors=True)


PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
{policy}<title>Quality of the inputs</title>
<style>{style}</style>
<h1>Quality of the inputs</h1>
<table><thead><tr><th>Input<th>Cells<th>Quality<th>Pages</thead><tbody>
{rows}
</tbody></table></html>
""")
ROW = Markup("<tr><td>{input}<td>{cells}<td>{quality}<td>{pages}")
LINK = Markup('<a href="{href}">what was checked</a>')


def write_docs_index(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `index.html` into `folder`. `rows`: of the batch's summary; their `data_docs` lie below `folder`."""
    lines = Markup("\n").join(_row(folder, row) for row in rows)
    style = Markup(STYLE)  # noqa: S704  # our own text
    (folder / "index.html").write_text(PAGE.format(policy=POLICY, style=style, rows=lines), encoding="utf-8")


def _row(folder: Path, row: Mapping[str, Any]) -> Markup:
    docs = row.get("data_docs")
    href = quote(Path(os.path.relpath(docs, folder)).as_posix()) if docs else None
    return ROW.format(
        input=row["input"],
        cells=row.get("n_cells", ""),
        quality=row.get("quality") or f"refused: {row['codes']}",
        pages=LINK.format(href=href) if href else "",
    )
