"""A provider of OpenID Connect on loopback, for tests: real redirects, real signatures, faults on request."""

import threading
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from tests.waiting import free_port

CLIENT, SECRET = "cytojepa-test", "a secret made for this test alone"


class Provider:
    """Signs in whoever comes as `person`; `faults` change what it puts into the ID token."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        port = free_port()
        self.issuer = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
        self.person = {"sub": "4711", "preferred_username": "h.weber", "groups": ["cyto-doctors"]}
        self.faults: dict[str, object] = {}
        self.key = self.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
        self._flows: dict[str, dict[str, str]] = {}
        routes = [Route("/.well-known/openid-configuration", self._describe), Route("/authorize", self._authorize),
                  Route("/token", self._token, methods=["POST"]), Route("/keys", self._keys)]  # fmt: skip
        cert, key = certificate or (None, None)
        config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="critical",
                                ssl_certfile=cert, ssl_keyfile=key)  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "Provider":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def _describe(self, _request: Request) -> JSONResponse:
        paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return JSONResponse({"issuer": self.issuer, **{name: self.issuer + path for name, path in paths.items()}})

    async def _authorize(self, request: Request) -> RedirectResponse:
        query = dict(request.query_params)
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self._flows)}"
        self._flows[code] = query
        back = urlencode({"code": code, "state": query["state"]})
        return RedirectResponse(f"{query['redirect_uri']}?{back}", 303)

    async def _token(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        flow = self._flows.pop(form["code"], None)  # a code serves once
        proof = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if flow is None or proof != flow["code_challenge"] or not request.headers["authorization"].startswith("Basic "):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": flow["nonce"]}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims | self.person | self.faults, self.signing_key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})

    async def _keys(self, _request: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})


def settings_text(issuer: str, server: str, *, new_accounts: str = "enabled") -> str:
    return (
        f'[study]\n[sign_on]\nissuer = "{issuer}"\nclient_id = "{CLIENT}"\nredirect = "{server}/sign-on/back"\n'
        f'new_accounts = "{new_accounts}"\n[sign_on.roles]\n"cyto-doctors" = "annotator"\n'
        '"cyto-heads" = "adjudicator"\n'
    )
