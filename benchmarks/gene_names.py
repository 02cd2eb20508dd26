"""Cells under other names of their genes, and of another organism: `python benchmarks/gene_names.py --model BUNDLE`.

`pbmc3k` and a model of it (`cellmark train pbmc3k.h5ad --bundle BUNDLE`): all cells with their genes renamed in every
way that files are found with, and how many are called as they are under the model's own names, or the code of the
refusal. Then genes of a mouse in every way of naming, and with `--mouse-model`, a model whose training data say `Mus
musculus`, the reverse (`--make-mouse-model FOLDER` trains one: pbmc3k's counts under the names of the mouse's orthologs
as far as these are spelled alike).
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellmark.schemas.errors import InputError
from cellmark.schemas.genes.gene_tables import ENSEMBL, ENTREZ, PREVIOUS, Organism, load_gene_table
from cellmark.serving import Annotator

Rename = Callable[[list[str]], list[str]]


def ids(names: list[str], kind: int, unknown: str, organism: Organism = "human") -> list[str]:
    """Each gene's id as the table gives it, and `unknown` with a number for genes that it does not have."""
    table = load_gene_table(organism)
    listed = (table.kind == kind) & (table.gene >= 0)
    known = dict(zip(table.gene[listed], table.names[listed], strict=True))
    places = table.find(names)
    genes = [int(table.gene[place]) if place >= 0 else -1 for place in places]
    return [known.get(gene, f"{unknown}{number:09d}") for number, gene in enumerate(genes)]


