"""The pages of the service: at `/` BentoML's copy of Swagger UI on our document, and the report that a bundle carries.

BentoML's own page loads a tracker.
"""

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError
from cellmark.schemas.manifest.bundle_files import REPORT

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cellmark</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static_content/swagger-ui.css">
<style>body { margin: 0; font-family: sans-serif } header { padding: 1rem 2rem }</style>
</head>
<body>
<header>
<strong>cellmark</strong>: <a href="report">the report</a>, <a href="model">the model</a>,
<a href="markers?format=csv">its markers</a>,
<a href="openapi.json">OpenAPI document</a>, <a href="readyz">ready?</a>, <a href="metrics">metrics</a>
</header>
<div id="swagger-ui"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script src="static_content/swagger-ui-standalone-preset.js"></script>
<script src="static_content/swagger-initializer.js"></script>
</body>
</html>
"""


def landing_page() -> str:
    """HTML that needs nothing but this server."""
    return PAGE


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
