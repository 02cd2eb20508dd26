"""How large an input may be: asked of its headers, before any of its values is read."""

from dataclasses import dataclass

from ..errors import Finding, ReadError

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """`max_cells`, `max_genes`: rows and columns of the matrix, other features than genes included. `max_nonzeros`:
    values stored in it (of a dense one, all). `max_unpacked_bytes`: of an `.npz` or a compressed table, unpacked.
    `max_scratch_bytes`: of disk that a large matrix by columns may take while it is read; without, it is read in
    memory. `turned`: a folder where such copies are kept for later opens (see `turn_on_disk`).
    """

    max_cells: int = 10_000_000
    max_genes: int = 500_000
    max_nonzeros: int = 20_000_000_000
    max_unpacked_bytes: int = 256 * GIB
    max_scratch_bytes: int = 0
    turned: str | None = None

    def check(self, where: str, *, cells: int = 0, genes: int = 0, nonzeros: int = 0) -> None:
        """Raise `ReadError` (`INPUT_TOO_LARGE`) with all that is beyond the limits. `where`: the file."""
        declared = (
            ("cells", cells, self.max_cells, "Divide it into files of fewer cells"),
            ("genes", genes, self.max_genes, "Leave out features that are no genes"),
            ("nonzeros", nonzeros, self.max_nonzeros, "Divide it into files of fewer cells"),
        )
        findings = [
            Finding(
                "INPUT_TOO_LARGE",
                where=where,
                expected=f"at most {most:,} {_words(name)}",
                found=f"{number:,}",
                remedy=f"{remedy}, or raise CELLMARK_MAX_{name.upper()}.",
            )
            for name, number, most, remedy in declared
            if number > most
        ]
        if findings:
            raise ReadError(*findings)


def _words(name: str) -> str:
    return {"nonzeros": "values in the matrix"}.get(name, name)


NO_LIMITS = ReadLimits(2**62, 2**62, 2**62, 2**62, 2**62)
"""For the user's own data."""
