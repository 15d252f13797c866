"""The interactive documentation, with no file from elsewhere: Swagger UI as `fastapi-offline` ships it."""

from importlib.resources import as_file, files

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from serve_app.security_headers import DOCS

ASSETS = f"{DOCS}/assets"

# No script in the page itself, so that the content policy can forbid all of them.
_START = """\
window.onload = () => SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
_PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plumbline</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{ASSETS.removeprefix("/")}/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="{ASSETS.removeprefix("/")}/swagger-ui-bundle.js"></script>
<script src="{DOCS.removeprefix("/")}/start.js"></script>
</body>
</html>
"""


def add_docs(app: FastAPI) -> None:
    """The page, its script and its assets; addresses are relative, so any path prefix may stand in front."""

    @app.get(DOCS, include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(_PAGE)

    @app.get(f"{DOCS}/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    with as_file(files("fastapi_offline") / "static") as folder:
        app.mount(ASSETS, StaticFiles(directory=folder), name="docs-assets")
