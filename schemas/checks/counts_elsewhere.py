"""What refused values look like, and where raw counts are to be had instead: only asked when an input is refused."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, OtherMatrix
from ..counts.expression_kinds import ExpressionState
from ..counts.expression_state import detect_state
from ..counts.log1p_proof import misfit, proves_log1p
from ..counts.sample_cells import sample_cells
from ..errors import CellmarkError
from ..normalization import COUNTS_PER

RECOVER = "The counts can be recovered exactly: --recover-counts (recover_counts=True in Python and over HTTP)."
RECOVER_FILE = "The counts can be recovered exactly. In Python, before training on the new file: {code}"
USUAL_NAMES = ("counts", "raw", "raw_counts")
HAND_IN = "Provide raw counts: name the layer that holds them with --layer (layer= in Python)."
NEARLY = 0.05
"""Totals this close to 10,000 are what is left of it where genes were removed after normalising."""
BEFORE = {
    "counts_times": "Divide by the factor, or provide the counts from before.",
    "counts_per": "Provide the counts from before sc.pp.normalize_total.",
    "transformed_counts_per": "Provide the counts from before sc.pp.normalize_total and sc.pp.log1p.",
    "counts_transformed": "Provide the counts from before they were transformed.",
    "total_per": "Provide the reads or UMIs that were counted, from before they were divided by the length of genes.",
    "transformed_total_per": "Provide the reads or UMIs that were counted, from before they were normalised.",
    "scaled": "Provide the counts from before sc.pp.normalize_total, sc.pp.log1p and sc.pp.scale.",
    "residuals": "Provide the counts that the model was fitted to.",
    "min_max": "Provide the counts from before they were normalised and scaled.",
    "binary": "Provide the counts from before they were made binary.",
    "rounded": "Provide the counts from before they were normalised; rounding does not bring counts back.",
    "rounded_log": "Provide the counts from before they were transformed; rounding does not bring counts back.",
    "depth_corrected": "Provide the counts from before the correction (in Seurat, the assay RNA and not SCT).",
    "corrected": "Provide the counts from before the correction, or have it round to whole counts (SoupX: "
    "roundToInt=TRUE), or round them: adata.X.data = adata.X.data.round().",
    "imputed": "Provide the counts from before the smoothing.",
    "mixed": "Treat all cells alike: provide the raw counts of these cells too, or leave these cells out.",
}


@dataclass(frozen=True, slots=True)
class Looks:
    """`state` of the refused values, in words (`text`), and what fixes it (`remedy`)."""

    state: ExpressionState
    text: str
    remedy: str


def look_at(
    source: CellSource,
    sample: sp.csr_matrix,
    *,
    offenders: np.ndarray | None = None,
    n_wrong: int = 0,
    to_train: bool = False,
) -> Looks:
    """`sample`: CSR, cells drawn from all of `source`. `offenders`: ids of a few of the `n_wrong` cells whose values
    are no counts, which a sample may miss. `to_train`: a training reads the cells, and cannot
    recover counts itself.
    """
    drawn = sample
    if offenders is not None and len(offenders):
        rows = np.flatnonzero(np.isin(source.cell_ids, offenders))
        sample = sp.vstack([sample, source.take(rows)], format="csr")
    state = detect_state(sample)
    if state.name == "mixed" and state.part is not None:
        text = f"{n_wrong} of {source.n_obs} cells look like {state.part.text}, the others like whole counts"
        state = replace(state, text=text)
    elif state.transform == "ln" and state.name != "counts_transformed":
        other = state.per is not None and abs(state.per / COUNTS_PER - 1) > NEARLY
        if not proves_log1p(sample):
            why = "" if other else misfit(drawn) or misfit(sample)
            state = replace(state, text=f"{state.text}{why}; only ln(1 + counts per 10,000) is used as it is")
    return Looks(
        state,
        state.text if state.name == "mixed" else f"this looks like {state.text}",
        remedy(source, state, to_train=to_train),
    )


def remedy(source: CellSource, state: ExpressionState, *, to_train: bool = False) -> str:
    """What fixes values of this state: another matrix of the input, the way back, or an earlier matrix."""
    others = other_states(source)
    for other, found in others:
        if found.name == "counts":
            return f"Raw counts are in {other.where}: {opened_by(other)}."
    if state.recoverable:
        return RECOVER_FILE.format(code=recovering_code(source.counts_from)) if to_train else RECOVER
    rows = sample_cells(source.n_obs, source.n_vars)
    for other, found in others:
        if found.transform == "ln" and found.per == COUNTS_PER and proves_log1p(other.take(rows)):
            return f"{other.where} holds {found.text}, which is used as it is: {opened_by(other)}."
        if found.recoverable and to_train:
            return f"{other.where} holds {found.text}. {RECOVER_FILE.format(code=recovering_code(other.where))}"
        if found.recoverable:
            how = f"{opened_by(other)}, with --recover-counts (recover_counts=True)"
            return f"{other.where} holds {found.text}, from which counts can be recovered exactly: {how}."
    return BEFORE.get(state.name, HAND_IN)


def recovering_code(where: str) -> str:
    """Lines of Python that put the counts behind a matrix of `adata`, such as `layers['log']`, into `X` of a file."""
    taken = "adata = adata.raw.to_adata(); " if where == "raw.X" else ""
    matrix = "adata.X" if where == "raw.X" else f"adata.{where}"
    return (
        "from cellmark.schemas.cells.recover_counts import recover_counts; "
        f"{taken}adata.X = recover_counts({matrix}).counts; adata.write_h5ad('counts.h5ad')"
    )


def opened_by(other: OtherMatrix) -> str:
    if other.layer is None:
        return "omit --layer (layer in Python)"
    return f"--layer {other.layer} (layer={other.layer!r} in Python)"


def other_states(source: CellSource) -> list[tuple[OtherMatrix, ExpressionState]]:
    """The input's other matrices and what each holds, by a sample of its cells; likely places of counts first."""
    rows = sample_cells(source.n_obs, source.n_vars)
    found = []
    for other in sorted(source.others, key=lambda matrix: matrix.layer not in USUAL_NAMES):
        try:
            state = detect_state(other.take(rows))
        except (CellmarkError, ValueError, TypeError, IndexError):
            # It is only a proposal: a matrix that cannot be read is none.
            continue
        found.append((other, state))
        if state.name == "counts":
            break
    return found
