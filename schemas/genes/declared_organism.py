"""The organism that a file or a model says it is of."""

import re
from typing import Any

import pandas as pd

_SPECIES = {
    "human": ("homo sapiens", "9606"),
    "mouse": ("mus musculus", "10090"),
    "rat": ("rattus norvegicus", "10116"),
    "zebrafish": ("danio rerio", "7955"),
    "rhesus macaque": ("macaca mulatta", "9544"),
    "crab-eating macaque": ("macaca fascicularis", "9541"),
    "chimpanzee": ("pan troglodytes", "9598"),
    "marmoset": ("callithrix jacchus", "9483"),
    "pig": ("sus scrofa", "9823"),
    "cow": ("bos taurus", "9913"),
    "dog": ("canis lupus familiaris", "9615"),
    "rabbit": ("oryctolagus cuniculus", "9986"),
    "chicken": ("gallus gallus", "9031"),
    "fruit fly": ("drosophila melanogaster", "7227"),
    "roundworm": ("caenorhabditis elegans", "6239"),
}
"""Each with its scientific name and its number in NCBI's taxonomy, as CELLxGENE files write it."""
_KEYS = ("organism", "organism_ontology_term_id")


def organism_name(text: str | None) -> str | None:
    """The plain name of a species (`human` for `Homo sapiens`, `NCBITaxon:9606`); None for a text that names none."""
    plain = " ".join((text or "").lower().replace("_", " ").split())
    words = re.split(r"[^a-z0-9-]+", plain)
    for name, (scientific, taxon) in _SPECIES.items():
        genus, _, epithet = scientific.partition(" ")
        short = (f"{genus[0]}. {epithet}", f"{genus[0]}{epithet}", f"{genus}{epithet}")
        if plain == name or scientific in plain or plain in short or plain in (taxon, f"ncbitaxon:{taxon}"):
            return name
    return next((name for name in ("human", "mouse", "rat") if name in words), None)


def declared_organism(uns: dict[str, Any], obs: pd.DataFrame) -> tuple[str, str] | None:
    """The organism that a file names and where it does, in `uns` or in one column of `obs`; None where it does not.

    A column of several organisms is named as all of them: `human, mouse`.
    """
    for key in _KEYS:
        if isinstance(text := uns.get(key), str) and (name := organism_name(text)):
            return name, f"uns[{key!r}]"
    for key in _KEYS:
        if key in obs.columns:
            names = {organism_name(str(text)) for text in obs[key].dropna().unique()} - {None}
            if names:
                return ", ".join(sorted(map(str, names))), f"obs[{key!r}]"
    return None
