"""Findings of whole numbers that are no raw counts."""

import scipy.sparse as sp

from ..cells.cell_source import CellSource
from ..counts.whole_numbers import judge_whole_numbers
from ..errors import Finding
from .counts_elsewhere import look_at


def whole_findings(source: CellSource, sample: sp.csr_matrix, *, to_train: bool = False) -> tuple[Finding, ...]:
    """`sample`: CSR, cells drawn from all of `source`, whole numbers of at least 0. `to_train`: see `look_at`.

    An error where the values themselves rule counts out; a warning where depth was taken out, since the cells can still
    be distinguished, and a sample of unusual cells could look so.
    """
    if judge_whole_numbers(sample).kind == "counts":
        return ()
    looks = look_at(source, sample, to_train=to_train)
    if looks.state.name == "counts":
        return ()
    is_warning = looks.state.name == "depth_corrected"
    evidence = f" ({looks.state.evidence[0]})" if looks.state.evidence else ""
    return (
        Finding(
            "COUNTS_ONE_DEPTH" if is_warning else "COUNTS_NOT_RAW",
            where=source.counts_from,
            expected="raw counts",
            found=f"whole numbers that are not counts: {looks.text}{evidence}",
            remedy=looks.remedy,
            severity="warning" if is_warning else "error",
        ),
    )
