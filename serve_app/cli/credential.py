"""The credential with which commands ask a server."""

import os

from serve_app.settings.loading import CREDENTIAL_VARIABLE


def credential_headers() -> dict[str, str]:
    """The Authorization header with the API key or token of PLUMBLINE_API_KEY; empty if there is none."""
    credential = os.environ.get(CREDENTIAL_VARIABLE, "").strip()
    return {"authorization": f"Bearer {credential}"} if credential else {}
