"""Large files of cells, written once in constant memory: `python benchmarks/batch_data.py FOLDER --cells 1000000`.

Real cells (`../shared/data/pancreas_baron_human.h5ad`) are tiled, and each copy is thinned anew (binomial, seeded), so
that no two are alike: about 1,800 values a cell that are not zero, in 20,000 genes. The labels stay (`cell_type`).
`.h5ad`: CSR, gzip, in chunks as h5py chooses them for a file of this size. `.zarr`: format 3, zstd, shards of 4 million
values. A file that is there is not written again; one that was begun is not there.
"""

import argparse
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import write_elem
from scipy.stats import binom

N_GENES = 20_000
KEPT = 0.95
"""Share of the counts that thinning keeps."""
TABLED = 64
"""Counts below this are thinned by looking up a quantile."""
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "pancreas_baron_human.h5ad"
CSR_ATTRIBUTES = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
H5_CHUNK, ZARR_CHUNK, ZARR_SHARD = 2**17, 2**18, 2**22
"""Values in a storage chunk and in a shard."""
BLOCK_CELLS = 2000

Block = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values (uint16), columns (int32), values of each cell (int64)."""


def real_cells(source: Path) -> ad.AnnData:
    """Labelled cells with the genes that most cells have, `N_GENES` of them."""
    adata = ad.read_h5ad(source)
    seen = np.asarray((adata.X > 0).sum(axis=0)).ravel()
    return adata[:, np.sort(np.argsort(-seen, kind="stable")[:N_GENES])].copy()


def thinned_blocks(X: sp.csr_matrix, n_cells: int, *, seed: int) -> Iterator[Block]:
    """Copies of the rows of `X` in turn, thinned, `BLOCK_CELLS` at a time."""
    quantiles = (np.arange(2**16) + 0.5) / 2**16
    table = np.stack([binom.ppf(quantiles, n, KEPT) for n in range(TABLED)]).astype(np.uint16).ravel()
    generator = np.random.default_rng(seed)
    counts, lengths = X.data.astype(np.int32), np.diff(X.indptr)
    for start in range(0, n_cells, BLOCK_CELLS):
        rows = np.arange(start, min(start + BLOCK_CELLS, n_cells)) % X.shape[0]
        places = np.concatenate([np.arange(X.indptr[row], X.indptr[row + 1]) for row in rows])
        of = counts[places]
        values = table.take(np.minimum(of, TABLED - 1) << 16 | generator.integers(0, 2**16, len(of), dtype=np.uint16))
        many = np.flatnonzero(of >= TABLED)
        values[many] = generator.binomial(of[many], KEPT)
        kept = values > 0
        before = np.concatenate(([0], np.cumsum(kept)))
        ends = np.cumsum(lengths[rows])
        yield values[kept], X.indices[places[kept]].astype(np.int32), np.diff(before[np.concatenate(([0], ends))])


class _Appended:
    """An array that grows by whole pieces of `size` values, which `put` stores."""

    def __init__(self, size: int, put: Callable[[np.ndarray, int], None]) -> None:
        self._size, self._put, self._rest, self._start = size, put, np.empty(0), 0

    def add(self, values: np.ndarray, *, last: bool = False) -> None:
        joined = np.concatenate([self._rest.astype(values.dtype), values])
        whole = len(joined) if last else len(joined) // self._size * self._size
        if whole:
            self._put(joined[:whole], self._start)
        self._start, self._rest = self._start + whole, joined[whole:]


def write_cells(path: Path, *, n_cells: int, source: Path, values: str, level: int, seed: int = 0) -> None:
    """Write `path` (`.h5ad` or `.zarr`) unless it is there."""
    if path.exists():
        return
    real = real_cells(source)
    draft = path.with_name(f".{path.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.unlink(missing_ok=True)
    picked = np.arange(n_cells) % real.n_obs
    names = [f"cell{number:07d}" for number in range(n_cells)]
    obs = real.obs[["cell_type", "batch"]].iloc[picked].set_axis(pd.Index(names), axis=0)
    write = _write_h5ad if path.suffix == ".h5ad" else _write_zarr
    blocks = thinned_blocks(sp.csr_matrix(real.X), n_cells, seed=seed)
    write(draft, blocks, (n_cells, real.n_vars), {"obs": obs, "var": real.var[[]]}, np.dtype(values), level)
    draft.rename(path)


def _write_h5ad(
    draft: Path,
    blocks: Iterator[Block],
    shape: tuple[int, int],
    parts: dict[str, Any],
    dtype: np.dtype[Any],
    level: int,
) -> None:
    with h5py.File(draft, "w") as file, ThreadPoolExecutor(2) as pool:
        _write_parts(file, parts)
        group = file.create_group("X")
        group.attrs.update({**CSR_ATTRIBUTES, "shape": shape})

        def grown(name: str, kind: np.dtype[Any]) -> _Appended:
            dataset = group.create_dataset(
                name,
                shape=(0,),
                maxshape=(None,),
                chunks=(H5_CHUNK,),
                dtype=kind,
                compression="gzip",
                compression_opts=level,
            )

            def put(piece: np.ndarray, start: int) -> None:
                dataset.resize((start + len(piece),))
                padded = np.zeros(-(-len(piece) // H5_CHUNK) * H5_CHUNK, dtype=kind)
                padded[: len(piece)] = piece
                packed = pool.map(lambda chunk: zlib.compress(chunk.tobytes(), level), padded.reshape(-1, H5_CHUNK))
                for number, chunk in enumerate(packed):
                    dataset.id.write_direct_chunk((start + number * H5_CHUNK,), chunk)

            return _Appended(H5_CHUNK, put)

        group["indptr"] = _append_all(blocks, grown("data", dtype), grown("indices", np.dtype(np.int32)), dtype)


def _write_zarr(
    draft: Path,
    blocks: Iterator[Block],
    shape: tuple[int, int],
    parts: dict[str, Any],
    dtype: np.dtype[Any],
    level: int,
) -> None:
    import zarr
    from zarr.codecs import ZstdCodec

    root = zarr.open_group(draft, mode="w", zarr_format=3)
    _write_parts(root, parts)
    group = root.create_group("X", attributes={**CSR_ATTRIBUTES, "shape": list(shape)})

    def grown(name: str, kind: np.dtype[Any]) -> _Appended:
        array = group.create_array(
            name,
            shape=(0,),
            chunks=(ZARR_CHUNK,),
            shards=(ZARR_SHARD,),
            dtype=kind,
            compressors=[ZstdCodec(level=level)],
        )

        def put(piece: np.ndarray, start: int) -> None:
            array.resize((start + len(piece),))
            array[start:] = piece

        return _Appended(ZARR_SHARD, put)

    indptr = _append_all(blocks, grown("data", dtype), grown("indices", np.dtype(np.int32)), dtype)
    group.create_array("indptr", data=indptr, chunks=(2**20,))


def _append_all(blocks: Iterator[Block], data: _Appended, indices: _Appended, dtype: np.dtype[Any]) -> np.ndarray:
    lengths = [np.zeros(1, dtype=np.int64)]
    for values, columns, lengths_of in blocks:
        data.add(values.astype(dtype))
        indices.add(columns)
        lengths.append(lengths_of)
    data.add(np.empty(0, dtype=dtype), last=True)
    indices.add(np.empty(0, dtype=np.int32), last=True)
    return np.cumsum(np.concatenate(lengths))


def _write_parts(root: Any, parts: dict[str, Any]) -> None:
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for name, frame in parts.items():
        write_elem(root, name, frame)
    for name in ("layers", "obsm", "obsp", "varm", "varp"):
        write_elem(root, name, {})
    write_elem(root, "uns", {"organism": "Homo sapiens"})


def size_of(path: Path) -> int:
    """Bytes of a file or folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--format", choices=("h5ad", "zarr"), default="h5ad")
    parser.add_argument("--values", choices=("float32", "int32", "uint16"), default="float32")
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--source", type=Path, default=SHARED)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for n_cells in arguments.cells:
        path = arguments.folder / f"cells_{n_cells}.{arguments.format}"
        start = time.perf_counter()
        write_cells(path, n_cells=n_cells, source=arguments.source, values=arguments.values, level=arguments.level)
        print(f"{path}: {size_of(path) / 1e9:.2f} GB, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
