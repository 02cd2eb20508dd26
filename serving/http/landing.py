"""The page at `/`: BentoML's copy of Swagger UI on our document. Its own page loads a tracker."""

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
