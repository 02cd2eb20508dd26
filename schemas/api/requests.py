"""JSON bodies that hold cells: their models, which are also their documentation, and the cells they become."""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..cells.read_limits import NO_LIMITS, ReadLimits
from ..errors import Finding, RequestError
from ..normalization import unchecked_csr
from .json_cells import BodyOfJson, CellOfJson, NotAsDocumentedError, first_mistake, numbers, read_body
from .request_cells import (
    LONGEST_NAME,
    N_EXAMPLES,
    GeneList,
    RequestCells,
    check_names,
    csr_cells,
    memory_source,
)
from .strict_json import parse_json, request_findings

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Position = Annotated[int, Field(ge=0, lt=2**63)]
JSON_BODY = "body"
FORMS = 'either {"cells": [...]} or {"genes", "cell_ids", "indptr", "indices", "data"}'


class Body(BaseModel):
    """Part of a body. Unknown fields are refused, and nothing is converted: "3" and true are not counts."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CellCounts(Body):
    """One cell. `counts`: raw counts by gene; `library_size`: the cell's total count over all genes measured."""

    cell_id: Name
    counts: dict[Annotated[str, Field(max_length=LONGEST_NAME)], Number] = Field(examples=[{"MS4A1": 3, "CD79A": 5}])
    library_size: Number | None = Field(default=None, examples=[2421])


AnyCell = CellCounts | CellOfJson


class CellsRequest(Body):
    """Cells by name of gene. `genes`: all genes that were measured; a gene that a cell does not name is then zero.
    Without it the union of the cells' genes counts as measured, and the answer says `genes_source: keys`.
    """

    cells: list[CellCounts]
    genes: list[Name] | None = Field(default=None, examples=[["MS4A1", "CD79A", "CD3D"]])


class CsrRequest(Body):
    """Cells as a sparse matrix in CSR form, cells x genes. `library_sizes`: total counts, one for each cell."""

    genes: list[Name] = Field(examples=[["MS4A1", "CD79A", "CD3D"]])
    cell_ids: list[Name] = Field(examples=[["cell-1", "cell-2"]])
    indptr: list[Position] = Field(examples=[[0, 2, 3]])
    indices: list[Position] = Field(examples=[[0, 1, 2]])
    data: list[Number] = Field(examples=[[3, 5, 7]])
    library_sizes: list[Number] | None = Field(default=None, examples=[[2421, 1984]])


LARGE_BODY = 1024**2
"""Bytes of a body from which on only its first mistake is looked up."""


def cells_from_body(body: bytes, *, limits: ReadLimits = NO_LIMITS) -> RequestCells:
    """The cells of a JSON text. Raises as `parse_json` and `cells_from_json`, and `ReadError` for more cells or genes
    than `limits` allow.
    """
    try:
        read, genes = read_body(body)
        limits.check(JSON_BODY, cells=len(read.cells or read.cell_ids or ()), genes=len(genes or ()))
        if (read.cells is UNSET) != bool(bytes(read.indptr) or read.cell_ids is not UNSET):
            raise NotAsDocumentedError("a body that is neither of the two forms, or both")
        return _cells(read.cells, genes) if read.cells is not UNSET else _csr_of(read, genes)
    except NotAsDocumentedError as error:
        if len(body) >= LARGE_BODY:
            raise first_mistake(error) from None
        return cells_from_json(parse_json(body))


def _csr_of(read: BodyOfJson, genes: GeneList | None) -> RequestCells:
    if not genes or read.cell_ids is UNSET or not all(map(bytes, (read.indptr, read.indices, read.data))):
        raise NotAsDocumentedError("a field that is missing")
    sizes = bytes(read.library_sizes)
    return csr_cells(
        genes=genes,
        cell_ids=read.cell_ids,
        indptr=numbers(read.indptr, whole=True),
        indices=numbers(read.indices, whole=True),
        data=numbers(read.data),
        library_sizes=None if sizes in (b"", b"null") else numbers(read.library_sizes),
        name=JSON_BODY,
    )


