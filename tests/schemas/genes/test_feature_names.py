"""Names that are no genes."""

from collections.abc import Callable

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.genes.feature_names import TWINS, names_of_no_genes
from cellmark.schemas.genes.gene_tables import ORGANISMS, load_gene_table
from cellmark.schemas.genes.name_list import NameList
from fixtures.places import ROOT

NAMES = {
    "spike-ins": "ERCC-00002 ERCC_00130 SIRV1 gSpikein_ERCC-00002 gSpikein_phiX174",
    "summary rows of a counter": "__no_feature __ambiguous __too_low_aQual __not_aligned __alignment_not_unique "
    "N_unmapped N_multimapping N_noFeature N_ambiguous no_feature alignment_not_unique X__no_feature "
    "Unassigned_Ambiguity Unassigned_NoFeatures Unassigned_Unmapped *",
    "control probes": "NegControlProbe_00042 NegControlCodeword_0500 BLANK_0001 Blank-10 antisense_PROKR2 Negative1 "
    "UnassignedCodeword_0001 DeprecatedCodeword_0321 NegPrb12 NegProbe-WTX SystemControl1 FalseCode12",
    "antibodies": "CD4_TotalSeqB CD19_TotalSeqC0050 CD3.TotalSeqB CD20:AB adt_CD3 ADT-CD4 prot_CD8 AB_CD19 CD4_ADT "
    "CD3:UCHT1|CD3E|AHS0231|pAbO IgG1 IgG2a mouse-IgG1_isotype anti-human_CD3",
    "hashtags": "Hashtag1 Hashtag_3 HTO_1 HTO-A HTO1 CMO301",
    "peaks": "chr1:1000-2000 chrX-10109-10357",
    "columns of metadata": "n_counts n_genes nCount_RNA nFeature_RNA nUMI nGene percent_mito percent.mt total_counts "
    "pct_counts_mt pct_counts_in_top_50_genes n_genes_by_counts log1p_total_counts total_counts_mt doublet_score "
    "S.Score G2M.Score leiden louvain seurat_clusters RNA_snn_res.0.8 size_factors batch sample UMAP_1 orig.ident",
}


def kinds_of(names: list[str]) -> dict[str, str]:
    found = names_of_no_genes(NameList(np.array(names, dtype=object)))
    return {names[number]: kind for kind, numbers in found.items() for number in numbers}


@pytest.mark.parametrize("kind", NAMES)
def test_each_kind_is_recognised(kind: str) -> None:
    names = NAMES[kind].split()
    assert kinds_of(["MS4A1", *names]) == dict.fromkeys(names, kind)


def test_no_name_of_a_gene_table_is_taken_for_something_else() -> None:
    for organism in ORGANISMS:
        assert names_of_no_genes(NameList(load_gene_table(organism).names)) == {}


def test_genes_of_other_spellings_and_species_are_none_of_them() -> None:
    names = ["abo", "ERCC1", "ERCC6L2", "ercc2", "hto", "lmo4a", "nnmt", "Adtrp", "prot-like", "sirt1", "si:dkey-1p9.2",
             "zgc:92380", "LOC102724560", "AC012345.3", "HLA-A", "HLA.DRA", "SPINK1", "blank2x", "negr1"]  # fmt: skip
    assert set(kinds_of(names)) <= {"prot-like"}


@pytest.mark.parametrize(
    "twin", ["{}-U", "{}_A", "{}-I", "{}_unspliced", "{}.ambiguous", "unspliced:{}", "{}-intronic"]
)
def test_twins_of_spliced_counts(twin: str) -> None:
    genes = ["MS4A1", "CD3D", "LYZ", "NKG7", "ENSG00000000001"]
    twins = [twin.format(gene) for gene in genes]
    assert kinds_of([*genes, *twins]) == dict.fromkeys(twins, TWINS)


def test_a_letter_after_a_dash_is_no_twin_without_its_gene_or_where_it_is_rare() -> None:
    assert kinds_of([f"G{number}-U" for number in range(20)]) == {}
    assert kinds_of(["XYZ", "XYZ-A", *(f"G{number}" for number in range(200))]) == {}


