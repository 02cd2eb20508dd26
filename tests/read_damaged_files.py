"""Reads damaged copies of a file one after another and prints what came of each; run as a program, so it can be killed.

Arguments: the whole file, a place for the damaged copy, the first and the last number of the damage. Each line printed
is `number outcome`, the outcome being `valid`, the code of an error of ours, or the type of any other exception.
"""

import resource
import sys
import warnings
from pathlib import Path

import numpy as np

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.errors import CellmarkError

N_TRUNCATIONS = 40
MEMORY = 6 * 1024**3


def damaged(content: bytes, number: int) -> bytes:
    """The first 40 numbers cut the file short at as many lengths; any other flips one bit, drawn by the number."""
    if number < N_TRUNCATIONS:
        return content[: len(content) * number // N_TRUNCATIONS]
    place = int(np.random.default_rng(number).integers(len(content) * 8))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def outcome(path: Path) -> str:
    try:
        with open_cells(path) as cells:
            n_rows = 0
            for chunk in cells.chunks(16):
                chunk.X.check_format(full_check=True)
                if chunk.start != n_rows or chunk.X.shape[1] != cells.n_vars:
                    return "a chunk that does not fit"
                n_rows += chunk.X.shape[0]
            fits = n_rows == cells.n_obs == len(cells.cell_ids) and len(cells.var) == cells.n_vars
            return "valid" if fits else "sizes that do not fit"
    except CellmarkError as error:
        return error.code
    except BaseException as error:
        # The test looks for exactly these.
        return f"{type(error).__name__}: {error}"


def main() -> None:
    whole, copy, first, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    # A damaged size may ask for more memory than there is: let it fail instead.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    content = whole.read_bytes()
    for number in range(first, last):
        copy.write_bytes(damaged(content, number))
        print(number, " ".join(outcome(copy).split()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
