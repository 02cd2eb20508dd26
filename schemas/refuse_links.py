"""An HDF5 file handed in may not show other files of this machine."""

from pathlib import Path

import h5py

from cellmark.schemas.errors import Finding, ReadError


def refuse_links(file: h5py.File, path: Path) -> None:
    """Raise `ReadError` when anything in the file lies in another one; nothing outside is opened.

    That is external links, wherever they are (a soft link could pass through them), and datasets, virtual ones among
    them, that keep their values elsewhere.
    """
    found: list[str] = []

    def look(name: str, link: object) -> None:
        if isinstance(link, h5py.ExternalLink):
            found.append(name)
        elif isinstance(link, h5py.HardLink):
            item = file[name]
            if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
                found.append(name)

    file.visititems_links(look)
    if found:
        raise ReadError(
            Finding("FILE_UNREADABLE", str(path), "values inside the file itself", "links to other files",
                    "Write the data into one file.", "error", tuple(found[:5]))
        )  # fmt: skip
