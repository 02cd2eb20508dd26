"""The two JSON forms of cells, and everything that makes a body another form."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.api.requests import cells_from_json
from cellmark.schemas.errors import CellmarkError, InputError, ReadError, RequestError


def cell(**changes: Any) -> dict[str, Any]:
    return {"cell_id": "c1", "counts": {"A": 1, "B": 2}, **changes}


def csr(**changes: Any) -> dict[str, Any]:
    """Two cells of three genes: [[3, 0, 5], [0, 7, 0]]."""
    body = {
        "genes": ["A", "B", "C"],
        "cell_ids": ["c1", "c2"],
        "indptr": [0, 2, 3],
        "indices": [0, 2, 1],
        "data": [3, 5, 7],
    }
    return {**body, **changes}


def refusal(body: Any) -> CellmarkError:
    with pytest.raises(CellmarkError) as refused:
        cells_from_json(body)
    return refused.value


def test_genes_that_a_cell_does_not_name_are_zero_when_the_request_lists_its_genes() -> None:
    body = {"genes": ["C", "A", "B"], "cells": [cell(), cell(cell_id="c2", counts={"C": 4})]}
    cells = cells_from_json(body)
    assert cells.source.var_names.tolist() == ["C", "A", "B"]
    np.testing.assert_array_equal(cells.source.load().toarray(), [[0, 1, 2], [4, 0, 0]])
    assert cells.source.cell_ids.tolist() == ["c1", "c2"]
    assert (cells.genes_source, cells.library_size, cells.findings) == ("genes", None, ())


def test_without_a_list_the_union_of_the_keys_is_measured() -> None:
    cells = cells_from_json({"cells": [cell(), cell(cell_id="c2", counts={"C": 4, "A": 0})]})
    assert cells.source.var_names.tolist() == ["A", "B", "C"]
    np.testing.assert_array_equal(cells.source.load().toarray(), [[1, 2, 0], [0, 0, 4]])
    assert cells.genes_source == "keys"


def test_the_csr_form_is_the_matrix_that_scipy_makes_of_it() -> None:
    body = csr(library_sizes=[100, 200.5])
    cells = cells_from_json(body)
    expected = sp.csr_matrix((body["data"], body["indices"], body["indptr"]), shape=(2, 3)).toarray()
    np.testing.assert_array_equal(cells.source.load().toarray(), expected)
    np.testing.assert_array_equal(cells.library_size, [100, 200.5])
    assert cells.genes_source == "genes"


def test_no_cells_and_no_genes_are_left_to_the_common_checks() -> None:
    assert cells_from_json({"cells": []}).source.n_obs == 0
    assert cells_from_json({"cells": [cell(counts={})]}).source.n_vars == 0
    empty = csr(genes=[], cell_ids=[], indptr=[0], indices=[], data=[])
    assert cells_from_json(empty).source.load().shape == (0, 0)


def test_library_sizes_are_given_for_all_cells_or_for_none() -> None:
    both = {"cells": [cell(library_size=10), cell(cell_id="c2", library_size=20)]}
    np.testing.assert_array_equal(cells_from_json(both).library_size, [10, 20])
    one = {"cells": [cell(library_size=10), cell(cell_id="c2")]}
    (finding,) = cells_from_json(one).findings
    assert (finding.code, finding.examples) == ("LIBRARY_SIZE_INVALID", ("c2",))


def test_a_key_outside_the_listed_genes_is_named_and_the_other_counts_are_kept() -> None:
    cells = cells_from_json({"genes": ["A"], "cells": [cell()]})
    (finding,) = cells.findings
    assert (finding.code, finding.examples) == ("GENE_UNKNOWN_KEY", ("B",))
    np.testing.assert_array_equal(cells.source.load().toarray(), [[1]])


def test_problems_of_different_kinds_come_together() -> None:
    body = {"genes": ["A", "A"], "cells": [cell(library_size=3), cell(cell_id="c2")]}
    codes = [finding.code for finding in cells_from_json(body).findings]
    assert codes == ["REQUEST_INVALID", "GENE_UNKNOWN_KEY", "LIBRARY_SIZE_INVALID"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"cells": [cell(counts={"A": True})]}, "cells[0].counts.A"),
        ({"cells": [cell(counts={"A": "3"})]}, "cells[0].counts.A"),
        ({"cells": [cell(counts={"A": None})]}, "cells[0].counts.A"),
        ({"cells": [cell(counts={"A": [1]})]}, "cells[0].counts.A"),
        ({"cells": [cell(counts={"A": float("inf")})]}, "cells[0].counts.A"),
        ({"cells": [cell(counts={"A": 10**400})]}, "cells[0].counts.A"),
        ({"cells": [cell(), cell(counts=[1, 2])]}, "cells[1].counts"),
        ({"cells": [cell(cell_id=7)]}, "cells[0].cell_id"),
        ({"cells": [cell(cell_id="")]}, "cells[0].cell_id"),
        ({"cells": [cell(cell_id="x" * 1000)]}, "cells[0].cell_id"),
        ({"cells": [cell(library_size="9")]}, "cells[0].library_size"),
        ({"cells": [{"counts": {"A": 1}}]}, "cells[0].cell_id"),
        ({"cells": [{"cell_id": "c1"}]}, "cells[0].counts"),
        ({"cells": [cell(celltype="T")]}, "cells[0].celltype"),
        ({"cells": ["c1"]}, "cells[0]"),
        ({"cells": {"c1": {}}}, "cells"),
        ({"cells": [cell()], "gene": ["A"]}, "gene"),
        ({"cells": [cell()], "genes": "A"}, "genes"),
        ({"cells": [cell()], "genes": ["A", 1]}, "genes[1]"),
        (csr(data=[1, True, 2]), "data[1]"),
        (csr(indices=[0, 2.5, 1]), "indices[1]"),
        (csr(indptr=[0, -2, 3]), "indptr[1]"),
        (csr(indices=[0, 2**63, 1]), "indices[1]"),
        (csr(library_size=[1, 2]), "library_size"),
        ({key: value for key, value in csr().items() if key != "data"}, "data"),
    ],
)  # fmt: skip
def test_a_field_that_is_not_as_documented_is_refused_with_its_place(body: Any, where: str) -> None:
    error = refusal(body)
    assert isinstance(error, RequestError)
    assert [(finding.code, finding.where) for finding in error.findings] == [("REQUEST_INVALID", where)]


@pytest.mark.parametrize("body", [None, 3, [], [cell()], {}, {"genes": ["A"]}, {**csr(), "cells": [cell()]}])
def test_a_body_of_neither_form_is_told_both(body: Any) -> None:
    error = refusal(body)
    assert error.code == "REQUEST_INVALID"
    assert "indptr" in error.findings[0].expected
    assert "cells" in error.findings[0].expected


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"indptr": [0, 3]}, "indptr"),
        ({"indptr": []}, "indptr"),
        ({"indptr": [1, 2, 3]}, "indptr"),
        ({"indptr": [0, 4, 3]}, "indptr"),
        ({"indptr": [0, 2, 2]}, "indptr"),
        ({"indices": [0, 3, 1]}, "indices"),
        ({"indices": [0, 2]}, "indices"),
        ({"indices": [0, 0, 1]}, "indices"),
        ({"library_sizes": [1]}, "library_sizes"),
    ],
)
def test_a_broken_csr_matrix_is_refused_by_the_array_that_does_not_fit(changes: dict[str, Any], where: str) -> None:
    error = refusal(csr(**changes))
    assert isinstance(error, ReadError)
    assert error.code == "MATRIX_INVALID"
    assert error.findings[0].where.endswith(where)


def test_all_misfits_of_a_csr_matrix_come_together() -> None:
    error = refusal(csr(indptr=[0, 1], indices=[0, 9, 1], library_sizes=[]))
    assert [finding.where.split()[-1] for finding in error.findings] == ["indptr", "indices", "library_sizes"]


def test_thousands_of_mistakes_of_one_kind_are_one_finding_that_counts_them() -> None:
    counts = {f"GENE{number}": "1" for number in range(3000)}
    error = refusal({"cells": [cell(counts=counts, extra=1), cell(cell_id=3)]})
    by_place = {finding.where: finding for finding in error.findings}
    assert set(by_place) == {"cells[*].counts.*", "cells[0].extra", "cells[1].cell_id"}
    assert "3000 places" in by_place["cells[*].counts.*"].found
    assert len(by_place["cells[*].counts.*"].examples) == 5


def test_values_of_a_request_are_not_repeated_in_what_it_is_told() -> None:
    secret = "patient-4711 " * 50
    error = refusal({"cells": [cell(counts={"A": secret}), cell(cell_id=[secret])], secret: 1})
    texts = " ".join(finding.found + finding.expected for finding in error.findings)
    assert "patient" not in texts
    assert max(len(finding.where) for finding in error.findings) < 120


@pytest.mark.parametrize(
    "body",
    [
        {"cells": [cell(cell_id="\ud800")]},
        {"cells": [cell(counts={"\udfff": 1})]},
        csr(genes=["A", "\ud800", "C"]),
    ],
)
def test_half_a_surrogate_pair_is_no_name(body: Any) -> None:
    assert refusal(body).code == "REQUEST_INVALID"


def test_a_refused_matrix_is_an_error_of_the_input_and_a_refused_field_one_of_the_request() -> None:
    assert isinstance(refusal(csr(indptr=[0, 1])), InputError)
    assert not isinstance(refusal(csr(indptr="no")), InputError)
