"""The model that the corpus is handed to: the archived one, with human genes in place of its made-up ones."""

import json
import shutil
from pathlib import Path

import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.manifest.bundle_files import write_manifest
from corpus.broken import N_PANEL, SYMBOLS

ARCHIVED = Path(__file__).resolve().parents[1] / "archives" / "v1"


def human_model(folder: Path) -> Bundle:
    """A bundle in the new folder `folder`."""
    shutil.copytree(ARCHIVED, folder)
    genes = pd.read_parquet(folder / "genes.parquet")
    named = dict(zip(genes["gene_symbol"], SYMBOLS[:N_PANEL], strict=True))
    genes["gene_symbol"] = list(named.values())
    genes.to_parquet(folder / "genes.parquet", index=False)
    markers = pd.read_parquet(folder / "markers.parquet")
    markers["gene_symbol"] = markers["gene_symbol"].map(named)
    markers.to_parquet(folder / "markers.parquet", index=False)
    raw = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    raw["organism"] = "human"
    raw["panel"]["digest"] = GenePanel(tuple(named.values())).digest
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    return Bundle.open(folder)
