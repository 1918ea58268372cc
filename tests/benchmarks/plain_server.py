"""Serves the page of plain widgets with the product's options, gate and database: HOME PORT."""

import gc
import sys
from pathlib import Path

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from streamlit import config

from app import server
from app.services import Services
from app.settings import announce_home
from app.sign_in import SignInGate
from app.sign_in_routes import sign_in_routes
from labeling.accounts import FailureBrake

home, port = Path(sys.argv[1]), int(sys.argv[2])
announce_home(home)
services = Services.open(home)
for name, value in {**server._OPTIONS, "server.port": port, "server.address": "127.0.0.1"}.items():
    config.set_option(name, value)
gc.collect()
gc.freeze()
app = st.App(
    Path(__file__).with_name("plain_page.py"),
    routes=sign_in_routes(services.database, FailureBrake(services.database)),
    middleware=[Middleware(SignInGate, database=services.database)],
)
uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
