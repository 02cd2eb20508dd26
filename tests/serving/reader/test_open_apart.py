"""Files read by another process: the same cells, and an end to whatever a file does to its reader."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import mmwrite

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.turn_on_disk import FEW
from cellmark.schemas.errors import CountsError, InputError, ParameterError, ReadError
from cellmark.serving.reader import reader_server as reader_server_module
from cellmark.serving.reader.open_apart import open_apart, stored_rows_apart
from cellmark.serving.reader.reader_process import ReaderBudget, ReaderKilledError
from cellmark.serving.reader.reader_server import ReaderServer, reader_server
from cellmark.serving.reader.reading_rules import ReadingRules
from fixtures.places import ARCHIVES, FIXTURES

MISBEHAVING = str(FIXTURES / "misbehaving_reader.py")
SMALL = ReadingRules(budget=ReaderBudget(seconds=1.0, memory_bytes=300 * 1024**2))

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def bad_server() -> Iterator[ReaderServer]:
    server = ReaderServer(MISBEHAVING)
    yield server
    server.stop()


@pytest.fixture
def misbehaving(bad_server: ReaderServer, monkeypatch: pytest.MonkeyPatch) -> ReaderServer:
    monkeypatch.setattr(reader_server_module, "_server", bad_server)
    return bad_server


def some_cells(n_obs: int = 40, n_vars: int = 30) -> ad.AnnData:
    generator = np.random.default_rng(0)
    adata = ad.AnnData(sp.csr_matrix(generator.poisson(0.7, (n_obs, n_vars)).astype(np.float32)))
    adata.obs["cell_type"] = pd.Categorical(generator.choice(["T", "B"], n_obs))
    adata.obs["total"] = np.arange(n_obs, dtype=np.int64)
    adata.obs["share"] = np.linspace(0, 1, n_obs, dtype=np.float32)
    adata.obs["is_doublet"] = np.arange(n_obs) % 2 == 0
    adata.obs["unsure"] = pd.array([None if number % 3 else number for number in range(n_obs)], dtype="Int64")
    adata.obs["text"] = [f"α{number}\n" for number in range(n_obs)]
    adata.var["gene_ids"] = [f"ENSG{number:011d}" for number in range(n_vars)]
    adata.layers["doubled"] = adata.X * 2
    adata.raw = adata
    adata.uns["organism"] = "Homo sapiens"
    return adata


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    path = tmp_path / "cells.h5ad"
    some_cells().write_h5ad(path)
    return path


def equal(ours: Any, theirs: Any) -> bool:
    return ours.shape == theirs.shape and (ours != theirs).nnz == 0


# the same cells


@pytest.mark.parametrize("layer", [None, "doubled", "raw"])
def test_cells_are_those_that_direct_reading_gives(h5ad: Path, layer: str | None) -> None:
    reading = ReadingOptions(layer=layer)
    with open_apart(h5ad, reading) as apart, open_cells(h5ad, reading) as direct:
        assert equal(apart.load(), direct.load())
        assert equal(apart.take(np.array([3, 7, 39])), direct.take(np.array([3, 7, 39])))
        assert (apart.name, apart.counts_from, apart.uns) == (direct.name, direct.counts_from, direct.uns)
        assert list(apart.var_names) == list(direct.var_names)
        assert list(apart.cell_ids) == list(direct.cell_ids)
        pd.testing.assert_frame_equal(apart.var, direct.var, check_categorical=False)
        # What pandas writes as a whole number that may be missing comes as a float.
        expected = direct.obs.assign(unsure=direct.obs["unsure"].astype(float))
        pd.testing.assert_frame_equal(apart.obs, expected)
        assert [other.where for other in apart.others] == [other.where for other in direct.others]
        for ours, theirs in zip(apart.others, direct.others, strict=True):
            assert equal(ours.take(np.array([0, 5])), theirs.take(np.array([0, 5])))


def test_rows_of_a_file_are_those_that_direct_reading_gives(h5ad: Path) -> None:
    rows = RowRange(11, 30)
    with open_apart(h5ad, rows=rows) as apart, open_cells(h5ad, rows=rows) as direct:
        assert (apart.first_row, apart.n_total, apart.n_obs) == (11, 40, 19)
        assert equal(apart.load(), direct.load())
        assert [chunk.start for chunk in apart.chunks(7)] == [0, 7, 14]
        assert list(apart.cell_ids) == list(direct.cell_ids) == [str(number) for number in range(11, 30)]
        pd.testing.assert_frame_equal(apart.obs, direct.obs.assign(unsure=direct.obs["unsure"].astype(float)))
        for ours, theirs in zip(apart.others, direct.others, strict=True):
            assert equal(ours.take(np.array([0, 5])), theirs.take(np.array([0, 5])))
    with pytest.raises(ParameterError, match="40 cells"):
        open_apart(h5ad, rows=RowRange(30, 41))
    with open_apart(h5ad) as apart:
        assert (apart.first_row, apart.n_total) == (0, 40)


@pytest.mark.parametrize("name", ["fewer_in_all", "no_total", "other_rows"])
def test_a_reader_that_gives_other_rows_is_refused(misbehaving: ReaderServer, h5ad: Path, name: str) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    with pytest.raises(ReadError, match="a reader that answered with"):
        open_apart(path, rules=SMALL, rows=RowRange(4, 12))
    assert misbehaving.readers() == []


@pytest.mark.parametrize("matrix", [sp.csr_matrix, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize("n_rows", [1, 7, 40, 1000])
def test_chunks_are_the_rows_in_order(tmp_path: Path, matrix: Any, n_rows: int) -> None:
    cells = some_cells()
    counts = cells.X.toarray()
    cells.X = matrix(counts)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with open_apart(tmp_path / "cells.h5ad") as source:
        for _ in range(2):
            chunks = list(source.chunks(n_rows))
            assert all(chunk.X.shape[0] <= n_rows for chunk in chunks)
            assert [chunk.start for chunk in chunks] == list(range(0, 40, n_rows))
            assert (sp.vstack([chunk.X for chunk in chunks]).toarray() == counts).all()


def test_rows_can_be_taken_while_chunks_are_read(h5ad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = some_cells().X
    with open_apart(h5ad) as source:
        rows = 0
        for chunk in source.chunks(16):
            assert equal(source.take(np.array([rows])), counts[[rows]])
            assert equal(chunk.X, counts[chunk.start : chunk.start + chunk.X.shape[0]])
            rows += chunk.X.shape[0]
        assert rows == 40
        abandoned = source.chunks(16)
        next(abandoned)
        assert equal(source.load(), counts)
        with pytest.raises(RuntimeError, match="another loop"):
            list(abandoned)


def test_a_relative_path_begins_where_the_caller_is_now(h5ad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_apart(h5ad):  # the program of readers runs, with the folder that it was started in
        pass
    monkeypatch.chdir(h5ad.parent)
    with open_apart(h5ad.name) as source:
        assert source.n_obs == 40


def test_a_table_a_folder_and_a_store_are_read_too(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(1, (5, 4))
    frame = pd.DataFrame(counts, index=[f"c{number}" for number in range(5)], columns=["A", "B", "C", "D"])
    frame.to_csv(tmp_path / "cells.csv")
    frame.T.to_csv(tmp_path / "turned.csv.gz")
    some_cells().write_zarr(tmp_path / "cells.zarr")
    with open_apart(tmp_path / "cells.csv") as source:
        assert (source.load().toarray() == counts).all()
    with open_apart(tmp_path / "turned.csv.gz", ReadingOptions(genes_by_cells=True)) as source:
        assert (source.load().toarray() == counts).all()
        assert list(source.cell_ids) == list(frame.index)
    with open_apart(tmp_path / "cells.zarr", ReadingOptions(layer="doubled")) as source:
        assert equal(source.load(), some_cells().layers["doubled"])


def test_a_matrix_is_read_with_the_names_beside_it_but_not_with_those_of_another_folder(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(1, (5, 4))
    folder = tmp_path / "run"
    folder.mkdir()
    mmwrite(folder / "GSM1_matrix.mtx", sp.coo_matrix(counts.T))
    (folder / "GSM1_genes.tsv").write_text("A\nB\nC\nD\n")
    (folder / "GSM1_barcodes.tsv").write_text("1\n2\n3\n4\n5\n")
    for path in (folder, folder / "GSM1_matrix.mtx"):
        with open_apart(path) as source:
            assert (source.load().toarray() == counts).all()
            assert list(source.var_names) == [*"ABCD"]
    shutil.move(folder / "GSM1_barcodes.tsv", tmp_path / "elsewhere")
    (folder / "GSM1_barcodes.tsv").symlink_to(tmp_path / "elsewhere")
    for path in (folder, folder / "GSM1_matrix.mtx"):
        with pytest.raises(ReadError, match="a link to a place outside"):
            open_apart(path)


def test_counts_are_recovered_as_in_direct_reading(tmp_path: Path) -> None:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(2, (60, 50)).astype(np.float32))
    per = sp.csr_matrix(counts.multiply(1e4 / counts.sum(axis=1)))
    ad.AnnData(per.log1p()).write_h5ad(tmp_path / "cells.h5ad")
    with open_apart(tmp_path / "cells.h5ad", ReadingOptions(recover_counts=True)) as source:
        assert equal(source.load(), counts)
        assert [note.code for note in source.notes] == ["COUNTS_RECOVERED"]
    ad.AnnData(sp.csr_matrix(np.random.default_rng(0).normal(size=(60, 50)))).write_h5ad(tmp_path / "scaled.h5ad")
    with pytest.raises(CountsError):
        open_apart(tmp_path / "scaled.h5ad", ReadingOptions(recover_counts=True))


def test_errors_are_those_of_direct_reading(h5ad: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.h5ad").write_bytes(h5ad.read_bytes()[:2000])
    (tmp_path / "cells.xls").write_bytes(b"x")
    attempts: list[tuple[Path, dict[str, Any]]] = [
        (h5ad, {"layer": "nothing"}),
        (h5ad, {"genes_by_cells": True}),
        (tmp_path / "broken.h5ad", {}),
        (tmp_path / "cells.xls", {}),
        (tmp_path / "nowhere.h5ad", {}),
    ]
    for path, reading in attempts:
        with pytest.raises((ReadError, ParameterError)) as ours:
            open_apart(path, ReadingOptions(**reading))
        with pytest.raises((ReadError, ParameterError)) as theirs:
            open_cells(path, ReadingOptions(**reading))
        assert type(ours.value) is type(theirs.value)
        assert ours.value.findings == theirs.value.findings
    assert reader_server().readers() == []


# what ends a reader


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sleeps", "had not finished"),
        ("loops", "had not finished"),
        ("eats", "takes more"),
        ("eats_shared", "takes more"),
        ("crashes", "signal 11"),
        ("raises", "of no known kind"),
    ],
)
def test_a_reader_that_misbehaves_is_ended_and_said_so(
    misbehaving: ReaderServer, h5ad: Path, name: str, found: str
) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    start = time.monotonic()
    with pytest.raises(ReadError) as raised:
        open_apart(path, rules=SMALL)
    assert raised.value.code == "FILE_UNREADABLE"
    assert found in raised.value.findings[0].found
    assert raised.value.findings[0].where == str(path)
    # Four times the processor's second and what the file adds, for one that sleeps; the rest is a slow machine.
    assert time.monotonic() - start < 20
    assert misbehaving.readers() == []
    # The program itself is as good as before.
    path = path.rename(path.with_name("cells.h5ad"))
    with open_apart(path, rules=SMALL) as source:
        assert equal(source.load(), some_cells().X)


@pytest.mark.parametrize(
    "name",
    [
        "index_beyond",
        "index_below",
        "pointers_fall",
        "too_short",
        "another_shape",
        "more_rows",
        "float_indices",
        "again",
    ],
)
def test_what_a_reader_says_is_not_trusted(misbehaving: ReaderServer, h5ad: Path, name: str) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    with open_apart(path, rules=SMALL) as source:
        for _ in range(2):  # asked again, it says the same
            with pytest.raises(ReadError) as raised:
                source.load()
            assert raised.value.code == "FILE_UNREADABLE"
        assert misbehaving.readers() == []


@pytest.mark.parametrize("name", ["dies", "dies_half_way"])
def test_a_reader_that_is_killed_twice_is_no_fault_of_the_file(
    misbehaving: ReaderServer, h5ad: Path, name: str
) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    with pytest.raises(ReaderKilledError) as raised, open_apart(path, rules=SMALL) as source:
        source.load()
    assert (raised.value.code, raised.value.status) == ("READER_KILLED", 503)
    assert "SIGKILL" in raised.value.findings[0].found
    assert not isinstance(raised.value, InputError)  # the file is not to blame
    assert misbehaving.readers() == []


@pytest.mark.parametrize("name", ["dies_once", "dies_half_way_once"])
def test_a_reader_that_is_killed_once_is_replaced_where_it_was(
    misbehaving: ReaderServer, h5ad: Path, name: str
) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    with open_apart(path, rules=SMALL) as source:
        for _ in range(2):
            blocks = []
            for chunk in source.chunks(7):
                blocks.append(chunk.X)
                if name == "dies_once":  # rows are taken while a loop is on its way
                    assert equal(source.take(np.array([3, 1])), some_cells().X[[3, 1]])
            assert equal(sp.vstack(blocks).tocsr(), some_cells().X)
    assert path.with_name(path.name + ".once").exists()
    assert misbehaving.readers() == []


def test_readers_outlive_the_sigterm_that_a_service_is_stopped_with(h5ad: Path) -> None:
    with open_apart(h5ad) as source:
        process = reader_server()._process
        assert process is not None
        for pid in (process.pid, *reader_server().readers()):
            os.kill(pid, signal.SIGTERM)
        assert equal(source.load(), some_cells().X)
    assert reader_server()._process is process
    server = ReaderServer()  # SIGTERM may come before the program has imported anything
    server.start()
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGTERM)
    server.fork(ReaderBudget(), name="nothing", n_bytes=0).close()
    server.stop()


def test_a_flipped_bit_that_makes_the_library_loop_is_survived() -> None:
    # The file of test_read_damaged.py with the damage number 310: libhdf5 1.14 never comes back from it.
    with pytest.raises(ReadError) as raised:
        open_apart(ARCHIVES / "damaged" / "loops.h5ad", rules=SMALL).load()
    assert raised.value.code == "FILE_UNREADABLE"
    assert reader_server().readers() == []


def test_a_reader_can_write_only_where_it_was_allowed_to(misbehaving: ReaderServer, h5ad: Path) -> None:
    path = h5ad.rename(h5ad.with_name("writes.h5ad"))
    with pytest.raises(ReadError):
        open_apart(path)
    assert not os.path.exists(f"{path}.new") or os.path.getsize(f"{path}.new") == 0
    with open_apart(path, may_write=True):
        assert os.path.getsize(f"{path}.new") == 1


def test_only_the_reader_of_a_large_matrix_by_columns_may_write(tmp_path: Path) -> None:
    """One reader says that it needs room, the next one has it. A service gives none: there the matrix is loaded."""
    n_cells, n_genes = 4001, 2000
    every = np.tile(np.arange(n_cells, dtype=np.int32), n_genes)
    pointers = np.arange(n_genes + 1) * n_cells
    X = sp.csc_matrix(((np.arange(len(every)) % 7 + 1).astype(np.uint8), every, pointers), shape=(n_cells, n_genes))
    assert X.nnz > FEW
    ad.AnnData(X).write_h5ad(tmp_path / "cells.h5ad")
    rows, folder = RowRange(17, 19), tmp_path / "turned"
    with open_apart(tmp_path / "cells.h5ad", rows=rows, turned=folder, rules=ReadingRules()) as source:
        assert equal(source.load(), X[17:19])
    assert not folder.exists()
    for _ in range(2):
        with open_apart(tmp_path / "cells.h5ad", rows=rows, turned=folder) as source:
            assert equal(source.load(), X[17:19])
    assert [path.suffix for path in sorted(folder.iterdir())] == [".h5", ".lock"]
    pieces = stored_rows_apart(tmp_path / "cells.h5ad", n_values=4_100_000, most_rows=10**6, turned=folder)
    assert (pieces.n_values, len(pieces.cuts), len(list(folder.iterdir()))) == (X.nnz, 3, 2)
    assert reader_server().readers() == []


def test_many_refused_files_leave_no_process_no_file_and_no_memory(h5ad: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5ad"
    content = h5ad.read_bytes()

    def refuse(number: int) -> None:
        broken.write_bytes(content[: 1000 + number])
        with pytest.raises(ReadError):
            open_apart(broken)

    def resident(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for number in range(20):
        refuse(number)
    process = reader_server()._process
    assert process is not None
    before = [resident(pid) for pid in (os.getpid(), process.pid)]
    files = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        refuse(number)
    assert all(
        resident(pid) < size + 10 * 1024**2 for pid, size in zip((os.getpid(), process.pid), before, strict=True)
    )
    assert len(os.listdir("/proc/self/fd")) == files
    assert reader_server().readers() == []
    assert reader_server()._process is process


def test_files_are_read_by_many_threads_at_a_time(h5ad: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes(h5ad.read_bytes()[:3000])
    outcomes: list[object] = []

    def read(number: int) -> None:
        for _ in range(10):
            try:
                with open_apart(broken if number % 2 else h5ad) as source:
                    outcomes.append(int(source.load().sum()))
            except ReadError as error:
                outcomes.append(error.code)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == sorted([str(int(some_cells().X.sum()))] * 30 + ["FILE_UNREADABLE"] * 30)
    assert reader_server().readers() == []


def test_a_program_that_was_killed_is_started_again(h5ad: Path) -> None:
    with open_apart(h5ad) as source:
        process = reader_server()._process
        assert process is not None
        process.kill()
        process.wait()
        # A reader dies with the program that started it.
        time.sleep(0.5)
        assert equal(source.load(), some_cells().X)  # by a reader of the program that was started in its place
    with open_apart(h5ad) as source:
        assert source.load().sum() == some_cells().X.sum()
    assert reader_server()._process is not process


PARENT = """
import sys, threading, time
from cellmark.serving.reader import reader_server
from cellmark.serving.reader.open_apart import open_apart
from cellmark.serving.reader.reader_server import ReaderServer