def cells_from_json(value: Any) -> RequestCells:
    """The cells of a parsed body. Raises `RequestError` with all fields that are not as documented, and `ReadError` for
    a matrix that does not fit together.
    """
    if not isinstance(value, dict) or ("cells" in value) == ("indptr" in value or "cell_ids" in value):
        found = "a body that is neither, or both" if isinstance(value, dict) else "no JSON object"
        raise RequestError.of(
            "REQUEST_INVALID",
            where=JSON_BODY,
            expected=FORMS,
            found=found,
            remedy="Send one of the two forms; GET /openapi.json has both.",
        )
    try:
        if "cells" in value:
            body = CellsRequest.model_validate(value)
            return _cells(body.cells, None if body.genes is None else GeneList(body.genes))
        return _csr(CsrRequest.model_validate(value))
    except ValidationError as error:
        raise RequestError(*request_findings(error.errors(include_url=False, include_context=False))) from None


def _csr(body: CsrRequest) -> RequestCells:
    return csr_cells(
        genes=body.genes,
        cell_ids=body.cell_ids,
        indptr=np.array(body.indptr, dtype=np.int64),
        indices=np.array(body.indices, dtype=np.int64),
        data=np.array(body.data, dtype=np.float64),
        library_sizes=None if body.library_sizes is None else np.array(body.library_sizes, dtype=np.float64),
        name=JSON_BODY,
    )


def _cells(cells: Sequence[AnyCell], given: GeneList | None) -> RequestCells:
    keys = dict.fromkeys(chain.from_iterable(cell.counts for cell in cells))
    check_names({"cells[*].counts": list(keys), "cells[*].cell_id": [cell.cell_id for cell in cells]})
    genes = GeneList(list(keys)) if given is None else given
    column = genes.column
    findings: list[Finding] = []
    if len(column) < len(genes):
        findings.append(
            Finding(
                "REQUEST_INVALID",
                where="genes",
                expected="each gene once",
                found=f"{len(genes) - len(column)} names that come again",
                remedy="Name every gene measured once.",
            )
        )
    unknown = [name for name in keys if name not in column]
    if unknown:
        findings.append(
            Finding(
                "GENE_UNKNOWN_KEY",
                where="cells[*].counts",
                expected="only genes that `genes` names",
                found=f"{len(unknown)} others",
                remedy="Add them to `genes`, which lists all genes measured, or omit `genes`.",
                examples=tuple(unknown[:N_EXAMPLES]),
            )
        )
        column = column | dict.fromkeys(unknown, -1)
    sizes, size_findings = _library_sizes(cells)
    X = _matrix(cells, column, len(genes))
    source = memory_source(X, genes, [cell.cell_id for cell in cells], name=JSON_BODY, counts_from="counts")
    return RequestCells(source, sizes, "keys" if given is None else "genes", (*findings, *size_findings))


def _matrix(cells: Sequence[AnyCell], column: dict[str, int], n_genes: int) -> sp.csr_matrix:
    """CSR of the cells' counts. `column`: of each key, -1 for one to be left out."""
    n_keys = [len(cell.counts) for cell in cells]
    ends = np.concatenate(([0], np.cumsum(n_keys, dtype=np.int64)))
    keys = chain.from_iterable(cell.counts for cell in cells)
    indices = np.fromiter(map(column.__getitem__, keys), dtype=np.int64, count=int(ends[-1]))
    values = chain.from_iterable(cell.counts.values() for cell in cells)
    data = np.fromiter(values, dtype=np.float64, count=len(indices))
    if len(indices) and indices.min() < 0:
        known = indices >= 0
        ends = np.concatenate(([0], np.cumsum(known)))[ends]
        indices, data = indices[known], data[known]
    return unchecked_csr(data, indices, ends, (len(cells), n_genes))


def _library_sizes(cells: Sequence[AnyCell]) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    given = [cell.library_size for cell in cells if cell.library_size not in (None, UNSET)]
    if not given:
        return None, ()
    if len(given) == len(cells):
        return np.array(given, dtype=np.float64), ()
    without = tuple(cell.cell_id for cell in cells if cell.library_size in (None, UNSET))
    return None, (
        Finding(
            "LIBRARY_SIZE_INVALID",
            where="cells[*].library_size",
            expected="a library size for every cell, or for none",
            found=f"{len(given)} of {len(cells)} cells with one",
            remedy="Give the total count of the others too.",
            examples=without[:N_EXAMPLES],
        ),
    )
