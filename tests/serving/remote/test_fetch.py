import http.server
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import fsspec
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.errors import CellmarkError, ParameterError, ReadError, SetupError
from cellmark.serving.remote import fetch
from cellmark.serving.remote.fetch import local_input
from fixtures.storage_server import Storage, serving_files

SECRET = "hunter2"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, type[Storage]]]:
    """A folder, the address that its files are served at, and the handler."""
    root = tmp_path / "served"
    root.mkdir()
    with serving_files(root) as (address, handler):
        yield root, address, handler


def small_cells(n_cells: int = 4) -> ad.AnnData:
    adata = ad.AnnData(sp.csr_matrix(np.arange(n_cells * 3, dtype=np.float32).reshape(n_cells, 3)))
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(n_cells)], ["A", "B", "C"]
    return adata


def code_of(url: str, cache: Path) -> str:
    with pytest.raises(CellmarkError) as refused:
        local_input(url, cache=cache)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return refused.value.code


def test_a_path_stays_what_it_is(tmp_path: Path) -> None:
    assert local_input("cells.h5ad", cache=tmp_path) == Path("cells.h5ad")
    assert local_input(tmp_path / "a:" / "b", cache=tmp_path) == tmp_path / "a:" / "b"
    assert local_input(f"file://{tmp_path}/a%20b", cache=tmp_path) == tmp_path / "a b"


def test_a_file_is_fetched_once_until_it_changes(served: Any, tmp_path: Path) -> None:
    root, address, handler = served
    small_cells(4).write_h5ad(root / "cells.h5ad")
    url = f"{address}/cells.h5ad"
    shown: list[int | None] = []
    counts: list[int] = []

    def on_size(n_bytes: int | None) -> Any:
        shown.append(n_bytes)
        return counts.append

    copy = local_input(url, cache=tmp_path / "cache", on_size=on_size)
    size = (root / "cells.h5ad").stat().st_size
    assert copy.read_bytes() == (root / "cells.h5ad").read_bytes()
    assert (copy.name, shown, sum(counts)) == ("cells.h5ad", [size], size)
    handler.asked.clear()
    assert local_input(url, cache=tmp_path / "cache") == copy
    assert handler.asked == ["HEAD /cells.h5ad"]
    small_cells(5).write_h5ad(root / "cells.h5ad")
    os.utime(root / "cells.h5ad", (2e9, 2e9))
    assert local_input(Path(url), cache=tmp_path / "cache") == copy  # a Path, which lost a slash
    with open_cells(copy) as source:
        assert source.n_obs == 5


def test_a_damaged_copy_is_fetched_again(served: Any, tmp_path: Path) -> None:
    root, address, _ = served
    (root / "cells.csv").write_text("cell,A\nc,1\n")
    copy = local_input(f"{address}/cells.csv", cache=tmp_path / "cache")
    copy.write_text("cell,A\n")
    assert local_input(f"{address}/cells.csv", cache=tmp_path / "cache").read_text() == "cell,A\nc,1\n"


def test_a_folder_is_fetched_whole(served: Any, tmp_path: Path) -> None:
    root, address, _ = served
    small_cells().write_zarr(root / "cells.zarr")
    copy = local_input(f"{address}/cells.zarr", cache=tmp_path / "cache")
    with open_cells(copy) as ours, open_cells(root / "cells.zarr") as theirs:
        assert (ours.load() != theirs.load()).nnz == 0
        assert list(ours.cell_ids) == list(theirs.cell_ids)


