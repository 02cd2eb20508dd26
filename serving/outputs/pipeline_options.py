"""What a workflow engine may ask for beside the calls."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """`columns_prefix`: in place of `cellmark` in names of columns, see `column_name`. `annotation_columns`: a .csv
    that lists them as nf-core/scdownstream does. `versions`: a versions.yml as nf-core's modules write it, whose key
    is `versions_key`.
    """

    columns_prefix: str | None = None
    annotation_columns: Path | None = None
    versions: Path | None = None
    versions_key: str = "cellmark annotate"

    @property
    def any(self) -> bool:
        return (self.columns_prefix, self.annotation_columns, self.versions) != (None, None, None)


NO_PIPELINE = PipelineOptions()
