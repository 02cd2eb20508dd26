"""Is a reference fit for others? CELLxGENE's schema, as far as it needs no ontology at hand.

Version 7.0.0 of https://github.com/chanzuckerberg/single-cell-curation/blob/main/schema/7.0.0/schema.md, for human and
mouse dissociated cells. Whether a term exists, is current and the most accurate one only an ontology can tell:
`cellxgene-schema validate` of the package `cellxgene-schema` does.
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..cells.anndata_facts import AnndataFacts
from ..errors import Finding
from .label_text import brief, shown

SCHEMA = "CELLxGENE's schema 7.0.0"
N_EXAMPLES = 5
DELIMITER = " || "
HUMAN = "NCBITaxon:9606"
STAGES = {HUMAN: "HsapDv", "NCBITaxon:10090": "MmusDv"}
ENSEMBL = {HUMAN: r"ENSG\d{11}", "NCBITaxon:10090": r"ENSMUSG\d{11}"}
ANY_ENSEMBL = r"(ENS[A-Z]*G\d{11}|WBGene\d{8}|FBgn\d{7})"
SPIKE_IN = r"ERCC-\d{5}"
CURIE = r"[A-Za-z]+:\w+"
TOO_GENERAL = ("CL:0000255", "CL:0000257", "CL:0000548")
FIELDS: dict[str, tuple[str, str]] = {
    "assay_ontology_term_id": (r"EFO:\d{7}", "a term of EFO, such as EFO:0009922 for 10x 3' v3"),
    "cell_type_ontology_term_id": (
        r"(CL:\d{7}|(WBbt|ZFA|FBbt):\d{7,8}|unknown)",
        "a term of the Cell Ontology, such as CL:0000236, or unknown",
    ),
    "development_stage_ontology_term_id": (
        r"((HsapDv|MmusDv|UBERON|ZFS|WBls|FBdv):\d{7,8}|unknown)",
        "a term of HsapDv (human), MmusDv (mouse) or another stage ontology, or unknown",
    ),
    "disease_ontology_term_id": (
        r"(PATO:0000461|MONDO:\d{7})",
        "PATO:0000461 (normal), or terms of MONDO in ascending order joined by ' || '",
    ),
    "donor_id": (r".*\S.*", "a name for each donor"),
    "is_primary_data": (r"(True|False)", "True or False, as bool"),
    "self_reported_ethnicity_ontology_term_id": (
        r"(HANCESTRO:\d{4}|unknown|na)",
        "terms of HANCESTRO in ascending order joined by ' || ', unknown, or na for another organism than human",
    ),
    "sex_ontology_term_id": (
        r"(PATO:0000383|PATO:0000384|PATO:0001340|unknown)",
        "PATO:0000383 (female), PATO:0000384 (male) or unknown",
    ),
    "suspension_type": (r"(cell|nucleus|na)", "cell, nucleus or na"),
    "tissue_ontology_term_id": (
        r"((UBERON|CL|WBbt|ZFA|FBbt):\d{7,8})",
        "a term of UBERON, such as UBERON:0000178 for blood",
    ),
    "tissue_type": (r"(tissue|organoid|cell culture)", "tissue, organoid or cell culture"),
}
"""What `obs` must have: the form of each value, and how to say it."""
SEVERAL = ("disease_ontology_term_id", "self_reported_ethnicity_ontology_term_id")
UNS = {
    "title": "what the data are, to tell them from others",
    "organism_ontology_term_id": "the organism's term, such as NCBITaxon:9606 (human) or NCBITaxon:10090 (mouse)",
}
EMBEDDING = re.compile(r"X_[a-zA-Z][a-zA-Z0-9_.-]*")


def published_findings(
    obs: pd.DataFrame, var: pd.DataFrame, var_names: np.ndarray, facts: AnndataFacts, *, share_of_zeros: float | None
) -> tuple[Finding, ...]:
    """Everything of a published AnnData that the schema has a rule for, but the counts and ids, which are checked as of
    any input. `share_of_zeros`: of the matrix with the counts, None when it is not known.
    """
    organism = facts.uns.get("organism_ontology_term_id") or ""
    return (
        *_missing_fields(obs, var, facts),
        *(finding for name in FIELDS if name in obs.columns for finding in _values(obs, name, organism)),
        *_uns_values(facts),
        *_gene_ids(var, var_names, organism),
        *_embeddings(len(obs), facts),
        *_storage(facts, share_of_zeros),
    )


def _missing_fields(obs: pd.DataFrame, var: pd.DataFrame, facts: AnndataFacts) -> Iterable[Finding]:
    lacks = {
        "obs": ([name for name in FIELDS if name not in obs.columns], len(FIELDS)),
        "uns": ([key for key in UNS if key not in facts.uns], len(UNS)),
        # A matrix of counts alone has no other whose genes could have been filtered.
        "var": (["feature_is_filtered"] if facts.has_raw and "feature_is_filtered" not in var.columns else [], 1),
    }
    for where, (names, n_needed) in lacks.items():
        if names:
            first = names[0]
            form = FIELDS[first][1] if where == "obs" else UNS.get(first, "False, and True for genes zeroed in X")
            yield Finding(
                "SCHEMA_FIELD_MISSING",
                where=where,
                expected=f"the {n_needed} fields of {SCHEMA}" if n_needed > 1 else first,
                found=f"{len(names)} missing: {', '.join(names)}",
                remedy=f"Add them: adata.{where}[{first!r}] = ... ({form}).",
            )


def _values(obs: pd.DataFrame, name: str, organism: str) -> Iterable[Finding]:
    values = obs[name]
    if isinstance(values, pd.DataFrame):
        yield _invalid(name, "one column", f"{values.shape[1]} of that name", "Take all but one out.", ())
        return
    if name == "is_primary_data":
        if not pd.api.types.is_bool_dtype(values.dtype):
            column = f"adata.obs[{name!r}]"
            yield _invalid(
                name,
                "True or False, as bool",
                "values of another type",
                f"{column} = {column}.astype(str).str.lower() == 'true'.",
                (),
            )
        return
    form, words = _form(name, organism)
    n_missing = int(values.isna().sum())
    distinct = values.dropna().astype(str)
    wrong = [text for text in pd.unique(distinct) if not _fits(text, form, several=name in SEVERAL)]
    if n_missing or wrong:
        n_cells = n_missing + int(distinct.isin(wrong).sum())
        unknown = "'unknown'" if "unknown" in form else "the right term"
        yield _invalid(
            name,
            words,
            f"{n_cells} cells with another value" + (f", {n_missing} of them without any" if n_missing else ""),
            f"Replace them: adata.obs[{name!r}] = adata.obs[{name!r}].replace({{...}}), "
            f"or {unknown} where it is not known.",
            tuple(map(shown, wrong[:N_EXAMPLES])),
        )
    general = sorted(set(distinct) & set(TOO_GENERAL)) if name == "cell_type_ontology_term_id" else []
    if general:
        yield _invalid(
            name,
            "terms that name a cell type",
            "terms for any cell",
            "Use a narrower term, or unknown.",
            tuple(general),
        )


def _form(name: str, organism: str) -> tuple[str, str]:
    form, words = FIELDS[name]
    if name == "development_stage_ontology_term_id" and organism in STAGES:
        prefix = STAGES[organism]
        return rf"({prefix}:\d{{7}}|unknown)", f"a term of {prefix}, or unknown"
    if name == "self_reported_ethnicity_ontology_term_id" and organism:
        if organism != HUMAN:
            return r"na", "na, since the organism is not human"
        return r"(HANCESTRO:\d{4}|unknown)", "terms of HANCESTRO in ascending order joined by ' || ', or unknown"
    return form, words


def _fits(text: str, form: str, *, several: bool) -> bool:
    parts = text.split(DELIMITER) if several else [text]
    in_order = parts == sorted(set(parts))
    alone = len(parts) == 1 or not {"unknown", "na", "PATO:0000461"} & set(parts)
    return in_order and alone and all(re.fullmatch(form, part) for part in parts)


def _invalid(name: str, expected: str, found: str, remedy: str, examples: tuple[str, ...]) -> Finding:
    return Finding(
        "SCHEMA_VALUE_INVALID", where=f"obs[{name!r}]", expected=expected, found=found, remedy=remedy, examples=examples
    )


def _uns_values(facts: AnndataFacts) -> Iterable[Finding]:
    forms = {"title": r"[\s\S]*\S[\s\S]*", "organism_ontology_term_id": r"NCBITaxon:\d+"}
    for key, form in forms.items():
        if key in facts.uns and not re.fullmatch(form, facts.uns[key] or ""):
            found = shown(facts.uns[key] or "") if facts.uns[key] is not None else "something other than text"
            yield Finding(
                "SCHEMA_VALUE_INVALID",
                where=f"uns[{key!r}]",
                expected=UNS[key],
                found=found,
                remedy=f"Set it: adata.uns[{key!r}] = '...'.",
            )


def _gene_ids(var: pd.DataFrame, var_names: np.ndarray, organism: str) -> Iterable[Finding]:
    form = re.compile(rf"({ENSEMBL.get(organism, ANY_ENSEMBL)}|{SPIKE_IN})")
    wrong = [str(name) for name in var_names if not form.fullmatch(str(name))]
    if wrong:
        versioned = sum(re.fullmatch(rf"{ANY_ENSEMBL}\.\d+", name) is not None for name in wrong)
        mend = (
            "Take the versions away: adata.var_names = adata.var_names.str.split('.').str[0]."
            if versioned > len(wrong) / 2
            else f"Name genes by their ids: {_ids_of(var)}."
        )
        yield Finding(
            "SCHEMA_GENE_IDS",
            where="var_names",
            expected="Ensembl ids without version, of the organism of uns",
            found=f"{len(wrong)} of {len(var_names)} other names",
            remedy=mend,
            examples=tuple(shown(name) for name in wrong[:N_EXAMPLES]),
        )
    names = pd.Index(np.asarray(var_names, dtype=object))
    if not names.is_unique:
        repeated = names[names.duplicated()].unique()
        yield Finding(
            "SCHEMA_GENE_IDS",
            where="var_names",
            expected="each gene once",
            found=f"{len(repeated)} that occur more than once",
            remedy="Sum or remove the copies.",
            examples=tuple(shown(str(name)) for name in repeated[:N_EXAMPLES]),
        )


def _ids_of(var: pd.DataFrame) -> str:
    """The line that names genes by the ids of a column, or that of a published table where none holds them."""
    for place, column in enumerate(var.columns):
        if var.iloc[:, place].astype(str).str.fullmatch(ANY_ENSEMBL + r"(\.\d+)?").mean() > 0.5:
            return f"adata.var_names = adata.var[{str(column)!r}].str.split('.').str[0]"
    return "adata.var_names = ..., from the annotation that the reads were counted with; no column of var holds any"


def _embeddings(n_cells: int, facts: AnndataFacts) -> Iterable[Finding]:
    named = [embedding for embedding in facts.embeddings if EMBEDDING.fullmatch(embedding.name)]
    if not named:
        there = ", ".join(brief(embedding.name) for embedding in facts.embeddings[:N_EXAMPLES]) or "none"
        yield Finding(
            "SCHEMA_EMBEDDING_INVALID",
            where="obsm",
            expected="an embedding called X_ and a name, such as X_umap",
            found=there,
            remedy="Compute one: sc.tl.umap(adata), or rename it: adata.obsm['X_umap'] = adata.obsm.pop('umap').",
        )
    for embedding in named:
        is_array = embedding.kind in tuple("fiu")
        faults = [
            text
            for text, is_fault in (
                ("no array of numbers", not is_array),
                (f"{embedding.n_rows} rows for {n_cells} cells", is_array and embedding.n_rows != n_cells),
                (f"{embedding.n_columns} columns", is_array and embedding.n_columns < 2),
                (f"{embedding.n_infinite} infinite values", embedding.n_infinite > 0),
                ("nothing but missing values", embedding.all_missing),
            )
            if is_fault
        ]
        if faults:
            yield Finding(
                "SCHEMA_EMBEDDING_INVALID",
                where=f"obsm[{brief(embedding.name)!r}]",
                expected="an array of finite numbers, cells x 2 or more",
                found="; ".join(faults),
                remedy=f"Compute it again, or remove it: del adata.obsm[{brief(embedding.name)!r}].",
            )


def _storage(facts: AnndataFacts, share_of_zeros: float | None) -> Iterable[Finding]:
    counts = facts.stored[-1] if facts.stored else None
    if counts is None:
        return
    place = "adata.raw.X" if counts.where == "raw.X" else "adata.X"
    if counts.dtype != "float32":
        yield Finding(
            "SCHEMA_MATRIX_STORAGE",
            where=counts.where,
            expected="raw counts stored as float32",
            found=counts.dtype,
            remedy=f"Convert them: {place}.astype('float32').",
        )
    if counts.layout != "csr" and share_of_zeros is not None and share_of_zeros >= 0.5:
        yield Finding(
            "SCHEMA_MATRIX_STORAGE",
            where=counts.where,
            expected="CSR for a matrix of which half or more is zero",
            found=f"{counts.layout}, {share_of_zeros:.0%} of it zero",
            remedy=f"Convert it: scipy.sparse.csr_matrix({place}).",
        )
