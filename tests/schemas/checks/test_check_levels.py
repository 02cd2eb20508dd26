"""Columns of coarser names: what is read, forgiven and refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.checks.check_levels import read_levels

TYPES = ["CD4 T", "CD8 T", "NK", "mono"]
LINEAGE = {"CD4 T": "lymphoid", "CD8 T": "lymphoid", "NK": "lymphoid", "mono": "myeloid"}
BROAD = {"CD4 T": "T", "CD8 T": "T", "NK": "NK cells", "mono": "monocytes"}


def cells(**columns: dict[str, str | None]) -> pd.DataFrame:
    """A hundred cells of each type, with the names of each column."""
    obs = pd.DataFrame({"cell_type": np.repeat(TYPES, 100)}, index=[f"c{number}" for number in range(400)])
    return obs.assign(**{name: obs["cell_type"].map(names) for name, names in columns.items()})


def told(obs: pd.DataFrame, *columns: str) -> list[str]:
    return [str(finding) for finding in read_levels(obs, "cell_type", columns, min_cells=10)[1]]


@pytest.mark.parametrize("order", [("lineage", "broad"), ("broad", "lineage")])
def test_levels_are_read_in_any_order_the_one_with_the_fewest_names_first(order: tuple[str, ...]) -> None:
    obs = cells(lineage=LINEAGE, broad=BROAD).astype("category")
    levels, findings = read_levels(obs, "cell_type", order, min_cells=10)
    assert findings == ()
    assert [(level.column, dict(level.of_type)) for level in levels] == [("lineage", LINEAGE), ("broad", BROAD)]


@pytest.mark.parametrize("nothing", [None, "None", "nan", " "])
def test_a_type_that_a_level_does_not_name_stands_by_itself(nothing: str | None) -> None:
    levels, findings = read_levels(cells(broad={**BROAD, "NK": nothing}), "cell_type", ["broad"], min_cells=10)
    assert findings == ()
    assert levels[0].of_type["NK"] == "NK"


def test_a_few_stray_cells_are_a_warning_and_more_are_refused_and_the_remedy_works() -> None:
    obs = cells(lineage=LINEAGE)
    obs.iloc[:5, 1] = "myeloid"
    levels, (warning,) = read_levels(obs, "cell_type", ["lineage"], min_cells=10)
    assert (warning.severity, warning.code) == ("warning", "LEVELS_INVALID")
    assert "CD4 T: lymphoid (95), myeloid (5)" in warning.found
    assert dict(levels[0].of_type) == LINEAGE
    obs.iloc[:6, 1] = None
    _, (error,) = read_levels(obs, "cell_type", ["lineage"], min_cells=10)
    assert error.severity == "error"
    assert "CD4 T: lymphoid (94), no name (6)" in error.found
    adata = ad.AnnData(np.ones((400, 1), dtype=np.float32), obs=obs)
    exec(error.remedy.partition(": ")[2].rstrip("."), {"adata": adata})
    assert told(adata.obs, "lineage") == []


def test_groups_that_lie_in_two_coarser_ones_are_refused_by_name() -> None:
    crossing = {"CD4 T": "a", "CD8 T": "b", "NK": "c", "mono": "c"}
    (found,) = told(cells(lineage=LINEAGE, crossing=crossing), "lineage", "crossing")
    assert "c lies in lymphoid (NK) and myeloid (mono)" in found
    assert "--levels lineage" in found


@pytest.mark.parametrize("names", [dict.fromkeys(TYPES, "blood"), {name: name.lower() for name in TYPES}])
def test_a_level_that_groups_nothing_is_refused(names: dict[str, str]) -> None:
    (found,) = told(cells(level=names), "level")
    assert "LEVELS_INVALID" in found
    assert "Omit it from --levels" in found


def test_the_word_for_cells_of_no_type_is_no_group() -> None:
    assert any("unassigned" in one for one in told(cells(level={**BROAD, "mono": "unassigned"}), "level"))


def test_unknown_columns_and_the_labels_themselves_are_refused() -> None:
    (found,) = told(cells(lineage=LINEAGE), "lineage", "linage", "cell_type")
    assert "'linage', 'cell_type'" in found
    assert "LABEL_COLUMN_UNKNOWN" in found
    assert read_levels(cells(), "none", ["lineage"], min_cells=10) == ((), ())


def test_types_of_too_few_cells_have_no_say() -> None:
    obs = cells(lineage=LINEAGE)
    rare = pd.DataFrame({"cell_type": ["rare"] * 4, "lineage": ["lymphoid", "myeloid"] * 2}, index=list("abcd"))
    levels, findings = read_levels(pd.concat([obs, rare]), "cell_type", ["lineage"], min_cells=10)
    assert findings == ()
    assert "rare" not in levels[0].of_type
