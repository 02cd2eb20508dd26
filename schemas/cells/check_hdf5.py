"""Is all that an HDF5 file holds inside it, as large as it says, and can it be unpacked? Asked before it is read."""

from collections.abc import Iterator
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py

from ..errors import ReadError

MOST_COMPRESSED = 1100
"""Deflate makes values at most 1,032 times smaller; a dataset that claims more is damaged, or meant to fill memory."""
MOST_COMPRESSED_BY_PLUGINS = 40_000
"""The same for zstd (at most 32,768) and its like."""
OF_HDF5 = 256
"""Below this number a filter belongs to HDF5 itself; all others are plugins."""
FILTERS = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}
"""The registered numbers of plugins that single-cell files are seen with."""
SMALL = 64 * 1024**2
"""Bytes that the datasets of a file may claim beyond that, all together."""


MOST_OBJECTS = 100_000
MOST_LEVELS = 100
"""Far beyond what any AnnData has: nested groups, which the library visits one within another."""


def check_hdf5(file: h5py.File, path: Path, *, most_objects: int = MOST_OBJECTS) -> None:
    """Raise `ReadError` when anything lies in another file, `ValueError` for datasets larger than what is stored, for
    more objects or levels than there can be, and for a group that lies within itself, which would be read without end
    (and h5py keeps its lock when Python gives up within it).

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
    claimed, groups = 0, {"": _address(file)}
    within: TopologicalSorter[int] = TopologicalSorter()
    for name, link in links:
        # Where any link leads out, a soft one could as well. What a hard one names must be there.
        item = file[name] if isinstance(link, h5py.HardLink) else None if outside else file.get(name)
        if isinstance(item, h5py.Group) and not outside:
            groups[name] = _address(item)
            within.add(groups[name], groups[name.rpartition("/")[0]])
        if isinstance(link, h5py.SoftLink) or not isinstance(item, h5py.Dataset):
            continue
        if item.is_virtual or item.external:
            outside.append(name)
            continue
        most = MOST_COMPRESSED if max(_filters(item), default=0) < OF_HDF5 else MOST_COMPRESSED_BY_PLUGINS
        claimed += max(item.nbytes - most * item.id.get_storage_size(), 0)
        if claimed > SMALL:
            raise ValueError(f"{name} and those before it claim values, far more than are stored")
    try:
        within.prepare()
    except CycleError:
        raise ValueError("a group that lies within itself") from None
    if outside:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="values inside the file itself",
            found="links to other files",
            remedy="Write the data into one file.",
            examples=tuple(outside[:5]),
        )


def _address(group: h5py.Group) -> int:
    """Where a group lies in its file: the same by whatever name it is reached."""
    return int(h5py.h5o.get_info(group.id).addr)


def text_attribute(element: Any, name: str) -> str | None:
    """An attribute of a group or dataset as text, None where there is none. Writers other than h5py (hdf5r, HDF5.jl,
    Matlab) give text a fixed length, which h5py reads as bytes, or put it into a list of one.
    """
    value = element.attrs.get(name)
    if getattr(value, "shape", None) == (1,):
        value = value[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else str(value)


def require_filters(path: Path, *elements: Any) -> None:
    """Raise `ReadError` when values of groups or datasets are compressed by filters that this machine lacks.

    The package hdf5plugin brings most of them; it is imported only for a file that needs it.
    """
    wanted = {code: name for dataset in _datasets(elements) for code, name in _filters(dataset).items()}
    missing = [code for code in wanted if not h5py.h5z.filter_avail(code)]
    if missing:
        with suppress(ImportError):
            import_module("hdf5plugin")
        missing = [code for code in missing if not h5py.h5z.filter_avail(code)]
    if missing:
        names = ", ".join(f"{FILTERS.get(code) or wanted[code] or 'unnamed'} (HDF5 filter {code})" for code in missing)
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="values that HDF5 can unpack here",
            found=f"values compressed with {names}, which this machine lacks",
            remedy="Install the filters: pip install hdf5plugin. Or write the file again where it opens: "
            "adata.write_h5ad(..., compression='gzip').",
        )


def _datasets(elements: tuple[Any, ...]) -> Iterator[h5py.Dataset]:
    for element in elements:
        if isinstance(element, h5py.Dataset):
            yield element
        elif isinstance(element, h5py.Group):
            inside: list[Any] = []
            element.visititems(lambda _, item, inside=inside: inside.append(item))
            yield from (item for item in inside if isinstance(item, h5py.Dataset))


def _filters(dataset: h5py.Dataset) -> dict[int, str]:
    """Numbers and names of the filters that a dataset's values pass."""
    created = dataset.id.get_create_plist()
    listed = (created.get_filter(number) for number in range(created.get_nfilters()))
    return {int(code): name.decode("ascii", "replace").split(";")[0][:40] for code, _, _, name in listed}
