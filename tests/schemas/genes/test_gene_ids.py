"""What names are, on real lists of genes, changed lists of them, and lists that are no names of genes."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.genes.gene_ids import detect_gene_names, ensembl_ids
from cellmark.schemas.genes.gene_tables import ENSEMBL, ENTREZ, load_gene_table

REAL = ("pbmc3k", "pancreas_baron_human", "pbmc_facs", "mix5cl_celseq2")
CASES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "prefix": lambda name: f"GRCh38_{name}",
    "R": lambda name: name.replace("-", "."),
}


def real_names(folder: Path, name: str) -> np.ndarray:
    with h5py.File(folder / f"{name}.h5ad") as file:
        index = file["var"].attrs["_index"]
        return np.array(file["var"][index].asstr()[()], dtype=object)


def mouse_symbols() -> list[str]:
    return load_gene_table("mouse").symbols.tolist()


def ids(kind: int, organism: str = "human") -> np.ndarray:
    table = load_gene_table(organism)  # type: ignore[arg-type]
    return np.random.default_rng(0).permutation(table.names[table.kind == kind])[:5000]


def changed(names: list[str] | np.ndarray, change: Callable[[str], str]) -> np.ndarray:
    return np.array([change(name) for name in names], dtype=object)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("case", CASES)
def test_real_human_genes_are_human_symbols(shared_data: Path, name: str, case: str) -> None:
    detected = detect_gene_names(changed(real_names(shared_data, name), CASES[case]))
    assert (detected.kind, detected.organism) == ("symbol", "human")
    assert detected.kind_shares["symbol"] > 0.8


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("n_names", [50, 500])
def test_a_part_of_a_real_list_is_enough(shared_data: Path, name: str, n_names: int) -> None:
    names = np.random.default_rng(0).choice(real_names(shared_data, name), n_names, replace=False)
    assert detect_gene_names(names).organism == "human"


@pytest.mark.parametrize("case", CASES)
def test_mouse_genes_are_mouse_symbols(case: str) -> None:
    change = CASES[case] if case != "prefix" else lambda name: f"mm10_{name}"
    detected = detect_gene_names(changed(mouse_symbols()[::3], change))
    assert (detected.kind, detected.organism) == ("symbol", "mouse")


def test_a_few_mouse_genes_with_human_orthologs_are_known_by_their_spelling() -> None:
    names = np.array(["Cd3d", "Ms4a1", "Lyz2", "Nkg7", "Cd8a", "Foxp3", "Cd19", "Il7r"])
    assert detect_gene_names(names).organism == "mouse"
    assert detect_gene_names(np.char.upper(names)).organism == "human"


def test_mouse_genes_in_upper_case_are_betrayed_by_genes_that_humans_lack() -> None:
    human = set(load_gene_table("human").symbols)
    shared = [name.upper() for name in mouse_symbols() if name.upper() in human]
    own = [name.upper() for name in mouse_symbols() if name.startswith("H2-")]
    assert len(own) < 0.01 * len(shared)
    assert detect_gene_names(np.array(shared + own)).organism == "mouse"


@pytest.mark.parametrize(("organism", "stem"), [("human", "ENSG"), ("mouse", "ENSMUSG")])
def test_ensembl_ids_tell_kind_and_organism(organism: str, stem: str) -> None:
    plain = detect_gene_names(ids(ENSEMBL, organism))
    assert (plain.kind, plain.organism) == ("Ensembl", organism)
    versioned = detect_gene_names(changed(ids(ENSEMBL, organism), lambda name: f"{name}.12"))
    assert (versioned.kind, versioned.organism) == ("versioned Ensembl", organism)
    assert plain.kind_shares["Ensembl"] == versioned.kind_shares["versioned Ensembl"] == 1
    assert ids(ENSEMBL, organism)[0].startswith(stem)


def test_other_species_are_named_by_their_ids() -> None:
    assert detect_gene_names(np.array([f"ENSDARG{n:011d}" for n in range(50)])).organism == "zebrafish"
    assert detect_gene_names(np.array([f"ENSXYZG{n:011d}" for n in range(50)])).organism == "Ensembl's ENSXYZG"


def test_entrez_ids_are_known_from_row_numbers() -> None:
    entrez = detect_gene_names(ids(ENTREZ))
    assert (entrez.kind, entrez.organism) == ("Entrez", "human")
    for n_rows in (100, 2000, 20_000, 60_000):
        for start in (0, 1):
            rows = detect_gene_names(np.arange(start, n_rows + start).astype(str))
            assert (rows.kind, rows.organism) == ("unknown", "unknown")
    left = np.random.default_rng(0).choice(33_000, 15_000, replace=False).astype(str)
    assert detect_gene_names(left).kind == "unknown"


def test_lists_of_two_kinds_or_organisms_are_mixed() -> None:
    human, mouse = load_gene_table("human").symbols, load_gene_table("mouse").symbols
    both = detect_gene_names(np.concatenate([human[:3000], mouse[:2000]]))
    assert (both.kind, both.organism) == ("symbol", "mixed")
    joint = detect_gene_names(np.array([f"hg19_{n}" for n in human[:2000]] + [f"mm10_{n}" for n in mouse[:2000]]))
    assert joint.organism == "mixed"
    assert joint.organism_shares == pytest.approx({"human": 0.5, "mouse": 0.5})
    kinds = detect_gene_names(np.concatenate([human[:3000], ids(ENSEMBL)[:2000]]))
    assert (kinds.kind, kinds.organism) == ("mixed", "human")


@pytest.mark.parametrize(
    "names", [[], ["GENE1", "GENE2", "GENE3"], ["9" * 5000], ["", " ", "\n"], ["AAACATACAACCAC-1", "AAACATTGAGCTAC-1"]]
)
def test_other_names_are_unknown(names: list[str]) -> None:
    detected = detect_gene_names(np.array(names, dtype=object))
    assert (detected.kind, detected.organism) == ("unknown", "unknown")


def test_the_example_of_the_docs_is_true() -> None:
    detected = detect_gene_names(np.array(["ENSG00000156738.18", "ENSG00000090382.7"]))
    assert (detected.kind, detected.organism) == ("versioned Ensembl", "human")


def test_ensembl_ids_stand_in_a_column_or_are_the_names() -> None:
    ids = ["ENSG00000156738", None, "ENSG00000090382"]
    var = pd.DataFrame({"gene_ids": ["a", "b", "c"], "feature_id": ids}, index=list("xyz"))
    assert ensembl_ids(var, np.array(list("xyz"))) == ids
    assert ensembl_ids(var[[]], np.array(["ENSG00000156738", "GFP", "ENSG00000090382"])) == ids
    assert ensembl_ids(var[[]], np.array(list("xyz"))) == [None] * 3
