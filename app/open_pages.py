"""An open page ends with its sign-in: its websocket is looked at again while nobody sends anything, too."""

import asyncio
import time
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it comes without types
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from datasets.db import Database
from labeling import accounts

REVOKED = 4401
"""Code with which a websocket is closed whose sign-in has ended."""
SILENT_SECONDS = 5.0
"""An open page whose account was disabled is cut off after this time at the latest."""
_RECHECK_SECONDS = 1.0


class OpenPage:
    """One websocket and the sign-in behind it.

    A page that renews itself (the list of jobs every two seconds) does not count as somebody being there:
    else a screen that was left alone would never lock.

    Args:
        database: Where sign-ins are kept.
        token: The browser's.
        receive: Of the websocket.
        send: Of the websocket.
    """

    def __init__(self, database: Database, token: str, receive: Receive, send: Send) -> None:
        self._database, self._token, self._receive, self._send = database, token, receive, send
        self._checked_at = self._acted_at = time.monotonic()
        self._next: asyncio.Future[Message] | None = None

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application talk to the browser until the sign-in has ended."""
        try:
            await app(scope, self._checked_receive, self._send)
        finally:
            if self._next is not None:
                self._next.cancel()

    async def _checked_receive(self) -> Message:
        while True:
            self._next = self._next or asyncio.ensure_future(self._receive())
            await asyncio.wait({self._next}, timeout=SILENT_SECONDS)
            message = self._next.result() if self._next.done() else None
            if message is not None:
                self._next = None
            if not await self._is_valid(message):
                await self._send({"type": "websocket.close", "code": REVOKED})
                return {"type": "websocket.disconnect", "code": REVOKED}
            if message is not None:
                return message

    async def _is_valid(self, message: Message | None) -> bool:
        now = time.monotonic()
        is_action = message is not None and message["type"] == "websocket.receive" and not _is_renewal(message)
        if now - (self._acted_at if is_action else self._checked_at) < _RECHECK_SECONDS:
            return True
        self._checked_at = now
        if is_action:
            self._acted_at = now
        return await run_in_threadpool(self._check, is_action) is not None

    def _check(self, is_action: bool) -> Any:
        return accounts.check_sign_in(self._database, self._token, is_action=is_action)


def _is_renewal(message: Message) -> bool:
    """Return whether a page has sent this by its own clock."""
    try:
        return BackMsg.FromString(message.get("bytes") or b"").rerun_script.is_auto_rerun
    except DecodeError:
        return False
