"""The Cell Ontology as `cellxgene-ontology-guide` ships it: terms, synonyms, ancestors, without a network."""

from collections.abc import Iterable
from typing import Any

from cellmark.schemas.errors import SetupError

INSTALL = "pip install 'cellmark[ontology]'"


class CellOntology:
    """Lookup in one version of the Cell Ontology. Raises `SetupError` (`EXTRA_MISSING`) where it is not installed."""

    def __init__(self) -> None:
        try:
            from cellxgene_ontology_guide.ontology_parser import OntologyParser
        except ImportError:
            raise SetupError.of(
                "EXTRA_MISSING",
                where="ontology",
                expected="the ontology extra",
                found="no cellxgene-ontology-guide",
                remedy=f"Install it: {INSTALL}",
            ) from None
        schema = OntologyParser().cxg_schema
        self._terms: dict[str, dict[str, Any]] = schema.ontology("CL")
        self.version = str(schema.supported_ontologies["CL"]["version"])

    def __contains__(self, term: str) -> bool:
        return term in self._terms

    def name(self, term: str) -> str:
        return str(self._terms[term]["label"])

    def is_deprecated(self, term: str) -> bool:
        return bool(self._terms[term].get("deprecated", False))

    def replacement(self, term: str) -> str | None:
        """The term to take in place of a deprecated one, where the ontology names it."""
        found = self._terms[term].get("replaced_by")
        return None if found is None else str(found)

    def ancestors(self, term: str) -> list[str]:
        """Terms above, the nearest first; of equally near ones by id."""
        distances: dict[str, int] = self._terms[term]["ancestors"]
        return [name for name, _ in sorted(distances.items(), key=lambda one: (one[1], one[0])) if name in self._terms]

    def names(self) -> Iterable[tuple[str, str, bool]]:
        """Term, name and whether it is the term's own name or a synonym; terms in use alone."""
        for term, facts in self._terms.items():
            if facts.get("deprecated"):
                continue
            yield term, str(facts["label"]), True
            for synonym in facts.get("synonyms", ()):
                yield term, str(synonym), False
