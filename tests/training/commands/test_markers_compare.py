"""`cellmark markers compare` as a user meets it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.training.markers.compare_conditions import COLUMNS

Cellmark = Callable[..., Any]
LOST = ["GENE0", "GENE1"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four healthy and four sick donors, three types; genes 0 and 1 mark B cells in the healthy alone. Three of the
    sick have no NK cells.
    """
    generator = np.random.default_rng(0)
    base = generator.gamma(0.6, 1.0, 80) + 0.05
    counts, obs = [], []
    for condition in ("healthy", "sick"):
        for donor in range(4):
            own = generator.lognormal(0, 0.2, 80)
            for code, name in enumerate(("B cell", "NK cell", "T cell")):
                rates = base.copy()
                rates[code * 10 : code * 10 + 10] += 6
                if condition == "sick" and code == 0:
                    rates[:2] = base[:2]
                size = 2 if condition == "sick" and donor and code == 1 else 30
                counts.append(generator.poisson(rates * own * generator.lognormal(0, 0.15, 80), (size, 80)))
                obs += [(name, condition, f"{condition}-{donor}")] * size
    frame = pd.DataFrame(obs, columns=["cell_type", "condition", "donor"], index=[f"c{n}" for n in range(len(obs))])
    cells = ad.AnnData(sp.csr_matrix(np.vstack(counts).astype(np.float32)), obs=frame)
    cells.var_names = [f"GENE{number}" for number in range(80)]
    path = tmp_path_factory.mktemp("study") / "study.h5ad"
    cells.write_h5ad(path)
    return path


def test_lost_markers_are_named_written_and_drawn(cellmark: Cellmark, study: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "changes.csv", tmp_path / "changes.png"
    ran = cellmark("markers", "compare", study, "--by", "condition", "--donor", "donor", "-o", out, "--figure", figure)
    assert ran.status == 0, ran.err
    table = pd.read_csv(out)
    assert list(table.columns) == list(COLUMNS)
    lost = table[table["verdict"] == "lost"]
    assert sorted(lost["gene_symbol"]) == LOST
    assert set(lost["cell_type"]) == {"B cell"}
    assert (lost["change_high"] < -1).all()
    assert table.loc[table["cell_type"] == "NK cell", "n_donors_condition"].max() == 1
    assert "sick against healthy" in ran.out
    assert "4 donors against 4 donors" in ran.out
    assert all(f" {gene} " in ran.out for gene in LOST)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_reference_can_be_named_and_types_that_lack_cells_are_told(cellmark: Cellmark, study: Path) -> None:
    ran = cellmark(
        "markers", "compare", study, "--by", "condition", "--donor", "donor", "--reference", "sick", "--min-cells", 31
    )
    assert ran.status == 0, ran.err
    assert "healthy against sick" in ran.out
    assert "Not compared: NK cell: no donor of sick has 31 cells (at most 30)" in ran.out


def test_without_donors_nothing_is_decided_and_the_reader_is_told_why(cellmark: Cellmark, study: Path) -> None:
    ran = cellmark("markers", "compare", study, "--by", "condition", "--top", 2)
    assert ran.status == 0, ran.err
    assert "No donors were named (--donor), so there are no intervals" in ran.out
    assert " lost  " not in ran.out.split("The largest differences")[1]


def test_a_marker_table_says_which_genes_to_look_at(cellmark: Cellmark, study: Path, tmp_path: Path) -> None:
    markers, out = tmp_path / "markers.parquet", tmp_path / "changes.parquet"
    assert cellmark("markers", "rank", study, "--method", "cosg", "-o", markers).status == 0
    ran = cellmark(
        "markers", "compare", study, "--by", "condition", "--donor", "donor", "--markers", markers, "--ranks", 12,
        "-o", out,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    looked_at = pd.read_parquet(out)
    ranked = pd.read_parquet(markers)
    first = ranked[(ranked["rank"] <= 12) & (ranked["direction"] == "positive")]
    assert set(zip(looked_at["cell_type"], looked_at["gene_symbol"], strict=True)) == set(
        zip(first["cell_type"], first["gene_symbol"], strict=True)
    )


def test_donors_can_be_compared_with_each_other(cellmark: Cellmark, study: Path) -> None:
    ran = cellmark("markers", "compare", study, "--by", "donor", "--donor", "donor")
    assert ran.status == 0, ran.err
    assert "one donor against 7 others" in ran.out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--by", "disease"), "PARAMETER_INVALID"),
        (("--by", "condition", "--reference", "ill"), "PARAMETER_INVALID"),
        (("--by", "condition", "--alpha", 1), "PARAMETER_INVALID"),
        (("--by", "condition", "--min-fraction", 1.5), "PARAMETER_INVALID"),
        (("--by", "condition", "--min-fold-change", 0.5), "PARAMETER_INVALID"),
        (("--by", "condition", "--min-change", 0), "PARAMETER_INVALID"),
        (("--by", "condition", "--label", "type"), "LABEL_COLUMN_UNKNOWN"),
        (("--by", "condition", "--markers", "nothing.csv"), "FILE_NOT_FOUND"),
        (("--by", "condition", "--figure", "changes.tiff"), "OUTPUT_FORMAT_UNKNOWN"),
        (("--by", "condition", "-o", "changes.h5ad"), "OUTPUT_FORMAT_UNKNOWN"),
    ],
)
def test_wrong_input_ends_in_one_line(cellmark: Cellmark, study: Path, options: tuple[Any, ...], code: str) -> None:
    ran = cellmark("markers", "compare", study, *options)
    assert ran.status == 1
    assert f"[{code}]" in ran.err
    assert "Traceback" not in ran.err
