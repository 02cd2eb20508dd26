"""Is everything that an HDF5 file holds inside it, and as large as it says? Asked before anything is read."""

from pathlib import Path

import h5py

from ..errors import ReadError

MOST_COMPRESSED = 1100
"""Deflate makes values at most 1,032 times smaller; a dataset that claims more is damaged, or meant to fill memory."""
SMALL = 64 * 1024**2
"""Bytes that the datasets of a file may claim beyond that, all together."""


MOST_OBJECTS = 100_000
MOST_LEVELS = 100
"""Far beyond what any AnnData has: nested groups, which the library visits one within another."""


def check_hdf5(file: h5py.File, path: Path, *, most_objects: int = MOST_OBJECTS) -> None:
    """Raise `ReadError` when anything lies in another file, `ValueError` for datasets larger than what is stored, and
    for more objects or levels than there can be.

    Outside are external links, wherever they are (a soft link could pass through them), and datasets, virtual ones
    among them, that keep their values elsewhere. None is opened, so that a file that was handed in cannot show other
    files of this machine.
    """
    links: list[tuple[str, object]] = []

    # Only collected here: h5py garbles exceptions that pass through its visitor. An answer other than None ends it.
    def collect(name: str, link: object) -> bool | None:
        links.append((name, link))
        return True if len(links) > most_objects or name.count("/") >= MOST_LEVELS else None

    if file.visititems_links(collect):
        raise ValueError(f"more than {most_objects} objects, or {MOST_LEVELS} levels")
    outside = [name for name, link in links if isinstance(link, h5py.ExternalLink)]
    claimed = 0
    for name, link in links:
        item = file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset):
            continue
        if item.is_virtual or item.external:
            outside.append(name)
            continue
        claimed += max(item.nbytes - MOST_COMPRESSED * item.id.get_storage_size(), 0)
        if claimed > SMALL:
            raise ValueError(f"{name} and those before it claim values, far more than are stored")
    if outside:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="values inside the file itself",
            found="links to other files",
            remedy="Write the data into one file.",
            examples=tuple(outside[:5]),
        )
