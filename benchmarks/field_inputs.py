"""Inputs as people have them, written from real cells, each with what is right: used by `benchmarks/field.py`.

Each function takes the cells (AnnData: raw counts, CSR, gene symbols) and a folder, writes one input below it, and
returns its path and what is right: `SAME` (the calls of the plain cells), `ANSWERED` (calls, which may differ: other
names of genes, genes of the laboratory's own), the code that a refusal should have, or `REFUSED` for any refusal whose
remedy works.
"""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

SAME, ANSWERED, REFUSED = "same calls", "an answer", "a refusal"
Written = tuple[Path, str]
Writer = Callable[[ad.AnnData, Path], Written]
ANTIBODIES = ("CD3", "CD4", "CD8a", "CD19", "CD14", "CD16", "CD56", "CD11c", "CD20", "CD127", "HLA-DR", "CD45RA")


BIOTYPES = ("protein_coding", "lncRNA", "pseudogene")
GUIDES = ("feature_types", "Gene Expression", "CRISPR Guide Capture")
PROBES = ("NegControlProbe_{:05d}", "BLANK_{:04d}", "UnassignedCodeword_{:04d}")


def text(path: Path, lines: list[str]) -> Path:
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def matrix_market(path: Path, X: sp.spmatrix) -> None:
    entries = sp.coo_matrix(X)
    head = ["%%MatrixMarket matrix coordinate integer general", f"{X.shape[0]} {X.shape[1]} {entries.nnz}"]
    values = zip(entries.row + 1, entries.col + 1, entries.data.astype(int), strict=True)
    text(path, head + [f"{row} {column} {value}" for row, column, value in values])


def with_more(
    cells: ad.AnnData, names: tuple[str, ...] | list[str], share: float, *, kinds: tuple[str, str, str] | None = None
) -> ad.AnnData:
    """The cells with further features whose counts are `share` of the sum. `kinds`: a column of `var`, the word for
    genes and the word for the others.
    """
    generator = np.random.default_rng(0)
    total = np.asarray(cells.X.sum(axis=1)).ravel() * share / (1 - share)
    more = generator.poisson(np.outer(total, generator.dirichlet(np.ones(len(names)))))
    X = sp.hstack([cells.X, sp.csr_matrix(more.astype(np.float32))], format="csr")
    var = pd.DataFrame(index=[*cells.var_names, *names])
    if kinds is not None:
        var[kinds[0]] = [kinds[1]] * cells.n_vars + [kinds[2]] * len(names)
    return ad.AnnData(X, obs=cells.obs[[]].copy(), var=var)


def h5ad_with_more(name: str, names: list[str], share: float, right: str = SAME, **options: object) -> Writer:
    def write(cells: ad.AnnData, folder: Path) -> Written:
        path = folder / f"{name}.h5ad"
        with_more(cells, names, share, **options).write_h5ad(path)  # type: ignore[arg-type]
        return path, right

    write.__name__ = name
    return write


def numbered(form: str, n_names: int = 20) -> list[str]:
    return [form.format(number) for number in range(1, n_names + 1)]


def column_of_genes(name: str, values: Callable[[int], str], right: str, column: str = "feature_types") -> Writer:
    """Only genes, with a column of `var` that says something of each."""

    def write(cells: ad.AnnData, folder: Path) -> Written:
        copy = ad.AnnData(cells.X, obs=cells.obs[[]].copy(), var=pd.DataFrame(index=cells.var_names))
        copy.var[column] = [values(number) for number in range(copy.n_vars)]
        copy.write_h5ad(folder / f"{name}.h5ad")
        return folder / f"{name}.h5ad", right

    write.__name__ = name
    return write


def velocity_twins(cells: ad.AnnData, folder: Path) -> Written:
    twins = sp.csr_matrix(np.random.default_rng(0).poisson(0.5, cells.X.nnz))
    unspliced = cells.X.copy()
    unspliced.data = np.asarray(twins.todense()).ravel().astype(np.float32)
    X = sp.hstack([cells.X, unspliced], format="csr")
    var = pd.DataFrame(index=[*cells.var_names, *(f"{name}-U" for name in cells.var_names)])
    ad.AnnData(X, obs=cells.obs[[]].copy(), var=var).write_h5ad(folder / "twins.h5ad")
    return folder / "twins.h5ad", SAME