def test_memory_and_folders_of_it(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    small_cells().write_zarr(tmp_path / "cells.zarr")
    memory.put(str(tmp_path / "cells.zarr"), "/bucket/cells.zarr", recursive=True)
    url = "memory://bucket/cells.zarr"
    try:
        copy = local_input(url, cache=tmp_path / "cache")
        first = copy.stat().st_ino
        assert local_input(url, cache=tmp_path / "cache").stat().st_ino == first
        with open_cells(copy) as source:
            assert source.n_obs == 4
        name = memory.find("/bucket/cells.zarr")[0]
        memory.pipe_file(name, memory.cat_file(name))  # written again
        assert local_input(url, cache=tmp_path / "cache").stat().st_ino != first
    finally:
        memory.rm("/bucket", recursive=True)


def test_errors_have_codes_and_show_no_credentials(served: Any, tmp_path: Path) -> None:
    _, address, handler = served
    handler.answer |= {"/no.h5ad": 403, "/asks.h5ad": 401, "/broken.h5ad": 500}
    handler.cut.add("/cut.h5ad")
    with_password = address.replace("://", f"://me:{SECRET}@")
    signature = f"?X-Amz-Signature={SECRET}&sig={SECRET}"
    for name, code in (
        ("gone.h5ad", "FILE_NOT_FOUND"),
        ("gone.zarr", "FILE_NOT_FOUND"),
        ("no.h5ad", "REMOTE_FORBIDDEN"),
        ("asks.h5ad", "REMOTE_FORBIDDEN"),
        ("broken.h5ad", "REMOTE_UNREACHABLE"),
        ("cut.h5ad", "REMOTE_INCOMPLETE"),
    ):
        assert code_of(f"{with_password}/{name}{signature}", tmp_path / "cache") == code, name
    assert code_of("memory://nowhere/cells.h5ad", tmp_path / "cache") == "FILE_NOT_FOUND"
    # Nothing of what failed is left.
    assert {path.suffix for path in (tmp_path / "cache" / "inputs").iterdir()} == {".lock"}


def test_no_server_is_unreachable(tmp_path: Path) -> None:
    free = http.server.HTTPServer(("127.0.0.1", 0), Storage)
    port = free.server_port
    free.server_close()
    assert code_of(f"http://127.0.0.1:{port}/cells.h5ad?token={SECRET}", tmp_path) == "REMOTE_UNREACHABLE"


def test_a_missing_backend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(*_: Any, **__: Any) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacks)
    with pytest.raises(SetupError, match="pip install s3fs") as refused:
        local_input("s3://bucket/cells.h5ad", cache=tmp_path)
    assert refused.value.code == "EXTRA_MISSING"


def test_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="'nosuch'"):
        local_input("nosuch://bucket/cells.h5ad", cache=tmp_path)


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(memory, "info", lambda *_: {"type": "directory"})
    monkeypatch.setattr(memory, "find", lambda *_, **__: {"/bucket/x.zarr/../../evil": {"size": 1}})
    with pytest.raises(ReadError, match="leads out"):
        local_input("memory://bucket/x.zarr", cache=tmp_path)


def test_a_full_disk_is_said_before_anything_is_fetched(served: Any, tmp_path: Path, monkeypatch: Any) -> None:
    root, address, handler = served
    (root / "cells.csv").write_text("cell,A\nc,1\n")
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(ReadError, match="CELLMARK_CACHE") as refused:
        local_input(f"{address}/cells.csv", cache=tmp_path / "cache")
    assert refused.value.code == "SCRATCH_FULL"
    assert handler.asked == ["HEAD /cells.csv"]


def test_what_is_kept_beside_a_copy_holds_no_credentials(served: Any, tmp_path: Path) -> None:
    root, address, _ = served
    (root / "cells.csv").write_text("cell,A\nc,1\n")
    url = f"{address.replace('://', f'://me:{SECRET}@')}/cells.csv?sig={SECRET}&acc=GSM1"
    copy = local_input(url, cache=tmp_path / "cache")
    kept = copy.with_name("fetched.json").read_text()
    assert SECRET not in kept
    assert json.loads(kept)["url"] == f"{address}/cells.csv?acc=GSM1"
    assert not any(SECRET in str(path) for path in tmp_path.rglob("*"))


def test_by_default_copies_are_below_the_folder_of_caches(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, address, _ = served
    (root / "cells.csv").write_text("cell,A\nc,1\n")
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "big"))
    copy = local_input(f"{address}/cells.csv")
    assert copy.is_relative_to(tmp_path / "big" / "inputs")
    assert (tmp_path / "big" / "inputs").stat().st_mode & 0o077 == 0
