"""Labels of training cells: each fault by its code, with what names it, and none for labels that are right."""

import re
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.checks.check_labels import label_column_findings, label_findings
from cellmark.schemas.checks.label_text import as_meant, as_seen, has_hidden
from cellmark.schemas.checks.likely_columns import likely_donors, likely_labels
from cellmark.schemas.errors import Finding

RIGHT = ["B cell", "CD4+ T", "CD4- T", "\u03b3\u03b4 T", "CD14+ Monocytes", "T cell", "cDC1", "caf\u00e9 cell", "beta"]
NBSP, ZERO_WIDTH, CYRILLIC_B, FULL_WIDTH = "\u00a0", "\u200b", "\u0412", "\uff22 cell"


def said(labels: list[Any], *, min_cells: int = 1) -> list[Finding]:
    obs = pd.DataFrame({"cell_type": pd.Series(labels, dtype=object).to_numpy()})
    obs.index = pd.Index([f"cell-{number}" for number in range(len(obs))])
    return list(label_findings(obs, "cell_type", min_cells=min_cells))


def codes(labels: list[Any], **settings: int) -> dict[str, str]:
    found = said(labels, **settings)
    assert len({finding.code for finding in found}) == len(found)
    return {finding.code: finding.severity for finding in found}


def test_labels_that_are_right_are_passed() -> None:
    assert said(RIGHT * 3, min_cells=3) == []


@pytest.mark.parametrize(
    ("twin", "code"),
    [
        ("B cell ", "LABEL_SPACES"),
        (" B cell", "LABEL_SPACES"),
        ("B  cell", "LABEL_SPACES"),
        ("B\tcell", "LABEL_SPACES"),
        ("b cell", "LABEL_CASE_TWINS"),
        ("B_cell", "LABEL_CASE_TWINS"),
        (f"B{NBSP}cell", "LABEL_LOOKALIKES"),
        (f"B cell{ZERO_WIDTH}", "LABEL_LOOKALIKES"),
        (f"{CYRILLIC_B} cell", "LABEL_LOOKALIKES"),
        (FULL_WIDTH, "LABEL_LOOKALIKES"),
        (f"{CYRILLIC_B}{NBSP}CELL ", "LABEL_CASE_TWINS"),
    ],
)
def test_one_type_written_twice_is_an_error_that_gives_the_line_which_mends_it(twin: str, code: str) -> None:
    labels = ["B cell"] * 5 + [twin] * 2 + ["T cell"] * 4
    (finding,) = said(labels)
    assert (finding.code, finding.severity) == (code, "error")
    assert finding.examples == (f"'B cell' = {twin!a}",)
    adata = ad.AnnData(np.ones((len(labels), 1), np.float32), obs=pd.DataFrame({"cell_type": labels}))
    line = re.search(r"adata\.obs.*\)", finding.remedy)
    assert line is not None
    exec(line.group(), {"adata": adata})
    assert said(list(adata.obs["cell_type"])) == []
    assert (adata.obs["cell_type"] == "B cell").sum() == 7


def test_types_that_differ_in_a_sign_are_two() -> None:
    assert codes(["CD4+", "CD4-", "CD4"] * 3) == {}


def test_a_hyphen_of_another_kind_is_a_lookalike() -> None:
    assert codes(["CD25-", "CD25\u2212", "T"] * 2) == {"LABEL_LOOKALIKES": "error"}


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("T cell ", "LABEL_SPACES"),
        (f"T{NBSP}cell", "LABEL_LOOKALIKES"),
        (f"{CYRILLIC_B} lymphocyte", "LABEL_LOOKALIKES"),
        (f"NK{ZERO_WIDTH} cell", "LABEL_LOOKALIKES"),
    ],
)
def test_a_label_that_hides_something_without_a_twin_is_a_warning(label: str, code: str) -> None:
    assert codes([label, "monocyte"] * 2) == {code: "warning"}


@pytest.mark.parametrize("label", ["Т-клетки", "клетка Т", "CD4 Т-клетки", "NK-клетки", "Β λεμφοκύτταρο", "T細胞"])
def test_labels_of_another_language_hide_nothing(label: str) -> None:
    assert not has_hidden(label)


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("nan", "error"), ("None", "error"), ("NA", "error"), ("<NA>", "error"), ("n/a", "error"),
        ("unknown", "warning"), ("Unknown", "warning"), ("Doublet", "warning"), ("low_quality", "warning"),
        ("Other", "warning"), ("unclassified", "warning"),
    ],
)  # fmt: skip
def test_placeholders_are_named_and_counted(label: str, severity: str) -> None:
    (finding,) = said([label] * 3 + ["B", "T"] * 2)
    assert (finding.code, finding.severity) == ("LABEL_PLACEHOLDER", severity)
    assert "3 cells" in finding.found
    assert finding.examples == (repr(label),)
    assert f"isin([{label!r}])" in finding.remedy


@pytest.mark.parametrize("label", ["unassigned", "Unassigned", " UNASSIGNED ", "B | T"])
def test_answers_of_cellmark_are_no_labels(label: str) -> None:
    found = codes([label, "B", "T"])
    assert found.pop("LABEL_RESERVED") == "error"
    assert found in ({}, {"LABEL_SPACES": "warning"})


@pytest.mark.parametrize("blank", [None, np.nan, "", "  "])
def test_missing_labels_are_no_types_of_their_own(blank: object) -> None:
    found = said([blank, "B", "B", "T", "T"], min_cells=2)
    assert [finding.code for finding in found] == ["LABEL_MISSING"]
    assert found[0].examples == ("cell-0",)


