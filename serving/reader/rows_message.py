"""`StoredRows` as a message of a reader: packed, and checked when it comes, since the reader may be damaged."""

import numpy as np

from cellmark.schemas.cells.stored_rows import N_EXAMPLES, StoredRows

from .reader_messages import LONGEST_TEXT, BrokenMessageError, Message, is_count


def pack_rows(rows: StoredRows) -> Message:
    facts = {
        "n_cells": rows.n_cells,
        "n_values": rows.n_values,
        "n_duplicate_ids": rows.n_duplicate_ids,
        "duplicate_ids": [cell_id[:LONGEST_TEXT] for cell_id in rows.duplicate_ids],
    }
    return Message(facts, (np.array(rows.cuts, dtype=np.int64),))


def unpack_rows(message: Message) -> StoredRows:
    """Raises `BrokenMessageError` unless the pieces cover all cells once and the numbers can be true."""
    facts = message.facts
    n_cells, n_values, n_duplicates = (facts.get(name) for name in ("n_cells", "n_values", "n_duplicate_ids"))
    examples = facts.get("duplicate_ids")
    if not is_count(n_cells) or not (n_values is None or is_count(n_values)) or not is_count(n_duplicates):
        raise BrokenMessageError("invalid numbers of rows")
    if not isinstance(examples, list) or not all(isinstance(text, str) for text in examples):
        raise BrokenMessageError("ids that are no text")
    if len(examples) > min(N_EXAMPLES, n_duplicates) or any(len(text) > LONGEST_TEXT for text in examples):
        raise BrokenMessageError("more ids than are asked for")
    if n_duplicates * 2 > n_cells:
        raise BrokenMessageError("more ids that come twice than there are cells for")
    if len(message.arrays) != 1 or message.arrays[0].dtype != np.int64:
        raise BrokenMessageError("rows without their pieces")
    (cuts,) = message.arrays
    if not len(cuts) or cuts[0] != 0 or cuts[-1] != n_cells or (np.diff(cuts) <= 0).any():
        raise BrokenMessageError("pieces that do not cover the rows")
    return StoredRows(n_cells, n_values, tuple(cuts.tolist()), n_duplicates, tuple(examples))
