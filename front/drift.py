"""How cells differ from those that a model was tested on: a drift report for notebooks."""

import json
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cellmark.schemas.drift.drift_report import DriftReport, Severity
from cellmark.schemas.drift.drift_words import plain_report, verdict

from .said_in_python import speaks_python

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Drift:
    """What `model.drift` found. `report`: all of it."""

    report: DriftReport

    @property
    def severity(self) -> Severity | None:
        """`ok`, `moved` or `far`; None when nothing could be judged."""
        return self.report.severity

    @property
    def verdict(self) -> str:
        """What differs, in words."""
        return verdict(self.report)

    def measures(self) -> "pd.DataFrame":
        """One row per measure: `observed`, `expected`, `effect`, `severity`, and from which effect on it counts.

        Examples
        --------
        >>> model.drift(adata).measures().loc["composition", "severity"]
        'ok'
        """
        import pandas as pd

        names = ("name", "observed", "expected", "effect", "severity")
        rows = [{name: getattr(one, name) for name in names} for one in self.report.measures]
        limits = [self.report.limits[one.name] for one in self.report.measures]
        table = pd.DataFrame(rows).assign(moved=[one.moved for one in limits], far=[one.far for one in limits])
        return table.set_index("name")

    @speaks_python
    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the report as `.html` or `.json`, and return where. Raises `OutputError`.

        Examples
        --------
        >>> model.drift(adata).save("drift.html").name
        'drift.html'
        """
        from cellmark.schemas.atomic_output import refuse_existing, whole_file
        from cellmark.schemas.report.render import render_drift
        from cellmark.serving.outputs.write_calls import check_format

        out = Path(path)
        check_format(out, (".html", ".json"))
        refuse_existing(out, force=force)
        plain = plain_report(self.report)
        with whole_file(out, force=force) as draft:
            text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            page = render_drift(self.report) if out.suffix == ".html" else text
            draft.write_text(page, encoding="utf-8", newline="\n")
        return out

    def __repr__(self) -> str:
        return f"Drift: {self.verdict}"

    def _repr_html_(self) -> str:
        return f"<strong>Drift</strong>: {escape(self.verdict)}{self.measures().to_html(float_format='{:.3g}'.format)}"
