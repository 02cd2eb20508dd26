"""The one checked path: any input becomes aligned counts and library sizes, or is refused with all its problems.

A file, a JSON body, a shard of a batch and an AnnData in a notebook all go through `CheckedCells`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_source import CellSource, RowChunk
from ..cells.reading_options import NOT_KNOWN, InputKind, LibrarySizeSource
from ..counts.sample_cells import sample_cells
from ..errors import Finding, InputError, ReadError, raise_if_refused
from ..genes.fit_genes import fit_genes
from ..genes.gene_panel import MIN_PANEL_SHARE, GeneMatch, GenePanel, duplicate_notes, overlap_findings
from ..genes.orthologs import Orthologs
from ..genes.panel_fraction import PanelFraction
from ..genes.symbol_column import named_by
from ..normalization import row_sums
from .check_counts import N_EXAMPLES, CountsProblems, check_counts
from .counts_elsewhere import look_at
from .counts_of_genes import FEATURE_RULE
from .library_size import (
    LibrarySizeWatch,
    PanelFractionWatch,
    given_library_size,
    summing_findings,
)
from .likely_columns import likely_totals
from .log1p_input import genes_of, library_size_given
from .orientation import transposed_findings
from .sizes_and_ids import id_findings, size_findings
from .unknown_share import names_unknown, unknown_findings
from .whole_findings import whole_findings

ROWS_TO_REFUSE = 4096
"""Rows at a time when the values of an input are only looked at."""


@dataclass(frozen=True, slots=True)
class AlignedCells:
    """Consecutive cells, ready for the graphs.

    `start`: number of the first. `counts`: CSR, float32, cells x panel genes. `library_size`: float32 [cells], over all
    genes. `measured`: bool [panel genes], False for a gene that the input did not measure.
    """

    start: int
    counts: sp.csr_matrix
    library_size: np.ndarray
    measured: np.ndarray


@dataclass(frozen=True, slots=True)
class PreparedChunk:
    """A chunk of `n_cells` after the checks: `cells` is None when a problem was found in it. `sample`: CSR, those of
    its cells that were drawn to stand for the input.
    """

    n_cells: int
    cells: AlignedCells | None
    problems: CountsProblems
    library_problems: tuple[str, ...]
    sample: sp.csr_matrix | None = None


class CheckedCells:
    """Cells of one source, checked and aligned to a panel.

    Raises `InputError` at once when something is wrong that shows without the values: no cells, duplicate ids, genes
    that do not fit, library sizes that are missing or impossible. The values are then read too, so that all problems
    come together. Otherwise problems of the values are raised by `finish`, when the last chunk was seen.

    `given`: the source as handed in; `source`: its genes, by `feature_rule` (see `counts_of_genes`). Read chunks from
    the latter.
    `library_size`: None (sum over the input's genes), the name of an `obs` column, an array [cells], or a series of it
    indexed by cell id.
    `library_range`: where training's library sizes lie, None where it is not known: other ones are a warning, and
    so are those that do not fit `panel_fraction`.
    `n_genes_trained`: genes that training measured, None to sum in any case. `min_share`, `min_mass`: floors, see
    `overlap_findings`. `max_unknown_share`: see `unknown_findings`. `orthologs`: see `fit_genes`. `symbol_column`:
    see `named_by`. `input`: see `genes_of`; where it finds logarithms, `normalised` is True, `source` undoes them and
    depth is not known.
    """

    def __init__(
        self,
        source: CellSource,
        panel: GenePanel,
        *,
        library_size: str | np.ndarray | pd.Series | None = None,
        n_genes_trained: int | None = None,
        min_share: float = MIN_PANEL_SHARE,
        min_mass: float | None = None,
        library_range: tuple[float, float] | None = None,
        to_train: bool = False,
        feature_rule: int | None = FEATURE_RULE,
        input: InputKind = "auto",  # noqa: A002
        orthologs: Orthologs | None = None,
        max_unknown_share: float | None = None,
        panel_fraction: PanelFraction | None = None,
        symbol_column: str | None = None,
    ) -> None:
        self.given = source
        source = genes_of(
            named_by(source, symbol_column), input, rule=feature_rule, depth="needed" if to_train else "unneeded"
        )
        self.source, self.normalised = source, source.normalised
        self._to_train = to_train
        self.genes = fit_genes(panel, source, orthologs=orthologs)
        self.match: GeneMatch = self.genes.match
        self.cell_ids = source.cell_ids
        self._n_seen = 0
        self._problems = CountsProblems()
        self._drawn = sample_cells(source.n_obs, source.n_vars)
        self._samples: list[sp.csr_matrix] = []
        self._library_problems: list[str] = []
        self._sizes = LibrarySizeWatch(None if self.normalised else library_range)
        self._given, library_findings = given_library_size(source, None if self.normalised else library_size)
        self.library_size_source: LibrarySizeSource = "summed" if library_size is None else "given"
        if self.normalised:
            self.library_size_source = NOT_KNOWN
            library_findings = () if library_size is None else (library_size_given(source),)
        self._fractions = PanelFractionWatch(
            None if panel_fraction is None else panel_fraction.expected(self.match.measured),
            given=self._given is not None,
            totals=likely_totals(source.obs),
        )
        findings = [*size_findings(source), *self.genes.findings]
        # Of another organism's genes it goes without saying that they do not fit, and so of cells in their place.
        self._turned, self._unknown, self._max_unknown = False, None, max_unknown_share
        if source.n_vars and not self.genes.refused:
            misfits = overlap_findings(panel, self.match, source.var_names, min_share=min_share, min_mass=min_mass)
            turned = transposed_findings(source, panel) if _refuses(misfits) else ()
            self._turned = bool(turned)
            findings += turned or misfits
            if not turned:
                # A model's genes are known to it, and one that counts all features is given what it was trained on.
                of_model = self.match.columns >= 0 if n_genes_trained is not None else None
                cells = self.genes.across.cells if self.genes.across is not None else None
                self._unknown = names_unknown(source, panel, but=of_model, organism=cells)
                self._max_unknown = 1.0 if feature_rule is None else max_unknown_share
            if library_size is None and n_genes_trained is not None and not turned:
                findings += summing_findings(source, n_genes_trained, normalised=self.normalised)
        findings += [*id_findings(self.cell_ids), *library_findings]
        if _refuses([*source.notes, *findings]):
            findings += self._value_findings()
        self.notes: tuple[Finding, ...] = raise_if_refused(
            dict.fromkeys([*source.notes, *findings, *duplicate_notes(self.match)])
        )

    def prepare(self, chunk: RowChunk) -> PreparedChunk:
        """Check and align one chunk. Changes nothing, so chunks may be prepared by several threads at once."""
        X = chunk.X
        rows = slice(chunk.start, chunk.start + X.shape[0])
        totals = row_sums(X)
        problems = check_counts(X, self.cell_ids[rows], totals, per_10_000=self.normalised)
        wrong: tuple[str, ...] = ()
        library_size = totals
        if self._given is not None:
            library_size = self._given[rows]
            # A part in a million of slack: sums of many float32 values are not exact.
            wrong = tuple(self.cell_ids[rows][library_size < totals * (1 - 1e-6)])
        first, last = np.searchsorted(self._drawn, [rows.start, rows.stop])
        sample = None
        if last > first:
            sample = X if last - first == X.shape[0] else X[self._drawn[first:last] - chunk.start]
        if problems.any or wrong:
            return PreparedChunk(X.shape[0], None, problems, wrong, sample)
        aligned = AlignedCells(chunk.start, self.match.align(X), library_size.astype(np.float32), self.match.measured)
        return PreparedChunk(X.shape[0], aligned, problems, wrong, sample)

    def record(self, prepared: PreparedChunk) -> None:
        """Note a chunk's problems; call it once per chunk, from one thread."""
        self._n_seen += prepared.n_cells
        self._problems.merge(prepared.problems)
        if prepared.sample is not None:
            self._samples.append(prepared.sample)
        self._library_problems.extend(prepared.library_problems)
        if prepared.cells is not None:
            self._sizes.see(prepared.cells.library_size)
            self._fractions.see(prepared.cells.counts, prepared.cells.library_size)

    def finish(self) -> None:
        """Raise `InputError` when any chunk had a problem. Call it when all chunks were recorded."""
        if self._n_seen != self.source.n_obs:
            # Cells that were never seen must not be answered for.
            raise ReadError.of(
                "FILE_UNREADABLE",
                where=self.source.name,
                expected=f"{self.source.n_obs} cells, as many as it has ids",
                found=f"values of {self._n_seen}",
                remedy="Write the file again from its source.",
            )
        notes = raise_if_refused([*self._recorded_findings(), *self._sizes.findings(), *self._fractions.findings()])
        self.notes = (*self.notes, *(note for note in notes if note not in self.notes))

    def _value_findings(self) -> list[Finding]:
        """What is wrong with the values of an input that is refused anyway."""
        stopped: tuple[Finding, ...] = ()
        try:
            for chunk in self.source.chunks(ROWS_TO_REFUSE) if self.source.n_vars else ():
                self.record(self.prepare(chunk))
        except InputError as error:
            stopped = error.findings
        found = [*self._recorded_findings(), *stopped]
        # A row of a matrix that lies on its side is a gene, which may well be empty.
        return [finding for finding in found if not (self._turned and finding.code == "CELL_EMPTY")]

    def _recorded_findings(self) -> list[Finding]:
        findings = self._counts_findings()
        if self._library_problems:
            findings.append(
                Finding(
                    "LIBRARY_SIZE_INVALID",
                    where="library_size",
                    expected="at least the sum of the cell's counts",
                    found=f"{len(self._library_problems)} cells whose library size is below it",
                    remedy="Give the total over all genes measured, before any gene was taken out.",
                    examples=tuple(self._library_problems[:N_EXAMPLES]),
                )
            )
        return findings

    def _counts_findings(self) -> list[Finding]:
        problems, where = self._problems, self.source.counts_from
        if not self._samples:
            return list(problems.findings(where))
        sample = self._samples[0] if len(self._samples) == 1 else sp.vstack(self._samples, format="csr")
        if problems.n_cells_changed:
            offenders = np.array(problems.offenders)
            looks = look_at(
                self.source, sample, offenders=offenders, n_wrong=problems.n_cells_changed, to_train=self._to_train
            )
            return list(problems.findings(where, looks_like=looks.text, remedy=looks.remedy))
        found = list(problems.findings(where))
        odd = problems.n_nan or problems.n_infinite or problems.n_large or self.normalised
        if self._unknown is not None and not (problems.n_nan or problems.n_infinite):
            found += unknown_findings(self.source, sample, self._unknown, most=self._max_unknown)
        return found if odd else [*found, *whole_findings(self.source, sample, to_train=self._to_train)]

    def chunks(self, n_rows: int) -> Iterator[AlignedCells]:
        """All cells in order, at most `n_rows` at a time; raises `InputError` at the end when something was wrong."""
        for chunk in self.source.chunks(n_rows):
            prepared = self.prepare(chunk)
            self.record(prepared)
            if prepared.cells is not None:
                yield prepared.cells
        self.finish()

    def load(self) -> AlignedCells:
        """All cells at once."""
        pieces = list(self.chunks(max(self.source.n_obs, 1)))
        # A source may hand out fewer rows at a time than it was asked for.
        if len(pieces) == 1:
            return pieces[0]
        counts = sp.vstack([piece.counts for piece in pieces], format="csr")
        return AlignedCells(0, counts, np.concatenate([piece.library_size for piece in pieces]), self.match.measured)


def _refuses(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)
