"""Annotations in the Cell Annotation Schema: one for each type, each group of a level, and each cluster.

The schema: https://github.com/cellannotation/cell-annotation-schema, `general_schema.json` and `CAP_schema.json` 1.1.0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import metadata, version
from typing import Any

import pandas as pd

from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE, NOVELTY, UNASSIGNED, level_columns
from cellmark.schemas.manifest.manifest import CellTypeEntry
from cellmark.schemas.manifest.manifest_levels import LevelGroup
from cellmark.schemas.report.evidence import TypeEvidence, evidence_of
from cellmark.schemas.report.facts import read_facts

from ..models.model_source import ModelSource
from . import cas_words as words
from .annotated_cells import AnnotatedCells
from .cas_options import CasAuthor
from .explained_calls import TypeReasons, reasons

SCHEMA_VERSION = "1.1.0"
UNKNOWN = "unknown"
"""The schema's word for cells of which nobody says what they are."""
MOST_COMMON = 0.5
"""Share of a cluster's cells from which on their type names the cluster."""
Annotation = dict[str, Any]


@dataclass(frozen=True)
class Cas:
    """`explanations`: see `read_explanations`. `clusters`: a column of the calls. `n_markers`: markers of a type that
    are named. `cell_ids`: whether annotations list their cells.
    """

    source: ModelSource
    cells: AnnotatedCells
    author: CasAuthor
    explanations: pd.DataFrame | None = None
    clusters: str | None = None
    n_markers: int = 5
    cell_ids: bool = True

    def document(self, *, now: datetime | None = None) -> dict[str, Any]:
        """The document, plain values. `now`: its time."""
        evidence = {one.name: one for one in evidence_of(read_facts(self.source.bundle, name=self.source.name))}
        found = {} if self.explanations is None else reasons(self.explanations, self.cells.calls)
        annotations = [*self._types(evidence, found), *self._levels(evidence), *self._clusters(evidence, found)]
        author = self.author
        given = {
            "matrix_file_id": author.matrix,
            "title": author.title,
            "description": author.description,
            "cellannotation_schema_version": SCHEMA_VERSION,
            "cellannotation_timestamp": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "cellannotation_version": author.release,
            "cellannotation_url": author.url,
            "author_name": author.name,
            "author_contact": author.contact,
            "orcid": author.orcid,
            "labelsets": self._labelsets(),
            "annotations": annotations,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def _model(self) -> str:
        source = self.source
        return f"cellmark's model {source.name}" + (f" version {source.version}" if source.version else "")

    def _labelsets(self) -> list[dict[str, Any]]:
        by = f"{self._model} (bundle {self.source.bundle.digest})"
        algorithm = self.author.algorithm_url or _repository()
        automated = {} if algorithm is None else {
            "automated_annotation": {
                "algorithm_name": "cellmark",
                "algorithm_version": version("cellmark"),
                "algorithm_repo_url": algorithm,
            }
        }  # fmt: skip
        sets = [(self.cells.called(CELL_TYPE), f"Cell types called by {by}.")]
        for number, level in enumerate(self._level_entries(), start=1):
            column = self.cells.called(level_columns(number)[0])
            sets.append((column, f"Groups of cell types called by {by}: level {level.name}."))
        if self.clusters is not None:
            sets.append((self.clusters, f"Clusters, and the cell types that {by} calls their cells."))
        return [
            {"name": name, "description": text, "annotation_method": "algorithmic", **automated} for name, text in sets
        ]

    def _level_entries(self) -> list[Any]:
        levels = self.source.bundle.manifest.levels
        return [] if levels is None else levels.levels

    def _types(self, evidence: Mapping[str, TypeEvidence], found: Mapping[str, TypeReasons]) -> Iterator[Annotation]:
        calls, n_all = self.cells.calls, len(self.cells.calls)
        for entry in self.source.bundle.manifest.cell_types:
            rows = calls[calls[CELL_TYPE] == entry.name]
            if len(rows):
                sentences = [words.calls_sentence(len(rows), n_all, entry.name, self._model)]
                sentences += [words.confidence_sentence(rows[CONFIDENCE])]
                yield {
                    **self._begun(self.cells.called(CELL_TYPE), entry.name, rows),
                    "cell_fullname": entry.ontology_name or entry.name,
                    **self._of_type(entry, evidence[entry.name], found.get(entry.name), sentences),
                }
        rows = calls[calls[CELL_TYPE] == UNASSIGNED]
        if len(rows):
            yield {
                **self._begun(self.cells.called(CELL_TYPE), UNKNOWN, rows),
                "cell_fullname": UNKNOWN,
                "rationale": words.joined(words.unassigned_sentences(rows, n_all, self._model)),
            }

    def _levels(self, evidence: Mapping[str, TypeEvidence]) -> Iterator[Annotation]:
        calls, n_all = self.cells.calls, len(self.cells.calls)
        for number, level in enumerate(self._level_entries(), start=1):
            column = level_columns(number)[0]
            for group in level.groups:
                rows = calls[calls[column] == group.name]
                if len(rows):
                    types = ", ".join(group.cell_types)
                    sentences = [
                        words.calls_sentence(len(rows), n_all, group.name, self._model),
                        f"It stands for the types {types}, whose probabilities are summed.",
                    ]
                    best = [self._markers(evidence[name]).head(1) for name in group.cell_types]
                    yield {
                        **self._begun(self.cells.called(column), group.name, rows),
                        "cell_fullname": group.name,
                        **_term(group.ontology_id, None),
                        "rationale": words.joined(sentences),
                        **_genes(pd.concat(best)["named"].tolist()),
                    }

    def _clusters(self, evidence: Mapping[str, TypeEvidence], found: Mapping[str, TypeReasons]) -> Iterator[Annotation]:
        if self.clusters is None:
            return
        calls, entries = self.cells.calls, {entry.name: entry for entry in self.source.bundle.manifest.cell_types}
        for cluster, rows in calls.groupby(self.clusters, sort=True):
            shares = rows[CELL_TYPE].value_counts(normalize=True)
            name, sentences = (
                str(shares.index[0]),
                words.cluster_sentences(rows, str(cluster), self.clusters, self._model),
            )
            begun = self._begun(self.clusters, str(cluster), rows)
            if name == UNASSIGNED or shares.iloc[0] < MOST_COMMON:
                sentences.insert(1, "No type is that of half of its cells.")
                yield {**begun, "rationale": words.joined(sentences)}
                continue
            own = None if self.explanations is None else reasons(self.explanations, rows).get(name)
            yield {
                **begun,
                "cell_fullname": entries[name].ontology_name or name,
                **self._of_type(entries[name], evidence[name], own, sentences),
            }

    def _begun(self, labelset: str, label: str, rows: pd.DataFrame) -> Annotation:
        fields = {
            "cellmark_n_cells": str(len(rows)),
            "cellmark_share_of_cells": f"{len(rows) / len(self.cells.calls):.4f}",
            "cellmark_median_confidence": f"{rows[CONFIDENCE].median():.4f}",
            "cellmark_median_novelty": f"{rows[NOVELTY].median():.4f}" if rows[NOVELTY].notna().any() else None,
            "cellmark_bundle_digest": self.source.bundle.digest,
        }
        begun: Annotation = {"labelset": labelset, "cell_label": label}
        if self.cell_ids:
            begun["cell_ids"] = list(map(str, rows.index))
        begun["author_annotation_fields"] = {key: value for key, value in fields.items() if value is not None}
        return begun

    def _of_type(
        self, entry: CellTypeEntry, evidence: TypeEvidence, found: TypeReasons | None, sentences: list[str]
    ) -> Annotation:
        markers, names = self._markers(evidence), self.cells.genes
        lacking = [s for s in evidence.markers.head(self.n_markers)["gene_symbol"].astype(str) if s not in names]
        text = words.joined(
            [
                *sentences,
                words.markers_sentence(markers, entry.name),
                *words.explained_sentences(found, names),
                words.not_measured_sentence(lacking, entry.name),
                words.tested_sentence(evidence),
                *words.care_sentences(evidence),
            ]
        )
        spoke = [] if found is None else map(str, found.speaking("for", words.NAMED).index)
        genes = [*markers["named"], *(names[symbol] for symbol in spoke if symbol in names)]
        return {
            **_term(entry.ontology_id, entry.ontology_name),
            **self._category(entry),
            "rationale": text,
            **_genes(genes),
        }

    def _markers(self, evidence: TypeEvidence) -> pd.DataFrame:
        """The type's best markers that the cells' files measured."""
        symbols, names = evidence.markers["gene_symbol"].astype(str), self.cells.genes
        rows = evidence.markers[symbols.isin(names)].head(self.n_markers)
        return rows.assign(named=[names[symbol] for symbol in rows["gene_symbol"].astype(str)])

    def _category(self, entry: CellTypeEntry) -> Annotation:
        """The next broader name, fields of the Cell Annotation Platform: of the finest level, or the Cell Ontology."""
        for level in reversed(self._level_entries()):
            group: LevelGroup = next(one for one in level.groups if entry.name in one.cell_types)
            if group.name != entry.name:
                term = {} if group.ontology_id is None else {"category_cell_ontology_term_id": group.ontology_id}
                return {"category_fullname": group.name, **term}
        if entry.ancestors and entry.ancestor_names:
            name = entry.ancestor_names[0]
            return {
                "category_fullname": name,
                "category_cell_ontology_term_id": entry.ancestors[0],
                "category_cell_ontology_term": name,
            }
        return {}


def _term(number: str | None, name: str | None) -> Annotation:
    given = {"cell_ontology_term_id": number, "cell_ontology_term": name}
    return {key: value for key, value in given.items() if value is not None}


def _genes(named: list[str]) -> Annotation:
    return {"marker_gene_evidence": list(dict.fromkeys(named))} if named else {}


def _repository() -> str | None:
    """The address of cellmark's repository, where the installed package names one."""
    for line in metadata("cellmark").get_all("Project-URL") or []:
        label, _, url = line.partition(",")
        if label.strip().lower() in ("repository", "source", "homepage"):
            return str(url.strip())
    return None