def test_a_column_without_a_label_is_told_once() -> None:
    assert codes([None, None]) == {"LABEL_MISSING": "error"}


def test_one_type_and_types_below_the_floor() -> None:
    assert codes(["B"] * 5) == {"LABEL_ONE_CLASS": "error"}
    assert codes(["B"] * 5 + ["T"] * 2, min_cells=3) == {"LABEL_ONE_CLASS": "error"}
    assert codes(["B"] * 5 + ["T"] * 3 + ["NK"], min_cells=3) == {"CELL_TYPES_DROPPED": "warning"}


def test_faults_of_all_kinds_come_at_once() -> None:
    labels = ["B cell", "b cell", "NK ", "NK", f"T{NBSP}cell", "unknown", "unassigned", None, "rare"]
    found = said([*labels[:-1] * 3, "rare"], min_cells=2)
    assert {finding.code for finding in found} == {
        "LABEL_CASE_TWINS", "LABEL_SPACES", "LABEL_LOOKALIKES", "LABEL_PLACEHOLDER", "LABEL_RESERVED",
        "LABEL_MISSING", "CELL_TYPES_DROPPED",
    }  # fmt: skip


def test_long_labels_and_labels_for_every_cell_are_cut_short() -> None:
    found = said([f"cell {number} " + "x" * 10_000 for number in range(300)], min_cells=2)
    assert all(len(text) < 300 for finding in found for text in finding.examples)
    (finding,) = said(["\x1b[2J" + "x" * 5000] * 2 + ["T", "T", "rare\n" * 5000], min_cells=2)[-1:]
    assert finding.code == "CELL_TYPES_DROPPED"
    assert finding.found.isprintable()
    assert len(finding.found) < 200
    (finding,) = said([f"a{number}" for number in range(20_000)], min_cells=2)
    assert finding.code == "LABEL_ONE_CLASS"
    assert "and 19990 more" in finding.found


def test_a_column_that_is_there_twice_is_refused() -> None:
    obs = pd.DataFrame([["B", "B"], ["T", "T"]], columns=["cell_type", "cell_type"])
    (finding,) = label_column_findings(obs, "cell_type")
    assert finding.code == "LABEL_COLUMN_UNKNOWN"


def cells(n: int = 60) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n_counts": generator.normal(1000, 50, n),
            "n_genes": np.arange(n),
            "barcode": [f"ACGT-{number}" for number in range(n)],
            "CellType": generator.choice(["a", "b", "c"], n),
            "group": pd.Categorical(generator.choice(["B cell", "Monocyte", "NK"], n)),
            "leiden": pd.Categorical(generator.choice(["0", "1", "2"], n)),
            "patient_id": generator.choice(["P1", "P2"], n),
            "sex": generator.choice(["f", "m"], n),
        }
    )


def test_columns_that_may_hold_cell_types_are_suggested_by_name_and_by_content() -> None:
    assert likely_labels(cells(), "cell_type") == ("CellType", "group", "leiden")
    assert likely_labels(cells().drop(columns="CellType"), "cell_type") == ("group", "leiden")
    assert likely_labels(cells()[["n_counts", "n_genes", "barcode", "sex"]], "cell_type") == ()
    assert likely_donors(cells(), "donor") == ("patient_id",)


def test_an_unknown_column_names_what_may_have_been_meant() -> None:
    (finding,) = label_column_findings(cells(), "cell_type")
    assert finding.code == "LABEL_COLUMN_UNKNOWN"
    assert "--label 'CellType' or --label 'group' or --label 'leiden'" in finding.remedy


def test_keys_of_text_are_blind_to_one_thing_more_each() -> None:
    text = f" {CYRILLIC_B}{NBSP}cell_1"
    assert as_seen(text) == "B cell_1"
    assert as_meant(text) == "b cell 1"
    assert as_meant(as_meant(text)) == as_meant(text)


def test_values_that_read_the_same_are_one_label_whatever_their_type() -> None:
    expected = {"LABEL_MISSING": "error", "LABEL_PLACEHOLDER": "warning"}
    assert codes([1, "1", 1, 2, "2", pd.NA, None, np.nan], min_cells=2) == expected
    missing, _ = said([1, "1", 2, 2, pd.NA, " "], min_cells=2)
    assert missing.examples == ("cell-4", "cell-5")


@pytest.mark.parametrize(
    "labels",
    [["0", "1", "2"], [0, 1, 2], [0.0, 1.0, 2.0], ["Cluster 1", "cluster_2", "T cell"], ["leiden-3", "B", "T"]],
)
def test_numbers_in_place_of_names_are_a_warning(labels: list[Any]) -> None:
    """As conversions from Seurat leave the levels of a factor."""
    assert codes(labels * 4) == {"LABEL_PLACEHOLDER": "warning"}


@pytest.mark.parametrize("name", ["CD4", "ILC2", "Th17", "L2/3 IT", "NK1", "cDC1", "5-HT neuron", "γδ T 1"])
def test_names_with_numbers_are_names(name: str) -> None:
    assert codes([name, "B cell"] * 4) == {}


def test_a_column_that_has_the_names_is_proposed_for_numbers() -> None:
    obs = pd.DataFrame({"cell_type": [0, 1] * 6, "seurat_clusters": [0, 1] * 6, "celltype": ["T cell", "B cell"] * 6})
    (finding,) = label_findings(obs, "cell_type", min_cells=1)
    assert "--label 'celltype'." in finding.remedy
