"""A finished model outlives a registration that failed: its bundle stays on this machine, and the error names it."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from cellmark.schemas.errors import CellmarkError, Finding, RegistryError

from .run_record import record_folder


@contextmanager
def keeping(bundle: Path, record: Path, *, name: str, given: bool) -> Iterator[None]:
    """Keep a bundle, and beside it the record of its run, when the block does not end well.

    `given`: whether the bundle lies where the user wants it; it goes to `NAME-bundle` in the working folder otherwise,
    or to the folder of temporary files where that cannot be written. Raises `RegistryError` (`MODEL_NOT_REGISTERED`,
    then what went wrong) for an error of ours; others pass through, with a note where the bundle is.
    """
    try:
        yield
    except BaseException as error:
        kept = bundle if given else _move_bundle(bundle, name)
        if record.is_dir() and not record_folder(kept).exists():
            shutil.move(record, record_folder(kept))
        finding = Finding(
            code="MODEL_NOT_REGISTERED",
            where=str(kept),
            expected=f"a version of {name} in MLflow",
            found="a trained model that is not registered; its bundle is kept here",
            remedy=f"Register it with: cellmark bundle register {shlex.quote(str(kept))} --name {shlex.quote(name)}",
        )
        if isinstance(error, CellmarkError):
            raise RegistryError(finding, *error.findings) from error
        error.add_note(str(finding))
        raise


def _move_bundle(bundle: Path, name: str) -> Path:
    for number in count(1):
        target = Path.cwd() / (f"{name}-bundle" if number == 1 else f"{name}-bundle-{number}")
        if target.exists() or record_folder(target).exists():
            continue
        try:
            shutil.move(bundle, target)
        except OSError:
            if not bundle.is_dir():
                raise
            shutil.rmtree(target, ignore_errors=True)
            target = Path(tempfile.mkdtemp(prefix="cellmark-kept-")) / f"{name}-bundle"
            shutil.move(bundle, target)
        return target
    raise AssertionError("not reached")