def column_of_sums(cells: ad.AnnData, folder: Path) -> Written:
    frame = cells.to_df().astype(int)
    frame["Sum"] = frame.sum(axis=1)
    frame.to_csv(folder / "sums.csv")
    return folder / "sums.csv", SAME


def seurat_metadata(cells: ad.AnnData, folder: Path) -> Written:
    frame = cells.to_df().astype(int)
    mito = frame.loc[:, frame.columns.str.startswith("MT-")].sum(axis=1) / frame.sum(axis=1) * 100
    details = {"nCount_RNA": frame.sum(axis=1), "nFeature_RNA": (frame > 0).sum(axis=1), "percent.mt": mito.round(3)}
    pd.concat([pd.DataFrame(details), frame], axis=1).to_csv(folder / "seurat.csv")
    return folder / "seurat.csv", SAME


def labels_beside_counts(cells: ad.AnnData, folder: Path) -> Written:
    frame = cells.to_df().astype(int)
    frame.insert(0, "seurat_clusters", np.arange(len(frame)) % 7)
    frame.insert(0, "cell_type", "B cell")
    frame.insert(0, "sample", "s1")
    frame.to_csv(folder / "labels.csv")
    return folder / "labels.csv", SAME


def semicolons(cells: ad.AnnData, folder: Path) -> Written:
    cells.to_df().astype(int).to_csv(folder / "semicolons.txt", sep=";")
    return folder / "semicolons.txt", SAME