def old_symbols(names: list[str]) -> list[str]:
    """A fifth of all genes, or all that have one, under a previous symbol."""
    table = load_gene_table("human")
    sure = (table.kind == PREVIOUS) & (table.gene >= 0)
    previous = dict(zip(table.symbols[table.gene[sure]], table.names[sure], strict=True))
    there = set(names)
    able = [number for number, name in enumerate(names) if name in previous and previous[name] not in there]
    chosen = set(np.random.default_rng(0).choice(able, min(len(names) // 5, len(able)), replace=False).tolist())
    return [previous[name] if number in chosen else name for number, name in enumerate(names)]


def make_names(names: list[str]) -> list[str]:
    """R's `make.names(unique = TRUE)`."""
    valid = [re.sub(r"[^A-Za-z0-9._]", ".", f"X{name}" if re.match(r"[0-9_]", name) else name) for name in names]
    times: dict[str, int] = {}
    unique = []
    for name in valid:
        times[name] = times.get(name, -1) + 1
        unique.append(f"{name}.{times[name]}" if times[name] else name)
    return unique


def mixed(names: list[str]) -> list[str]:
    """A third each: symbols, Ensembl ids, Entrez ids (symbols where a gene has none)."""
    which = np.random.default_rng(0).integers(0, 3, len(names))
    by_kind = [names, ids(names, ENSEMBL, "?"), ids(names, ENTREZ, "?")]
    chosen = [by_kind[kind][number] for number, kind in enumerate(which)]
    return [name if given.startswith("?") else given for name, given in zip(names, chosen, strict=True)]


WAYS: dict[str, Rename] = {
    "symbols": lambda names: names,
    "Ensembl": lambda names: ids(names, ENSEMBL, "ENSG09"),
    "versioned Ensembl": lambda names: [
        f"{name}.{number % 20 + 1}" for number, name in enumerate(ids(names, ENSEMBL, "ENSG09"))
    ],
    "Entrez": lambda names: ids(names, ENTREZ, "9"),
    "mixed: symbols, Ensembl, Entrez": mixed,
    "upper case": lambda names: [name.upper() for name in names],
    "lower case": lambda names: [name.lower() for name in names],
    "R's make.names": make_names,
    "20 % old symbols": old_symbols,
    "hg19_": lambda names: [f"hg19_{name}" for name in names],
    "GRCh38_": lambda names: [f"GRCh38_{name}" for name in names],
    "GRCh38___ and Ensembl": lambda names: [f"GRCh38___{name}" for name in ids(names, ENSEMBL, "ENSG09")],
    "numbers of rows": lambda names: [str(number) for number in range(len(names))],
}


def renamed(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    return ad.AnnData(adata.X, obs=adata.obs[[]], var=pd.DataFrame(index=names))


def answer(annotator: Annotator, cells: ad.AnnData) -> tuple[np.ndarray | None, str, list[str]]:
    """Calls, or None; the code of a refusal; the codes of notes."""
    try:
        frame = annotator.annotate(cells)
    except InputError as error:
        return None, " + ".join(dict.fromkeys(finding.code for finding in error.findings)), []
    notes = [note["code"] for note in frame.attrs["cellmark"]["notes"]]
    return frame["cellmark_cell_type"].astype(str).to_numpy(), "", notes


def other_organism(annotator: Annotator, adata: ad.AnnData, organism: Organism) -> dict[str, str]:
    """What becomes of cells with genes of `organism`, as many as `adata` has, drawn from all of them."""
    table = load_gene_table(organism)
    by_kind = {"symbols": table.symbols, "Ensembl": table.names[table.kind == ENSEMBL]}
    prefix = "mm10_" if organism == "mouse" else "hg19_"
    found = {}
    for way in ("symbols", "upper case", "lower case", "prefix", "Ensembl"):
        pool = by_kind["Ensembl" if way == "Ensembl" else "symbols"]
        names = list(np.random.default_rng(0).choice(pool, adata.n_vars, replace=False))
        change = {"upper case": str.upper, "lower case": str.lower, "prefix": lambda name: prefix + name}
        names = [change.get(way, str)(name) for name in names]
        calls, code, _ = answer(annotator, renamed(adata, names))
        found[way] = code if calls is None else "ANSWERED"
    return found


def mouse_model(adata: ad.AnnData, folder: Path) -> None:
    """A model whose genes are a mouse's: pbmc3k's, where the mouse has one that is spelled alike."""

    from cellmark.training.config import TrainingConfig
    from cellmark.training.listener import Listener
    from cellmark.training.run import train

    known = set(load_gene_table("mouse").symbols)
    kept = [name for name in adata.var_names if name.capitalize() in known]
    cells = adata[:, kept].copy()
    cells.var_names = [name.capitalize() for name in kept]
    cells.uns["organism"] = "Mus musculus"
    folder.mkdir(parents=True)
    cells.write_h5ad(folder / "cells.h5ad")
    train(TrainingConfig(data=folder / "cells.h5ad", n_members=1), folder / "bundle", Listener())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--mouse-model", type=Path)
    parser.add_argument("--make-mouse-model", type=Path)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    given = parser.parse_args()
    adata = ad.read_h5ad(given.shared / "pbmc3k.h5ad")
    if given.make_mouse_model:
        mouse_model(adata, given.make_mouse_model)
        return
    annotator = Annotator.load(given.model)
    names = [str(name) for name in adata.var_names]
    panel = set(annotator.bundle.panel.symbols)
    own, _, _ = answer(annotator, adata)
    assert own is not None
    for way, rename in WAYS.items():
        other = rename(names)
        n_changed = sum(new != old for new, old in zip(other, names, strict=True) if old in panel)
        calls, code, notes = answer(annotator, renamed(adata, other))
        told = code if calls is None else f"{np.mean(calls == own):.4f} as under the model's names; {', '.join(notes)}"
        print(f"{way:32s} {n_changed:5d} of {len(panel)} panel genes renamed: {told}", flush=True)
    print("mouse genes, human model:", other_organism(annotator, adata, "mouse"))
    barnyard = [f"GRCh38_{name}" if number % 2 else f"mm10_{name.capitalize()}" for number, name in enumerate(names)]
    print("GRCh38_ and mm10_ in one file:", answer(annotator, renamed(adata, barnyard))[1] or "ANSWERED")
    if given.mouse_model:
        mouse = Annotator.load(given.mouse_model)
        print("human genes, mouse model:", other_organism(mouse, adata, "human"))
        print("pbmc3k itself, mouse model:", answer(mouse, adata)[1] or "ANSWERED")


if __name__ == "__main__":
    main()
