"""Names of the columns that cellmark writes, the same in `.h5ad`, tables, answers and Python."""

CELL_ID = "cell_id"
CELL_TYPE = "cellmark_cell_type"
BEST_CELL_TYPE = "cellmark_best_cell_type"
CONFIDENCE = "cellmark_confidence"
SECOND_CELL_TYPE = "cellmark_second_cell_type"
MARGIN = "cellmark_margin"
CALL_COLUMNS = (CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE, SECOND_CELL_TYPE, MARGIN)
RESERVED_COLUMNS = ("cellmark_novelty", "cellmark_label_set", "cellmark_coarse_cell_type")
"""Later versions write these; nothing else may use the names."""

UNASSIGNED = "unassigned"
UNS_KEY = "cellmark"

EXPLANATION_COLUMNS = (
    "cell_id",
    "cell_type",
    "target",
    "against",
    "rank",
    "gene",
    "attribution",
    "counts",
    "log1p_norm",
    "baseline",
    "direction",
    "convergence_delta",
)
