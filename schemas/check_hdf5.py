"""Is everything that an HDF5 file holds inside it, and as large as it says? Asked before anything is read."""

from pathlib import Path

import h5py

from cellmark.schemas.errors import Finding, ReadError

MOST_COMPRESSED = 1100
"""Deflate makes values at most 1,032 times smaller; a dataset that claims more is damaged, or meant to fill memory."""
SMALL = 64 * 1024**2
"""Bytes below which a dataset may claim what it likes."""


def check_hdf5(file: h5py.File, path: Path) -> None:
    """Raise `ReadError` when anything lies in another file, `ValueError` for a dataset larger than what is stored.

    Outside are external links, wherever they are (a soft link could pass through them), and datasets, virtual ones
    among them, that keep their values elsewhere. None is opened, so that a file that was handed in cannot show other
    files of this machine.
    """
    links: list[tuple[str, object]] = []
    # Only collected here: h5py garbles exceptions that pass through its visitor.
    file.visititems_links(lambda name, link: links.append((name, link)))
    outside = [name for name, link in links if isinstance(link, h5py.ExternalLink)]
    for name, link in links:
        item = file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset):
            continue
        if item.is_virtual or item.external:
            outside.append(name)
        elif item.nbytes > max(SMALL, MOST_COMPRESSED * item.id.get_storage_size()):
            raise ValueError(f"{name} says it holds {item.nbytes} bytes, far more than are stored")
    if outside:
        raise ReadError(
            Finding("FILE_UNREADABLE", str(path), "values inside the file itself", "links to other files",
                    "Write the data into one file.", "error", tuple(outside[:5]))
        )  # fmt: skip
