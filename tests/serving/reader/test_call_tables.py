"""Tables of calls that nobody vouches for: read apart, within limits, and each refusal with its code."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cellmark.schemas.cells.read_limits import NO_LIMITS, ReadLimits
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.errors import ReadError
from cellmark.serving.reader.call_tables import LONGEST_HEADER, MOST_COLUMNS, NEEDED, read_call_table
from cellmark.serving.reader.open_apart import calls_apart
from cellmark.serving.reader.read_calls import read_calls
from cellmark.serving.reader.reader_process import ReaderBudget
from cellmark.serving.reader.reader_server import reader_server
from cellmark.serving.reader.reading_rules import ReadingRules

SMALL = ReadingRules(budget=ReaderBudget(seconds=2.0, memory_bytes=300 * 1024**2))

pytestmark = pytest.mark.timeout(120)


def calls(n_cells: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell_id": [f"cell-{number}" for number in range(n_cells)],
            CELL_TYPE: pd.Categorical(["T cell", "unassigned", "B, mature"] * (n_cells // 3)),
            BEST_CELL_TYPE: ["T cell", "1", "B, mature"] * (n_cells // 3),
            CONFIDENCE: np.linspace(0.5, 1, n_cells, dtype=np.float32),
            NOVELTY: [np.nan, *np.linspace(-1, 3, n_cells - 1)],
        }
    )


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def code_of(path: Path, rules: ReadingRules = SMALL) -> str:
    with pytest.raises(ReadError) as refused:
        calls_apart(path, rules=rules)
    (finding,) = refused.value.findings
    return finding.code


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_the_same_read_apart_and_directly(tmp_path: Path, suffix: str) -> None:
    path = written(calls(), tmp_path / f"calls{suffix}")
    apart, direct = calls_apart(path), read_call_table(path, NO_LIMITS)
    for frame in (apart, direct):
        assert list(frame.columns) == list(NEEDED)
        assert frame[CELL_TYPE].astype(str).tolist() == calls()[CELL_TYPE].astype(str).tolist()
        assert frame[BEST_CELL_TYPE].astype(str).tolist() == calls()[BEST_CELL_TYPE].tolist()
        np.testing.assert_allclose(frame[NOVELTY], calls()[NOVELTY])
        np.testing.assert_allclose(frame[CONFIDENCE], calls()[CONFIDENCE], rtol=1e-6)
    assert reader_server().readers() == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_more_cells_than_the_limit_are_refused(tmp_path: Path, suffix: str) -> None:
    path = written(calls(9), tmp_path / f"calls{suffix}")
    rules = ReadingRules(limits=ReadLimits(max_cells=8), budget=SMALL.budget)
    assert code_of(path, rules) == "INPUT_TOO_LARGE"
    assert len(calls_apart(path, rules=ReadingRules(limits=ReadLimits(max_cells=9)))) == 9


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_more_bytes_than_the_limit_are_refused(tmp_path: Path, suffix: str) -> None:
    """A column of one value packs into next to nothing."""
    frame = calls(30_000)
    frame[NOVELTY] = np.random.default_rng(0).normal(size=len(frame))
    path = written(frame, tmp_path / f"calls{suffix}")
    rules = ReadingRules(limits=ReadLimits(max_unpacked_bytes=100_000), budget=SMALL.budget)
    assert code_of(path, rules) == "INPUT_TOO_LARGE"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_more_columns_than_calls_have_are_refused(tmp_path: Path, suffix: str) -> None:
    names = [*NEEDED, *(f"column {number}" for number in range(MOST_COLUMNS))]
    path = tmp_path / f"calls{suffix}"
    if suffix == ".csv":
        path.write_text(",".join(names) + "\n")
    else:
        pq.write_table(pa.table({name: pa.array([], pa.float32()) for name in names}), path)
    assert code_of(path) == "INPUT_TOO_LARGE"


def test_a_line_that_never_ends_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(f"{CELL_TYPE},{CONFIDENCE}".encode() + b"x" * LONGEST_HEADER)
    assert code_of(path) == "FILE_UNREADABLE"


def test_a_parquet_that_unpacks_to_gigabytes_is_ended(tmp_path: Path) -> None:
    """Its headers lie within the limits of the command line; the memory of the reader is the second bound."""
    n_cells = 3_000_000
    text = pa.array(["T cell " + "x" * 200]).dictionary_encode()
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_cells, dtype=np.int32)), text.dictionary)
    table = pa.table({CELL_TYPE: repeated.cast(pa.string()), BEST_CELL_TYPE: repeated.cast(pa.string()),
                      CONFIDENCE: pa.array(np.ones(n_cells, np.float32)),
                      NOVELTY: pa.array(np.ones(n_cells, np.float32))})  # fmt: skip
    path = tmp_path / "calls.parquet"
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    start = time.monotonic()
    assert code_of(path) == "FILE_UNREADABLE"
    assert time.monotonic() - start < 60
    assert reader_server().readers() == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(64) + b"PAR1", b"PAR1 not really PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calls.parquet"
    path.write_bytes(content)
    assert code_of(path) == "FILE_UNREADABLE"


def test_flipped_bits_of_a_parquet_end_in_an_answer_or_a_refusal(tmp_path: Path) -> None:
    sound = written(calls(300), tmp_path / "sound.parquet").read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "calls.parquet"
    refused, codes = 0, set()
    for _ in range(80):
        content = bytearray(sound)
        for place in generator.integers(0, len(sound), 3):
            content[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(content)
        try:
            assert len(calls_apart(path, rules=SMALL)) <= 10_000_000
        except ReadError as error:
            codes |= {finding.code for finding in error.findings}
            refused += 1
    assert refused > 25
    assert codes <= {"FILE_UNREADABLE", "INPUT_TOO_LARGE"}
    assert reader_server().readers() == []


def test_columns_of_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    pq.write_table(pa.table({**{name: ["T cell"] for name in NEEDED[:3]}, NOVELTY: [[1.0]]}), path)
    assert code_of(path) == "FILE_UNREADABLE"


def test_bytes_that_no_text_has_are_refused(tmp_path: Path) -> None:
    path = written(calls(), tmp_path / "calls.csv")
    path.write_bytes(path.read_bytes() + b"\0\0\n")
    assert code_of(path) == "TABLE_INVALID"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_facts_are_read_from_a_plain_file_alone(tmp_path: Path, suffix: str) -> None:
    path = written(calls(), tmp_path / f"calls{suffix}")
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({"bundle_digest": "a" * 64}))
    assert read_calls(path)[1] == {"bundle_digest": "a" * 64}
    beside.unlink()
    beside.mkdir()
    assert read_calls(path)[1] == {}


def test_the_command_reads_tables_apart(
    cellmark: Callable[..., Any], tiny_bundle: Any, new_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "calls.parquet"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    monkeypatch.setenv("CELLMARK_MAX_CELLS", "10")
    ran = cellmark("drift", out, "-m", tiny_bundle.folder)
    assert (ran.status, "[INPUT_TOO_LARGE]" in ran.err) == (1, True)
    assert cellmark("drift", out, "-m", tiny_bundle.folder, "--trusted").status == 0
