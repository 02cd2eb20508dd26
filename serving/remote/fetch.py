"""A copy of an input that lies elsewhere, made once for each state of it, and kept in a folder of this machine."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ..models.model_source import cache_folder
from .refusals import incomplete, missing, no_room, refusals
from .urls import InputUrl, url_of

INPUTS = "inputs"
FACTS = "fetched.json"
MARGIN_BYTES = 64 * 1024**2
WAIT_SECONDS = 60
"""Without a byte, until a server counts as gone. A download as a whole may take any time."""
VERSIONS = (
    "ETag",
    "etag",
    "Content-MD5",
    "content_md5",
    "md5Hash",
    "md5",
    "generation",
    "VersionId",
    "version_id",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "mtime",
    "updated",
    "created",
)
"""What the libraries of object stores and HTTP call the facts by which a changed object shows."""
Advance = Callable[[int], None]
OnSize = Callable[[int | None], Advance]
"""Takes the bytes to come, None where that is not known; gives what takes the number of those that came."""


def quietly(n_bytes: int | None) -> Advance:
    """Shows nothing."""
    return lambda n_more: None


@dataclass(frozen=True)
class _Listing:
    """What lies at a URL. `files`: address of each by its place in the copy, `""` for a single file. `n_bytes`,
    `version`: None where the storage does not say; `sizes`: likewise, by place.
    """

    files: Mapping[str, str]
    sizes: Mapping[str, int | None]
    version: str | None

    @property
    def n_bytes(self) -> int | None:
        known = [size for size in self.sizes.values() if size is not None]
        return sum(known) if len(known) == len(self.sizes) else None


def local_input(given: str | os.PathLike[str], *, cache: Path | None = None, on_size: OnSize = quietly) -> Path:
    """The path of an input: as given, or of a copy of what lies at a URL, whose name is that of the URL.

    A copy is made again when the object has changed, or does not say whether it has. `cache`: a folder for copies, by
    default that of `cache_folder`. `on_size`: shows what is fetched. Raises `ReadError` (`FILE_NOT_FOUND`,
    `REMOTE_FORBIDDEN`, `REMOTE_UNREACHABLE`, `REMOTE_INCOMPLETE`, `SCRATCH_FULL`), `SetupError` (`EXTRA_MISSING`), and
    `ParameterError` for an unknown scheme.
    """
    url = url_of(given)
    if url is None:
        return Path(given)
    if url.scheme == "file":
        plain = Path("/" + url.rest.lstrip("/"))
        return plain if plain.exists() else Path(unquote(str(plain)))
    return _fetch(url, (cache or cache_folder()) / INPUTS, on_size)


def _fetch(url: InputUrl, cache: Path, on_size: OnSize) -> Path:
    with refusals(url, cache):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (cache / f"{url.key}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process fetches, the others wait for its copy
            files, path = _filesystem(url)
            listing = _list(files, path, url)
            kept = cache / url.key
            if not _is_kept(kept, url, listing):
                # What a killed process left there is removed.
                draft = cache / f"{url.key}.part"
                shutil.rmtree(draft, ignore_errors=True)
                try:
                    _download(files, listing, draft / url.name, url, on_size)
                    facts = {"url": url.shown, "version": listing.version, "bytes": _size(draft / url.name)}
                    (draft / FACTS).write_text(json.dumps(facts), encoding="utf-8")
                    shutil.rmtree(kept, ignore_errors=True)
                    draft.rename(kept)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
            return kept / url.name


def _filesystem(url: InputUrl) -> tuple[Any, str]:
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True}
    if url.scheme in ("http", "https"):
        from aiohttp import ClientTimeout

        # By default aiohttp ends any download after five minutes, and knows neither proxies nor .netrc. Values packed
        # for the way would arrive unpacked under the name of a packed file.
        timeout = ClientTimeout(total=None, sock_connect=WAIT_SECONDS, sock_read=WAIT_SECONDS)
        options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
        options["headers"] = {"Accept-Encoding": "identity"}
    files, path = fsspec.core.url_to_fs(url.whole, **options)
    return files, path


def _list(files: Any, path: str, url: InputUrl) -> _Listing:
    """Raises `ReadError` where nothing is, and for names that lead out of the folder."""
    of_http = url.scheme in ("http", "https")
    # HTTP knows no folders; a page that lists one is read as such.
    is_folder = of_http and url.name.lower().endswith(".zarr")
    entry = {} if is_folder else files.info(path)
    if not is_folder and entry.get("type") != "directory":
        return _Listing({"": path}, {"": entry.get("size")}, _version({"": entry}))
    root = path.rstrip("/") + "/"
    found = {name.removeprefix(root): entry for name, entry in files.find(root, detail=True).items()}
    found = {name: entry for name, entry in found.items() if name and not (of_http and name.startswith("?"))}
    if not found:
        raise missing(url)
    for name in found:
        if name.startswith("/") or "\0" in name or ".." in PurePosixPath(name).parts or "://" in name:
            raise incomplete(url, "files inside the folder", "a name that leads out of it")
    return _Listing(
        {name: root + name for name in found},
        {name: entry.get("size") for name, entry in found.items()},
        _version(found),
    )


def _version(entries: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Digest of what is known of the objects; None where of one no more is known than its name and size."""
    facts = []
    for name in sorted(entries):
        entry = entries[name]
        versions = {key: str(entry[key]) for key in VERSIONS if entry.get(key) is not None}
        if not versions:
            return None
        facts.append([name, entry.get("size"), versions])
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _is_kept(kept: Path, url: InputUrl, listing: _Listing) -> bool:
    """Whether the copy is there, whole, and of the object's present state."""
    try:
        facts = json.loads((kept / FACTS).read_text(encoding="utf-8"))
        return listing.version is not None and (facts["version"], facts["bytes"]) == (
            listing.version,
            _size(kept / url.name),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _size(copy: Path) -> int:
    if not copy.is_dir():
        return copy.stat().st_size
    return sum(file.stat().st_size for file in copy.rglob("*") if file.is_file())


def _download(files: Any, listing: _Listing, copy: Path, url: InputUrl, on_size: OnSize) -> None:
    free = shutil.disk_usage(copy.parent.parent).free
    if (listing.n_bytes or 0) + MARGIN_BYTES > free:
        raise no_room(url, copy.parent.parent, f"{free / 1024**3:,.2f} GiB free", listing.n_bytes or 0)
    places = {name: copy / name if name else copy for name in listing.files}
    for folder in {place.parent for place in places.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    callback = _counting(on_size(listing.n_bytes))
    addresses, targets = list(listing.files.values()), [str(place) for place in places.values()]
    if len(targets) == 1:
        files.get_file(addresses[0], targets[0], callback=callback.branched(addresses[0], targets[0]))
    else:
        files.get(addresses, targets, callback=callback)
    for name, place in places.items():
        expected, found = listing.sizes[name], place.stat().st_size if place.is_file() else -1
        if found < 0 or (expected is not None and found != expected):
            raise incomplete(url, f"{expected or 0:,} bytes{f' of {name}' if name else ''}", f"{max(found, 0):,}")


def _counting(advance: Advance) -> Any:
    """What fsspec tells of files that are fetched (which it counts), and of the bytes of each."""
    from fsspec.callbacks import Callback

    class Bytes(Callback):  # type: ignore[misc,unused-ignore]
        def relative_update(self, inc: int = 1) -> None:
            advance(inc)

        value: int

        def absolute_update(self, value: int) -> None:
            advance(value - self.value)
            self.value = value

    class Files(Callback):  # type: ignore[misc,unused-ignore]
        def relative_update(self, inc: int = 1) -> None:
            pass

        def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Any:
            return Bytes()

    return Files()
