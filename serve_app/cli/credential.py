"""The credential with which commands ask a server."""

import os


def credential_headers() -> dict[str, str]:
    """The Authorization header with the API key or token of PLUMBLINE_API_KEY; empty if there is none."""
    from serve_app.settings.loading import CREDENTIAL_VARIABLE

    credential = os.environ.get(CREDENTIAL_VARIABLE, "").strip()
    return {"authorization": f"Bearer {credential}"} if credential else {}
