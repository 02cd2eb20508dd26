"""What a file really is, by its first bytes, when it is not what its name says: the message then names the mistake."""

import shlex
from pathlib import Path

LOOKED_AT = 512
RENAME = "Give the file the extension of what it is, or copy or download it again."
"""What to do about a file that is not what its name says, where nothing better is known."""
PACKED_BY = {"a file packed by gzip": (".gz", "gunzip"), "a file packed by bzip2": (".bz2", "bunzip2")}
SIGNS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1f\x8b", "a file packed by gzip (unpack it: gunzip)"),
    (b"PK\x03\x04", "a zip archive, as an .npz, a workbook or a packed folder is"),
    (b"BZh", "a file packed by bzip2 (unpack it: bunzip2)"),
    (b"\xfd7zXZ\x00", "a file packed by xz (unpack it: unxz)"),
    (b"\x93NUMPY", "a single array of NumPy (.npy)"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a pointer of git-lfs in the file's place (git lfs pull fetches the file)"),
)
MARKUP = (
    (b"<!doctype html", "a web page: what was downloaded is a message or a login, not the file"),
    (b"<html", "a web page: what was downloaded is a message or a login, not the file"),
    (b"<?xml", "an XML document, as servers send in place of a file that they refuse"),
)


def file_kind(path: Path) -> str:
    """What the file is, in words: `an empty file`, `a web page: ...`, `a text`, or `a file of no known kind`."""
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
    if not start:
        return "an empty file"
    for sign, name in SIGNS:
        if start.startswith(sign):
            return name
    shown = start.lstrip().lower()
    for sign, name in MARKUP:
        if shown.startswith(sign):
            return name
    if b"\0" in start:
        return "a file of no known kind"
    try:
        # The last letter may be cut.
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:
            return "a file of no known kind"
    return "a text"


def right_name(path: Path, kind: str) -> str:
    """What to do about a file that is not what its name says. `kind`: as `file_kind` says."""
    quoted = shlex.quote(str(path))
    if kind == "an empty file":
        return "It has no content: copy or download it again."
    for packed, (extension, unpack) in PACKED_BY.items():
        if kind.startswith(packed):
            named = shlex.quote(f"{path}{extension}")
            return f"Unpack it: mv {quoted} {named} && {unpack} {named}"
    return RENAME


_IN_R = (
    'Rscript -e \'x={read}; if(is(x,"Seurat")) x=Seurat::as.SingleCellExperiment(x); '
    'zellkonverter::writeH5AD(x,"{name}.h5ad","counts")\''
)
CONVERSIONS = {
    ".rds": "Convert it with R: " + _IN_R.replace("{read}", 'readRDS("{path}")'),
    ".rdata": "Convert it with R: " + _IN_R.replace("{read}", 'get(load("{path}")[1])'),
    ".qs": "Convert it with R: " + _IN_R.replace("{read}", 'qs::qread("{path}")'),
    ".h5seurat": "Convert it with R: " + _IN_R.replace("{read}", 'SeuratDisk::LoadH5Seurat("{path}")'),
    ".hdf5": "Rename it: to .h5ad if it is an AnnData, to .h5 if it is a file of 10x.",
    ".tar": "Unpack it and give what is inside: tar -xf '{path}'",
    ".zip": "Unpack it and give what is inside: python -m zipfile -e '{path}' '{name}'",
    ".gz": "Unpack it: gunzip -k '{path}'",
    ".bz2": "Unpack it first: bunzip2 -k '{path}'",
    ".xz": "Unpack it first: unxz -k '{path}'",
    ".parquet": "Write it as a table: python -c \"import pandas; pandas.read_parquet('{path}').to_csv('{name}.csv')\"",
    ".xlsx": "Save its sheet as .csv, and check that no gene became a date (such as MARCH1, SEPT7).",
}
CONVERSIONS |= {".rda": CONVERSIONS[".rdata"], ".robj": CONVERSIONS[".rdata"], ".tgz": CONVERSIONS[".tar"]}
"""What to do with files of other formats, by their extension in small letters."""


def conversion(path: Path) -> str:
    """What makes a file of another format one that is read, a line to paste where there is one."""
    name = path.name.lower()
    packed = ".tar" if name.endswith((".tar.gz", ".tar.bz2", ".tar.xz")) else path.suffix.lower()
    line = CONVERSIONS.get(packed, "Give the file the extension of what it is, or convert it with anndata.")
    return line.replace("{path}", str(path)).replace("{name}", str(path.with_suffix("")))
