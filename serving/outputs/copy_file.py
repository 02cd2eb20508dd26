"""Copying a large file inside the kernel where it can."""

import os
import shutil
from pathlib import Path

STEP = 1 << 30


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes of `source` over `target`. On Linux without a detour through memory, several times as fast."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, target)
        return
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), STEP):
                pass
        except OSError:
            # Some file systems refuse it (EXDEV, ENOSYS, EINVAL); a plain copy then says what is really wrong.
            shutil.copyfile(source, target)