reader_server._server = server = ReaderServer(sys.argv[1])
server.start()
threading.Thread(target=lambda: open_apart(sys.argv[2]), daemon=True).start()
while not server.readers():
    time.sleep(0.01)
print(server._process.pid, *server.readers(), flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("name", ["loops", "sleeps"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_readers_die_with_the_process_that_asked(h5ad: Path, name: str, sent: signal.Signals) -> None:
    path = h5ad.rename(h5ad.with_name(f"{name}.h5ad"))
    with subprocess.Popen([sys.executable, "-c", PARENT, MISBEHAVING, path], stdout=subprocess.PIPE, text=True) as asks:
        assert asks.stdout is not None
        pids = [int(pid) for pid in asks.stdout.readline().split()]
        assert len(pids) == 2
        asks.send_signal(sent)
        asks.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(is_running(pid) for pid in pids):
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_the_program_of_readers_has_one_thread_and_none_of_the_large_libraries(h5ad: Path) -> None:
    open_apart(h5ad).close()
    process = reader_server()._process
    assert process is not None
    assert len(os.listdir(f"/proc/{process.pid}/task")) == 1
    code = (
        "import sys; from cellmark.serving.reader import reader_program; reader_program._warm_up(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name.split(".")[0] for name in done.stdout.split()}
    assert "anndata" in modules
    assert not {"torch", "onnxruntime", "bentoml", "mlflow", "great_expectations", "starlette"} & modules


# limits


@pytest.mark.parametrize("write", ["h5ad", "zarr", "csv", "dense"])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_cells": 39}, "39 cells"),
        ({"max_genes": 29}, "29 genes"),
        ({"max_nonzeros": 10}, "10 values"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(
    tmp_path: Path, write: str, limits: dict[str, int], expected: str
) -> None:
    cells, path = some_cells(), tmp_path / f"cells.{write}"
    match write:
        case "h5ad":
            cells.write_h5ad(path)
        case "dense":
            cells.X = cells.X.toarray()
            cells.write_h5ad(path := path.with_suffix(".h5ad"))
        case "zarr":
            cells.write_zarr(path)
        case "csv":
            cells.to_df().to_csv(path)
    with pytest.raises(ReadError) as raised:
        open_apart(path, rules=replace(SMALL, limits=ReadLimits(**limits)))
    assert raised.value.code == "INPUT_TOO_LARGE"
    assert expected in raised.value.findings[0].expected


def test_rules_come_from_the_environment() -> None:
    rules = ReadingRules.from_environment({"CELLMARK_MAX_CELLS": "7", "CELLMARK_READ_SECONDS": "9"})
    assert (rules.limits.max_cells, rules.budget.seconds) == (7, 9)
    with pytest.raises(ParameterError) as raised:
        ReadingRules.from_environment({"CELLMARK_MAX_CELLS": "seven", "CELLMARK_READER_MEMORY_BYTES": "0"})
    assert len(raised.value.findings) == 2


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cells.h5ad")
    (tmp_path / "null.h5").symlink_to("/dev/zero")
    (tmp_path / "folder.h5ad").mkdir()
    codes = {"cells.h5ad": "FILE_UNREADABLE", "null.h5": "FILE_UNREADABLE", "folder.h5ad": "FILE_FORMAT_UNKNOWN"}
    for name, code in codes.items():
        for opener in (open_apart, open_cells):
            with pytest.raises(ReadError) as raised:
                opener(tmp_path / name)
            assert raised.value.code == code


def test_a_folder_whose_links_lead_out_of_it_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "cells.zarr"
    some_cells().write_zarr(store)
    shutil.move(store / "X", tmp_path / "X")
    (store / "X").symlink_to(tmp_path / "X")
    with pytest.raises(ReadError) as raised:
        open_apart(store)
    assert raised.value.code == "FILE_UNREADABLE"
    assert raised.value.findings[0].examples == ("X",)
    (store / "X").unlink()
    shutil.move(tmp_path / "X", store / "elsewhere")
    (store / "X").symlink_to("elsewhere")
    with open_apart(store) as source:
        assert equal(source.load(), some_cells().X)
    os.mkfifo(store / "obs" / "pipe")
    with pytest.raises(ReadError):
        open_apart(store)
