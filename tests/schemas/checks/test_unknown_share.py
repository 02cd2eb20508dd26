"""Counts in names that no gene table has."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.checks.checks import check_anndata
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.genes.gene_tables import ENSEMBL, load_gene_table
from fixtures.places import ROOT

SHARED = ROOT.parent / "shared" / "data"
CODE = "COUNTS_UNKNOWN_NAMES"
SETS = ["pbmc3k", "pbmc_facs", "pancreas_baron_human", "pancreas_baron_mouse2", "mix5cl_celseq2"]


def cells(share: float, names: list[str], organism: str = "human", n_obs: int = 60) -> ad.AnnData:
    """Cells with counts of 300 genes, and `share` of all counts in `names`."""
    table = load_gene_table("mouse" if organism == "mouse" else "human")
    genes = table.symbols[1000:1300].astype(str).tolist()
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, size=(n_obs, len(genes)))
    of_others = counts.sum(axis=1, keepdims=True) * share / (1 - share) / len(names)
    X = np.hstack([counts, rng.poisson(np.repeat(of_others, len(names), axis=1))])
    adata = ad.AnnData(sp.csr_matrix(X.astype(np.float32)), var=pd.DataFrame(index=[*genes, *names]))
    adata.uns["organism"] = {"human": "Homo sapiens", "mouse": "Mus musculus", "rat": "Rattus norvegicus"}[organism]
    return adata


def severity(adata: ad.AnnData, **options: object) -> str | None:
    report = check_anndata(adata, **options)  # type: ignore[arg-type]
    return next((finding.severity for finding in report.findings if finding.code == CODE), None)


@pytest.mark.parametrize("organism", ["human", "mouse"])
@pytest.mark.parametrize(
    ("share", "expected"), [(0.005, None), (0.04, "info"), (0.1, "info"), (0.18, "warning"), (0.4, "error")]
)
def test_the_share_decides(organism: str, share: float, expected: str | None) -> None:
    assert severity(cells(share, ["Foo1", "Foo2"], organism)) == expected


@pytest.mark.parametrize("names", [["GFP", "tdTomato"], ["eGFP"], ["Cre", "iCre", "luc2", "mCherry", "rtTA"]])
def test_transgenes_with_a_tenth_of_all_counts_pass_with_a_note(names: list[str]) -> None:
    assert severity(cells(0.1, names)) == severity(cells(0.1, names, "mouse")) == "info"


@pytest.mark.parametrize("name", ["y", "MT", "rb", "NA", "nan"])
def test_a_column_that_shares_its_name_with_an_alias_of_a_gene_is_not_known(name: str) -> None:
    assert severity(cells(0.4, [name])) == "error"


def test_other_organisms_are_not_judged() -> None:
    assert severity(cells(0.4, ["Foo1", "Foo2"], "rat")) is None
    undeclared = cells(0.4, [f"ENSSSCG000000{number:05d}" for number in range(30)])
    del undeclared.uns["organism"]
    assert severity(undeclared) is None


def test_ids_clones_and_copies_of_genes_are_known() -> None:
    gene = str(load_gene_table("human").symbols[2000])
    names = ["ENSG00000269028.3", "RP11-290F20.3", "AC012345.6", "LOC102724560", "ZNF1", f"{gene}-1"]
    assert severity(cells(0.4, names)) is None


def test_the_remedy_works_when_pasted_and_the_limit_can_be_set() -> None:
    adata = cells(0.4, [f"Foo{number}" for number in range(20)])
    (finding,) = [finding for finding in check_anndata(adata).findings if finding.code == CODE]
    line = finding.remedy.split(": ", 1)[1].split(".copy()")[0] + ".copy()"
    space: dict[str, ad.AnnData] = {"adata": adata}
    exec(line, space)
    assert severity(space["adata"]) in (None, "info")
    assert severity(adata, max_unknown_share=0.5) == "warning"
    assert severity(cells(0.1, ["Foo1"]), max_unknown_share=0.05) == "error"
    with pytest.raises(ParameterError, match="max_unknown_share"):
        check_anndata(adata, max_unknown_share=1.5)


def ensembl_of(adata: ad.AnnData, organism: str) -> ad.AnnData:
    table = load_gene_table("mouse" if organism == "mouse" else "human")
    ids = np.flatnonzero((table.kind == ENSEMBL) & (table.gene >= 0))
    by_symbol = dict(zip(table.symbols[table.gene[ids]], table.names[ids], strict=True))
    renamed = adata.copy()
    renamed.var_names = [f"{by_symbol[name]}.1" if name in by_symbol else name for name in adata.var_names]
    return renamed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data sets")
@pytest.mark.parametrize("name", SETS)
def test_no_alarm_on_clean_data_their_subsets_and_ids(name: str) -> None:
    adata = ad.read_h5ad(Path(SHARED) / f"{name}.h5ad")[:300].copy()
    spread = np.asarray(adata.X.multiply(adata.X).mean(axis=0) - np.square(adata.X.mean(axis=0))).ravel()
    variable = adata[:, np.sort(np.argsort(-spread)[:2000])].copy()
    for cells_of in (adata, variable, ensembl_of(adata, "mouse" if "mouse" in name else "human")):
        codes = {finding.code for finding in check_anndata(cells_of).findings if finding.severity != "info"}
        assert not codes & {CODE, "FEATURE_TYPES_UNKNOWN", "FEATURES_NOT_GENES"}
