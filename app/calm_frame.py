"""Streamlit's own frame, kept from covering the page.

Where its connection breaks it opens a window over the cell, in English and with the server's raw answer, under which
nothing can be clicked. The pages tell themselves what waits, and lead to the door when the sign-in has ended.
"""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/_stcore/host-config"
_CONFIG = {
    "allowedOrigins": [], "useExternalAuthToken": False, "enableCustomParentMessages": False,
    "enforceDownloadInNewTab": False, "metricsUrl": "", "blockErrorDialogs": True, "resourceCrossOriginMode": None,
}  # fmt: skip
"""As Streamlit 1.67 answers, but that it opens no windows and listens to no page around it."""


class CalmFrame:
    """Answers for Streamlit what its frame asks about its surroundings; its own routes of this name are reserved.

    Args:
        app: What lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the one path; pass on all others."""
        is_asked = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET"
        app = JSONResponse(_CONFIG, headers={"Cache-Control": "no-cache"}) if is_asked else self._app
        await app(scope, receive, send)
