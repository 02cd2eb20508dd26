"""Types that only held out donors have."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks.check_split import SplitOptions
from cellmark.schemas.checks.checks import check_anndata
from cellmark.schemas.checks.split import Split, split_by_donor, split_cells
from cellmark.schemas.errors import InputError, LabelError
from cellmark.training.cells.drop_untrainable import drop_untrainable
from cellmark.training.cells.labelled_cells import LabelledCells, read_labelled


def draw(rows: dict[str, dict[str, int]]) -> LabelledCells:
    """Cells by donor and type; a cell's one count tells which it was."""
    return read_labelled(cells_from_anndata(adata_of(rows)), label="cell_type", donor="donor", min_cells=3)


def adata_of(rows: dict[str, dict[str, int]]) -> ad.AnnData:
    labels = [(donor, name) for donor, types in rows.items() for name, size in types.items() for _ in range(size)]
    labels = [labels[number] for number in np.random.default_rng(0).permutation(len(labels))]
    obs = pd.DataFrame(labels, columns=["donor", "cell_type"], index=[f"c{number}" for number in range(len(labels))])
    X = sp.csr_matrix(np.column_stack([np.arange(len(labels)) + 1, np.ones(len(labels))]).astype(np.float32))
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=["number", "one"]))


def test_a_type_of_held_out_donors_alone_leaves_all_parts_and_is_named() -> None:
    cells = draw({"d1": {"B": 9, "epsilon": 4, "T": 9}, "d2": {"B": 9, "T": 9}, "d3": {"B": 9, "T": 9}})
    assert cells.donors is not None
    split = split_by_donor(cells.codes, cells.donors, hold_out=["d1"], seed=0)
    left, parts = drop_untrainable(cells, split, min_cells=3)
    assert left.cell_types == ("B", "T")
    assert left.dropped == {"epsilon": 4}
    assert "epsilon (0 of 4 cells left)" in left.notes[-1].found
    for before, after in zip((split.train, split.validation, split.test),
                             (parts.train, parts.validation, parts.test), strict=True):  # fmt: skip
        expected = [cells.cell_ids[cell] for cell in before if cells.cell_types[cells.codes[cell]] != "epsilon"]
        assert left.cell_ids[after].tolist() == expected
    by_id = dict(zip(cells.cell_ids, np.array(cells.cell_types)[cells.codes], strict=True))
    assert [by_id[cell_id] for cell_id in left.cell_ids] == [left.cell_types[code] for code in left.codes]


@pytest.mark.parametrize(("n_left", "kept"), [(3, True), (2, False)])
def test_a_handful_of_cells_is_not_learned(n_left: int, kept: bool) -> None:
    rows = {"d1": {"B": 9, "T": 9, "acinar": 40}, "d2": {"B": 9, "T": 9, "acinar": n_left}, "d3": {"B": 9, "T": 9}}
    cells = draw(rows)
    assert cells.donors is not None
    left, parts = drop_untrainable(cells, by_donor(cells, train="d2", validation="d3", test="d1"), min_cells=3)
    assert ("acinar" in left.cell_types) == kept
    assert left.dropped == ({} if kept else {"acinar": 40 + n_left})
    assert len(parts.test) == (58 if kept else 18)


def test_half_of_a_small_type_is_enough() -> None:
    cells = draw({"d1": {"B": 30, "T": 30, "mast": 5}, "d2": {"B": 30, "T": 30, "mast": 5}, "d3": {"B": 30, "T": 30}})
    split = by_donor(cells, train="d2", validation="d3", test="d1")
    assert "mast" in drop_untrainable(cells, split, min_cells=10)[0].cell_types


def by_donor(cells: LabelledCells, **donors: str) -> Split:
    return Split("donor", 0, **{part: np.flatnonzero(cells.donors == donor) for part, donor in donors.items()})


def test_nothing_changes_when_training_has_every_type() -> None:
    cells = draw({name: {"B": 9, "T": 9} for name in ("d1", "d2", "d3")})
    assert cells.donors is not None
    split = split_by_donor(cells.codes, cells.donors, hold_out=["d1"], seed=0)
    assert drop_untrainable(cells, split, min_cells=3) == (cells, split)


def test_a_split_without_a_test_part_is_none_with_too_little() -> None:
    cells = draw({name: {"B": 9, "T": 9} for name in ("d1", "d2", "d3")})
    split = split_by_donor(cells.codes, cells.donors, no_test=True, seed=0)  # type: ignore[arg-type]
    assert drop_untrainable(cells, split, min_cells=3) == (cells, split)


@pytest.mark.parametrize(
    "rows",
    [
        {"d1": {"B": 9, "NK": 9}, "d2": {"T": 9}, "d3": {"T": 9}},
        {"d1": {"NK": 9}, "d2": {"B": 9, "T": 9}, "d3": {"B": 9, "T": 9}},
    ],
    ids=["one type to train on", "nothing to test on"],
)
def test_too_little_that_is_left_is_refused(rows: dict[str, dict[str, int]]) -> None:
    cells = draw(rows)
    assert cells.donors is not None
    split = split_by_donor(cells.codes, cells.donors, hold_out=["d1"], seed=0)
    with pytest.raises(LabelError, match="SPLIT_IMPOSSIBLE"):
        drop_untrainable(cells, split, min_cells=3)


@pytest.mark.parametrize("by_donors", [True, False])
@pytest.mark.parametrize("test_share", [0.2, 0.0])
@pytest.mark.parametrize("number", range(12))
def test_validate_says_before_what_training_refuses_and_leaves_out(
    number: int, test_share: float, by_donors: bool
) -> None:
    """Whatever the design: few cells, types of one donor, donors of one type."""
    generator = np.random.default_rng(number)
    sizes = generator.choice([0, 0, 1, 4, 30], (generator.integers(1, 5), 3))
    rows = {f"d{place}": dict(zip("BTN", map(int, row), strict=True)) for place, row in enumerate(sizes)}
    if not sizes.any():
        rows["d0"]["B"] = 30
    adata = adata_of(rows)
    donor, min_cells = "donor" if by_donors else None, int(generator.choice([3, 10]))
    refused: set[str] = set()
    dropped: dict[str, int] = {}
    try:
        cells = read_labelled(
            cells_from_anndata(adata), label="cell_type", donor=donor, min_cells=min_cells, held_out=test_share > 0
        )
        split = split_cells(cells.codes, cells.donors, test_share=test_share, seed=number)
        dropped = drop_untrainable(cells, split, min_cells=min_cells)[0].dropped
    except InputError as error:
        refused = {finding.code for finding in error.findings}
    report = check_anndata(
        adata, profile="train", donor=donor, min_cells=min_cells, split=SplitOptions((), test_share, number)
    )
    assert {finding.code for finding in report.findings if finding.severity == "error"} == refused
    named = " ".join(finding.found for finding in report.findings if finding.code == "CELL_TYPES_DROPPED")
    assert all(f"{name} (" in named for name in dropped)
    assert dropped or refused or not named
