"""The genes of an input and a panel: columns of var, organisms, notes, and the same at the HTTP door."""

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.genes.fit_genes import GeneFit, fit_genes
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.serving.annotator import Annotator
from cellmark.serving.http.answers import validate
from cellmark.serving.models.model_source import open_model
from cellmark.serving.scoring.session import ModelSession

SYMBOLS = ("MS4A1", "CD79A", "GNLY", "NKG7", "LYZ", "PPBP", "CD3D", "CD8A", "MT-CO1", "FCER1A")
IDS = [
    "ENSG00000156738", "ENSG00000105369", "ENSG00000115523", "ENSG00000105374", "ENSG00000090382", "ENSG00000163736",
    "ENSG00000167286", "ENSG00000153563", "ENSG00000198804", "ENSG00000179639",
]  # fmt: skip
PANEL = GenePanel(SYMBOLS, None, "Homo sapiens")


def fitted(names: list[str], panel: GenePanel = PANEL, **settings: object) -> GeneFit:
    X = sp.csr_matrix(np.ones((2, len(names)), dtype=np.float32))
    cells = MemoryCells(X, np.array(names), pd.DataFrame(index=["a", "b"]), **settings)  # type: ignore[arg-type]
    return fit_genes(panel, cells)


def codes(fit: GeneFit) -> list[str]:
    return [finding.code for finding in fit.findings]


def test_ids_are_mapped_with_a_note_of_how_many_and_how() -> None:
    fit = fitted([*IDS, "ENSG09999999999"])
    assert fit.match.columns.tolist() == [*range(10), -1]
    (note,) = fit.findings
    assert (note.code, note.severity, note.where) == ("GENES_MAPPED", "info", "var_names")
    assert "10 other names" in note.found
    assert "10 by Ensembl id; 1 names are in no table" in note.found
    assert note.examples[0] == "ENSG00000156738 = MS4A1"
    assert fit.symbols.tolist() == [*SYMBOLS, "ENSG09999999999"]


def test_a_column_with_the_models_names_is_taken_and_named() -> None:
    for column in ("feature_name", "Gene_Symbols"):
        fit = fitted(IDS, var=pd.DataFrame({column: SYMBOLS}, index=IDS))
        assert fit.match.columns.tolist() == list(range(10))
        assert [(note.code, note.where) for note in fit.findings] == [("GENE_COLUMN_TAKEN", f"var[{column!r}]")]


def test_a_column_of_ids_helps_where_a_symbol_is_not_the_models() -> None:
    names = ["unheard-of", *SYMBOLS[1:]]
    fit = fitted(names, var=pd.DataFrame({"gene_ids": IDS}, index=names))
    assert fit.match.columns.tolist() == list(range(10))
    assert [(note.code, note.where) for note in fit.findings] == [("GENES_MAPPED", "var['gene_ids']")]


def test_missing_values_in_a_column_are_no_names() -> None:
    var = pd.DataFrame({"gene_ids": pd.Categorical([None, *IDS[1:]])}, index=IDS)
    fit = fitted([f"{number}" for number in range(10)], var=var)
    assert fit.match.columns.tolist() == [-1, *range(1, 10)]


def test_the_models_own_ids_serve_without_any_table() -> None:
    panel = GenePanel(tuple("abcd"), ("ENSDARG00000000001", None, "ENSDARG00000000003", None), "Danio rerio")
    fit = fitted(["ENSDARG00000000003.2", "a"], panel)
    assert fit.match.columns.tolist() == [2, 0]
    assert codes(fit) == ["GENES_MAPPED"]


def test_ambiguous_names_are_a_warning() -> None:
    panel = GenePanel((*SYMBOLS, "MARCH1"), None, "human")
    fit = fitted([*SYMBOLS, "1-Mar"], panel)
    (note,) = fit.findings
    assert (note.code, note.severity) == ("GENES_AMBIGUOUS", "warning")
    assert note.examples == ("1-Mar (MARCHF1 or MTARC1)",)
    assert fit.match.missing == ("MARCH1",)


def test_another_organism_is_an_error_whoever_says_so() -> None:
    mouse = ["Ms4a1", "Cd79a", "Nkg7", "Lyz2", "Cd3d", "Cd8a", "mt-Co1", "Fcer1a"]
    assert codes(fitted(mouse)) == ["ORGANISM_MISMATCH"]
    assert codes(fitted(list(SYMBOLS), GenePanel(tuple(mouse), None, None))) == ["ORGANISM_MISMATCH"]
    assert codes(fitted(list(SYMBOLS), uns={"organism": "Mus musculus"})) == ["ORGANISM_MISMATCH"]
    assert codes(fitted([f"ENSDARG{number:011d}" for number in range(20)])) == ["ORGANISM_MISMATCH"]
    joint = [f"hg19_{name}" for name in SYMBOLS] + [f"mm10_{name}" for name in mouse]
    (finding,) = fitted(joint).findings
    assert "human and mouse" in finding.found
    assert "Keep the cells and genes of human alone" in finding.remedy


def test_a_rat_models_cells_are_not_a_mouses() -> None:
    names = ["Ms4a1", "Cd79a", "Nkg7", "Lyz2", "Cd3d", "Cd8a"]
    panel = GenePanel((*names, "Extra"), None, "Rattus norvegicus")
    assert codes(fitted(names, panel)) == []
    assert codes(fitted(names, panel, uns={"organism": "mouse"})) == ["ORGANISM_MISMATCH"]


def test_no_genes_and_no_known_genes_say_nothing_of_names() -> None:
    assert codes(fitted([])) == []
    assert codes(fitted(["x", "y"])) == []


def test_duplicates_after_mapping_are_summed() -> None:
    fit = fitted(["ENSG00000156738.1", "ENSG00000156738.2", *SYMBOLS[1:]])
    assert fit.match.duplicated == ("MS4A1",)
    assert fit.match.align(sp.csr_matrix(np.ones((1, 11), dtype=np.float32))).toarray()[0].tolist() == [2, *[1] * 9]


def test_a_request_is_fitted_as_a_file_is(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    source = open_model(tiny_bundle.folder)
    annotator = Annotator(source, ModelSession(source.bundle))
    names = np.char.lower(new_cells.var_names.to_numpy(dtype=str))
    cells = MemoryCells(sp.csr_matrix(new_cells.X), names, new_cells.obs[[]])
    answer = validate(annotator, RequestCells(cells))
    assert answer["valid"]
    assert answer["genes_missing"] == 0
    assert "GENES_MAPPED" in {finding["code"] for finding in answer["findings"]}


def test_what_is_remembered_is_of_this_panel_and_these_names_alone() -> None:
    mouse = GenePanel(SYMBOLS, None, "Mus musculus")  # equal to PANEL, whose symbols it has
    assert mouse == PANEL
    for _ in range(2):
        assert codes(fitted(IDS)) == ["GENES_MAPPED"]
        assert codes(fitted(IDS, mouse)) == ["ORGANISM_MISMATCH"]
        assert fitted(IDS[::-1]).match.columns.tolist() == list(range(10))[::-1]
        assert fitted(list(SYMBOLS)).match.columns.tolist() == list(range(10))