@pytest.mark.skipif(not (ROOT.parent / "shared" / "data").is_dir(), reason="needs the shared data sets")
@pytest.mark.parametrize(
    "name", ["pbmc3k", "pbmc_facs", "pancreas_baron_human", "pancreas_baron_mouse2", "mix5cl_celseq2"]
)
def test_clean_data_have_none(name: str) -> None:
    adata = ad.read_h5ad(ROOT.parent / "shared" / "data" / f"{name}.h5ad", backed="r")
    assert kinds_of([*map(str, adata.var_names)]) == {}


PROTEINS = [
    "CD3", "CD4-1", "CD8a", "CD19-1", "CD14-1", "CD16", "CD56", "CD11c", "CD20", "CD25", "CD45RA", "CD45RO", "CD127",
    "HLA-DR", "CD86-1", "CD62L", "IgG1", "PD-1", "TIGIT-1",
]  # fmt: skip


def test_antibodies_without_a_mark_are_told_by_antigens_that_no_gene_is_called() -> None:
    genes = "MS4A1 IL7R CD4 CD19 CD14 LYZ CD86 TIGIT".split()  # noqa: SIM905
    assert set(kinds_of([*genes, *PROTEINS])) == set(PROTEINS)
    # Of genes that are gone the antibody has the very name: its neighbours tell.
    named_alike = [name.removesuffix("-1") if name != "PD-1" else name for name in PROTEINS]
    assert set(kinds_of(["MS4A1", "LYZ", *named_alike])) == set(named_alike)


def test_aliases_of_a_few_genes_are_no_antibodies() -> None:
    assert kinds_of(["MS4A1", "LYZ", "CD20", "CD127", "CD62L", "CD16", "PD-1", "CD10", "CD14", "CD4"]) == {}


def test_cd_genes_of_zebrafish_and_of_another_case_are_no_antibodies() -> None:
    zebrafish = "cd74a cd74b cd44a cd81a cd82a cd9a cd4-1 cd4-2.1 cxcr4a cxcr4b ccr11.1 cd79a".split()  # noqa: SIM905
    others = [f"{symbol.lower()}a" for symbol in load_gene_table("human").symbols[:200]]
    assert set(kinds_of([*others, *zebrafish])) & set(zebrafish) == set()
    mouse = load_gene_table("mouse").symbols[2000:2400].astype(str).tolist()
    titled = ["Cd209A", "Cd209B", "Cd24A", "Cd3E", "Cd3G", "Cd300A", "Cd300E", "Cd55B"]
    assert set(kinds_of([*mouse, *titled])) & set(titled) == set()


@pytest.mark.parametrize("written", [str, str.lower])
def test_antibodies_named_as_their_genes_are_recognised_by_the_repetition(written: Callable[[str], str]) -> None:
    genes = ["CD4", "CD14", "CD19", *load_gene_table("human").symbols[2000:2400].astype(str).tolist()]
    antibodies = [*map(written, ["CD3", "CD4", "CD14", "CD16", "CD19", "CD56", "CD45RA"])]
    names = NameList(np.array([*genes, *antibodies], dtype=object))
    assert names_of_no_genes(names)["antibodies"].tolist() == [*range(len(genes), len(genes) + len(antibodies))]


def test_antigens_beside_ensembl_ids_are_antibodies() -> None:
    ids = [f"ENSG{number:011d}.3" for number in range(300)]
    assert set(kinds_of([*ids, "CD3", "CD4", "CD19"])) == {"CD3", "CD4", "CD19"}
    assert kinds_of([*ids, "GFP", "tdTomato"]) == {}
    # Where ids were looked up, genes without one keep their symbols.
    unmapped = [f"LOC{number}" for number in range(20)]
    assert kinds_of([*ids, *unmapped, "CD3EAP", "TCRBV11S1A1T"]) == {}


def test_genes_of_two_species_in_one_list_are_no_antibodies() -> None:
    both = [str(symbol) for organism in ORGANISMS for symbol in load_gene_table(organism).symbols]
    assert kinds_of(both) == {}
