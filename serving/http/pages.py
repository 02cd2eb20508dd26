"""The report that a bundle carries, and with what it is sent."""

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError
from cellmark.schemas.manifest.bundle_files import REPORT

REPORT_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-modals; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}
"""A bundle may come from anywhere: its page may draw, and reach neither this service nor anything else."""


def read_report(bundle: Bundle) -> bytes:
    """The bytes of `report.html`. Raises `ModelError` (`REPORT_MISSING`) when the bundle has none."""
    if REPORT not in bundle.manifest.files:
        raise ModelError.of(
            "REPORT_MISSING",
            where="model",
            expected=f"a bundle with {REPORT}",
            found="one without it, as earlier versions made",
            remedy="Write it from the bundle: cellmark report --model MODEL -o report.html.",
        )
    return bundle.path(REPORT).read_bytes()
