"""What is said of unassigned cells that are too few, and of called types that are too small to compare with."""

from cellmark.schemas.calls.new_populations import CalledCells
from cellmark.schemas.errors import Finding

MIN_CALLED = 5
"""Called cells of a type that it takes to compare with it."""


def few_findings(n_unassigned: int, cells: CalledCells, min_cells: int) -> tuple[Finding, ...]:
    if n_unassigned == 0:
        return (
            Finding(
                "NOVEL_CELLS_NONE",
                where="novelty",
                expected=f"cells with a novelty above {cells.threshold:.2f}",
                found=f"none among {cells.n_cells:,}",
                remedy="All cells are called: there is nothing to group.",
                severity="info",
            ),
        )
    if n_unassigned >= 2 * min_cells:
        return ()
    remedy = (
        "Look at them one by one, pool several samples in one file, or include cells with a lower novelty (--above)."
    )
    return (
        Finding(
            "NOVEL_CELLS_FEW",
            where="novelty",
            expected=f"at least {2 * min_cells} unassigned cells, to group them",
            found=f"{n_unassigned} among {cells.n_cells:,}",
            remedy=remedy,
            severity="info",
        ),
    )


def left_out(n_cells: int, min_cells: int) -> Finding:
    return Finding(
        "NOVEL_CELLS_FEW",
        where="min_cells",
        expected=f"groups of at least {min_cells} cells",
        found=f"{n_cells} cells in smaller ones",
        remedy="They are in no population.",
        severity="info",
    )


def lacking_types(cells: CalledCells, compared: list[int]) -> tuple[Finding, ...]:
    lacking = [name for code, name in enumerate(cells.cell_types) if code not in compared]
    if not lacking:
        return ()
    remedy = "Markers may be shared with these types: a file that holds them too would tell."
    return (
        Finding(
            "CALLED_CELLS_FEW",
            where="calls",
            expected=f"at least {MIN_CALLED} called cells of every type, to compare with",
            found=f"fewer of {len(lacking)} types",
            remedy=remedy,
            severity="info" if compared else "warning",
            examples=tuple(lacking[:5]),
        ),
    )
