"""Files cut short at many lengths, and with single bits flipped: an error of ours or a valid read, nothing else.

Read in a process of its own, because libhdf5 itself may loop for ever, or end, on a flipped bit. Such ends are no
fault of the reader (the service reads uploads in a process that it can kill), so a few are allowed and are counted.
"""

import selectors
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from fixtures.places import FIXTURES

PROGRAM = FIXTURES / "read_damaged_files.py"
CODES = {"valid", "FILE_UNREADABLE", "NOT_ANNDATA", "MATRIX_INVALID", "NO_GENES"}
N_TRUNCATIONS = 40
SECONDS_FOR_ONE = 3.0


def outcomes(whole: Path, folder: Path, n_damages: int) -> list[str]:
    """What came of each damage; `loops` and `ends` where the process had to be killed or ended by itself."""
    found: list[str] = []
    while len(found) < n_damages:
        arguments = [str(whole), str(folder / f"damaged{whole.suffix}"), str(len(found)), str(n_damages)]
        with subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True) as process:
            found += _listen(process, started=len(found))
    return found[:n_damages]


def _listen(process: "subprocess.Popen[str]", *, started: int) -> list[str]:
    assert process.stdout is not None
    found: list[str] = []
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            # The first answer comes after the imports.
            if not selector.select(SECONDS_FOR_ONE if found else 120):
                process.kill()
                return [*found, "loops"]
            line = process.stdout.readline()
            if not line:
                # Below 0 is a signal; the program itself always ends with 0.
                assert process.wait() <= 0
                return found if process.returncode == 0 else [*found, f"ends with {process.returncode}"]
            number, outcome = line.strip().split(" ", 1)
            assert int(number) == started + len(found)
            found.append(outcome)


def write_h5ad(path: Path, matrix: type) -> Path:
    generator = np.random.default_rng(0)
    adata = ad.AnnData(matrix(generator.poisson(0.7, (40, 30)).astype(np.float32)))
    adata.obs["cell_type"] = generator.choice(["T", "B"], 40)
    adata.strings_to_categoricals()
    adata.write_h5ad(path)
    return path


def write_tenx(path: Path) -> Path:
    X = sp.csr_matrix(np.random.default_rng(0).poisson(0.7, (40, 30)).astype(np.int32))
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in (("data", X.data), ("indices", X.indices), ("indptr", X.indptr)):
            matrix.create_dataset(name, data=values, compression="gzip")
        matrix["shape"] = np.array([30, 40])
        matrix["barcodes"] = np.array([f"AAAC{number:04d}-1" for number in range(40)], dtype="S")
        names = [f"G{number}" for number in range(30)]
        for name, text in (("id", names), ("name", names), ("feature_type", ["Gene Expression"] * 30)):
            matrix[f"features/{name}"] = np.array(text, dtype="S")
    return path


def write(kind: str, folder: Path) -> Path:
    if kind == "10x":
        return write_tenx(folder / "whole.h5")
    return write_h5ad(folder / "whole.h5ad", {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}[kind])


def check(kind: str, folder: Path, *, n_flips: int) -> None:
    found = outcomes(write(kind, folder), folder, N_TRUNCATIONS + n_flips)
    beyond = [what for what in found if what == "loops" or what.startswith("ends with")]
    wrong = [(number, what) for number, what in enumerate(found) if what not in CODES and what not in beyond]
    assert not wrong
    assert len(beyond) <= 0.03 * n_flips + 1, beyond
    assert "valid" not in found[:N_TRUNCATIONS]
    # Most bits are values or unused space; damage to the structure must have been seen as well.
    assert {"valid", "FILE_UNREADABLE"} <= set(found[N_TRUNCATIONS:])


@pytest.mark.parametrize("kind", ["csr", "10x"])
def test_damaged_files_are_refused_or_read_validly(kind: str, tmp_path: Path) -> None:
    check(kind, tmp_path, n_flips=60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "10x"])
def test_many_damaged_files_are_refused_or_read_validly(kind: str, tmp_path: Path) -> None:
    check(kind, tmp_path, n_flips=800)
