"""Great Expectations' Data Docs: its own HTML pages about one input, in a folder that appears whole or not at all.

The pages name no cell. A browser loads their styles from the internet; without a network they are plain but complete.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import OutputError

ICON = "favicon.ico"


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
    static = site / "static"
    for part in static.glob("*"):
        if part.name != "images":
            shutil.rmtree(part)
    for picture in (static / "images").glob("*"):
        if picture.name != ICON:
            picture.unlink()