def header_one_short(cells: ad.AnnData, folder: Path) -> Written:
    frame = cells.to_df().astype(int)
    lines = ["\t".join(f'"{name}"' for name in frame.columns)]
    lines += ["\t".join([f'"{cell}"', *map(str, row)]) for cell, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return text(folder / "r_table.txt", lines), SAME


def windows_file(cells: ad.AnnData, folder: Path) -> Written:
    table = cells.to_df().astype(int).to_csv(lineterminator="\r\n")
    (folder / "windows.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    return folder / "windows.csv", SAME


def two_index_columns(cells: ad.AnnData, folder: Path) -> Written:
    cells.to_df().astype(int).reset_index(names="cell").to_csv(folder / "two_index.csv")
    return folder / "two_index.csv", SAME


def feature_counts(cells: ad.AnnData, folder: Path) -> Written:
    names = cells.var_names
    details = {"Geneid": names, "Chr": "1;1", "Start": "1;900", "End": "200;1200", "Strand": "+;+", "Length": 502}
    counts = pd.DataFrame(cells.X.T.toarray().astype(int), columns=[f"bam/{cell}.bam" for cell in cells.obs_names])
    table = pd.concat([pd.DataFrame(details), counts], axis=1).to_csv(sep="\t", index=False)
    command = '# Program:featureCounts v2.0.3; Command:"featureCounts" "-a" "genes.gtf"'
    return text(folder / "featurecounts.txt", [command, *table.splitlines()]), "TABLE_TRANSPOSED"


def long_table(cells: ad.AnnData, folder: Path) -> Written:
    entries = sp.coo_matrix(cells.X)
    frame = pd.DataFrame(
        {
            "CellID": cells.obs_names[entries.row],
            "GeneSymbol": cells.var_names[entries.col],
            "UMI": entries.data.astype(int),
        }
    )
    frame.to_csv(folder / "long.csv", index=False)
    # Genes without any row count as not measured.
    return folder / "long.csv", ANSWERED


def ids_of(cells: ad.AnnData) -> list[str]:
    from cellmark.schemas.genes.gene_tables import ENSEMBL, load_gene_table

    table = load_gene_table("human")
    listed = (table.kind == ENSEMBL) & (table.gene >= 0)
    known = dict(zip(table.gene[listed], table.names[listed], strict=True))
    places = table.find(list(cells.var_names))
    genes = [int(table.gene[place]) if place >= 0 else -1 for place in places]
    return [known.get(gene, f"ENSG099{number:08d}") for number, gene in enumerate(genes)]


def starsolo(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "Solo.out" / "Gene" / "filtered"
    inside.mkdir(parents=True)
    matrix_market(inside / "matrix.mtx", cells.X.T)
    text(inside / "barcodes.tsv", list(cells.obs_names))
    lines = [f"{gene}\t{name}\tGene Expression" for gene, name in zip(ids_of(cells), cells.var_names, strict=True)]
    text(inside / "features.tsv", lines)
    return inside, SAME


def starsolo_from_above(cells: ad.AnnData, folder: Path) -> Written:
    starsolo(cells, folder)
    return folder / "Solo.out", REFUSED


def alevin_fry(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "af_quant" / "alevin"
    inside.mkdir(parents=True)
    matrix_market(inside / "quants_mat.mtx", cells.X)
    text(inside / "quants_mat_rows.txt", list(cells.obs_names))
    text(inside / "quants_mat_cols.txt", ids_of(cells))
    return inside, ANSWERED


def header_of_features(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "header"
    inside.mkdir()
    matrix_market(inside / "matrix.mtx.gz", cells.X.T)
    text(inside / "barcodes.tsv.gz", ["barcode", *cells.obs_names])
    lines = [f"{gene}\t{name}" for gene, name in zip(ids_of(cells), cells.var_names, strict=True)]
    text(inside / "features.tsv.gz", ["gene_id\tgene_name", *lines])
    return inside, SAME


def third_column(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "third"
    inside.mkdir()
    matrix_market(inside / "matrix.mtx.gz", cells.X.T)
    text(inside / "barcodes.tsv.gz", list(cells.obs_names))
    names = zip(ids_of(cells), cells.var_names, strict=True)
    lines = [f"{gene}\t{name}\tchr{number % 22 + 1}" for number, (gene, name) in enumerate(names)]
    text(inside / "features.tsv.gz", lines)
    return inside, SAME


def on_its_side(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "side"
    inside.mkdir()
    matrix_market(inside / "matrix.mtx", cells.X)
    text(inside / "barcodes.tsv", list(cells.obs_names))
    text(inside / "genes.tsv", [f"{gene}\t{name}" for gene, name in zip(ids_of(cells), cells.var_names, strict=True)])
    return inside, SAME


def two_prefixes(cells: ad.AnnData, folder: Path) -> Written:
    inside = folder / "geo"
    inside.mkdir()
    for number, part in enumerate((cells[:50], cells[50:])):
        before = f"GSM10{number}_s{number}_"
        matrix_market(inside / f"{before}matrix.mtx.gz", part.X.T)
        text(inside / f"{before}barcodes.tsv.gz", list(part.obs_names))
        lines = [f"{gene}\t{name}" for gene, name in zip(ids_of(cells), cells.var_names, strict=True)]
        text(inside / f"{before}features.tsv.gz", lines)
    return inside, REFUSED


def tenx_h5(cells: ad.AnnData, path: Path, kinds: list[str] | None) -> None:
    turned = sp.csc_matrix(cells.X.T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = turned.data.astype("i4"), turned.indices, turned.indptr
        group["shape"] = np.array(turned.shape)
        group["barcodes"] = np.array(cells.obs_names, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG09{n:09d}" for n in range(cells.n_vars)], dtype="S")
        features["name"] = np.array(cells.var_names, dtype="S")
        if kinds is not None:
            features["feature_type"] = np.array(kinds, dtype="S")


def cellbender(cells: ad.AnnData, folder: Path) -> Written:
    tenx_h5(cells, folder / "cellbender.h5", None)
    return folder / "cellbender.h5", SAME


def multiome(cells: ad.AnnData, folder: Path) -> Written:
    both = with_more(cells, [f"chr1:{n}-{n + 500}" for n in range(10_000, 400_000, 1000)], 0.6)
    tenx_h5(both, folder / "multiome.h5", ["Gene Expression"] * cells.n_vars + ["Peaks"] * (both.n_vars - cells.n_vars))
    return folder / "multiome.h5", SAME


def loom(cells: ad.AnnData, folder: Path) -> Written:
    path = folder / "cells.loom"
    with h5py.File(path, "w") as file:
        file["matrix"] = cells.X.T.toarray().astype("f4")
        for name in ("row_attrs", "col_attrs", "layers", "row_graphs", "col_graphs"):
            file.create_group(name)
        file["row_attrs"]["Gene"] = np.array(cells.var_names, dtype=h5py.string_dtype())
        file["col_attrs"]["CellID"] = np.array(cells.obs_names, dtype=h5py.string_dtype())
    return path, SAME


def zipped_zarr(cells: ad.AnnData, folder: Path) -> Written:
    cells.write_zarr(folder / "cells.zarr")
    shutil.make_archive(str(folder / "cells.zarr"), "zip", folder / "cells.zarr")
    return folder / "cells.zarr.zip", SAME


def logged(name: str, scale: float, right: str, *, genes: int | None = None, base: float = np.e) -> Writer:
    """ln(1 + counts per `scale`). `genes`: how many genes are kept afterwards."""

    def write(cells: ad.AnnData, folder: Path) -> Written:
        X = cells.X.multiply(scale / np.asarray(cells.X.sum(axis=1))).tocsr()
        X.data = (np.log1p(X.data) / np.log(base)).astype(np.float32)
        copy = ad.AnnData(X, obs=cells.obs[[]].copy(), var=cells.var[[]].copy())
        if genes is not None:
            copy = copy[:, np.argsort(-np.asarray(X.sum(axis=0)).ravel())[:genes]].copy()
        copy.write_h5ad(folder / f"{name}.h5ad")
        return folder / f"{name}.h5ad", right

    write.__name__ = name
    return write


WRITERS: tuple[Writer, ...] = (
    h5ad_with_more("modality_words", list(ANTIBODIES), 0.4, kinds=("modality", "rna", "protein")),
    h5ad_with_more("lower_case_words", numbered("p{}"), 0.4, kinds=("feature_types", "gex", "adt")),
    h5ad_with_more("adt_prefix", [f"adt_{name}" for name in ANTIBODIES], 0.4),
    h5ad_with_more("totalseq_suffix", [f"{name}_TotalSeqC" for name in ANTIBODIES], 0.4),
    h5ad_with_more("antibody_dash", [f"{name}-TotalSeqB" for name in ANTIBODIES], 0.4),
    h5ad_with_more("hashtags", numbered("Hashtag{}-TotalA", 8), 0.3),
    h5ad_with_more("spike_ins", numbered("ERCC-{:05d}", 92), 0.3),
    h5ad_with_more("counter_rows", ["no_feature", "ambiguous", "too_low_aQual", "not_aligned"], 0.4),
    h5ad_with_more(
        "control_probes",
        [name.format(n) for name in PROBES for n in range(20)],
        0.1,
    ),
    h5ad_with_more("guides", numbered("TP53_g{}"), 0.3, kinds=GUIDES),
    h5ad_with_more("transgenes", ["EGFP", "tdTomato", "Cre"], 0.09, ANSWERED),
    h5ad_with_more("unknown_names", numbered("feature_{:03d}", 200), 0.5, REFUSED),
    h5ad_with_more("strange_words", numbered("q{}"), 0.4, REFUSED, kinds=("feature_types", "alpha", "beta")),
    column_of_genes("chromosomes_as_types", lambda number: f"chr{number % 22 + 1}", SAME),
    column_of_genes("biotypes", lambda number: BIOTYPES[number % 3], SAME, "feature_type"),
    velocity_twins,
    column_of_sums,
    seurat_metadata,
    labels_beside_counts,
    semicolons,
    header_one_short,
    windows_file,
    two_index_columns,
    feature_counts,
    long_table,
    starsolo,
    starsolo_from_above,
    alevin_fry,
    header_of_features,
    third_column,
    on_its_side,
    two_prefixes,
    cellbender,
    multiome,
    loom,
    zipped_zarr,
    logged("log1p_10000", 1e4, SAME),
    logged("log1p_million", 1e6, "COUNTS_NOT_WHOLE"),
    logged("log2p_10000", 1e4, "COUNTS_NOT_WHOLE", base=2),
    logged("log1p_then_2000_genes", 1e4, REFUSED, genes=2000),
)
