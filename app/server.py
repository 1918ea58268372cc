"""The ASGI application: Streamlit's pages and our own routes behind one sign-in."""

import gc
import hashlib
import hmac
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from streamlit import config

from app.api import api_routes
from app.jobs import start_refit_watcher
from app.page_frame import PageFrame
from app.pictures import Pictures
from app.services import Services
from app.settings import announce_home
from app.sign_in import SignInGate
from app.sign_in_routes import sign_in_routes
from app.sign_on import open_sign_on
from app.sign_on_routes import sign_on_routes
from app.theme import STREAMLIT_THEME
from labeling.accounts import FailureBrake

# Streamlit collects garbage after every script run; what these two bring would be walked each time.
_PRELOADED = (pd, pa)

_OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "client.showSidebarNavigation": True,
    "server.enableAgentApi": False,  # programs have the public interface, whose tokens and limits are ours
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 1,
    "global.developmentMode": False,
    "runner.magicEnabled": False,  # else the docstring of a page's constant is drawn on the page
    **STREAMLIT_THEME,
}


def build_app(home: Path) -> Any:
    """Build the application of a workspace: pages, routes, and the gate before all of them.

    Args:
        home: The workspace; made when missing.
    """
    announce_home(home)
    services = Services.open(home)
    pictures = Pictures(services)
    sign_on = open_sign_on(home, services.secret_key)
    # The same for all processes of a study: a browser that another one takes over keeps its cookies.
    cookies = hmac.new(services.secret_key, b"cytojepa page cookies", hashlib.sha256).hexdigest()
    config.set_option("server.cookieSecret", cookies)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        watcher = start_refit_watcher(home)
        threading.Thread(target=pictures.warm, name="warm-decoders", daemon=True).start()
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            watcher.stop()
            pictures.close()
            services.database.close()

    return st.App(
        Path(__file__).with_name("main.py"),
        routes=[
            *sign_in_routes(services.database, FailureBrake(services.database), has_sign_on=sign_on is not None),
            *sign_on_routes(services.database, sign_on),
            *api_routes(services, pictures),
        ],
        middleware=[
            Middleware(SignInGate, database=services.database, has_sign_on=sign_on is not None),
            Middleware(PageFrame, database=services.database),
        ],
        lifespan=lifespan,
    )


def run(home: Path, *, host: str, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        home: The workspace.
        host: Address to listen on.
        port: Port to listen on.
    """
    for name, value in {**_OPTIONS, "server.address": host, "server.port": port,
                        "browser.serverAddress": host}.items():  # fmt: skip
        config.set_option(name, value)
    uvicorn.run(build_app(home), host=host, port=port, log_level="warning", server_header=False,
                timeout_graceful_shutdown=3, ws_max_size=16 << 20)  # fmt: skip
