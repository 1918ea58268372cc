"""Sign-in with the hospital's own accounts: OpenID Connect, code flow with PKCE, through Authlib.

Not Streamlit's `st.login`: that draws its button inside a page, so strangers would need an open websocket,
and its cookie can neither be locked when idle nor ended by an admin. Here the provider only says who
somebody is; what follows is a sign-in like any other, with the same cookie, lock, end and revocation.
"""

import hashlib
import hmac
import logging
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.settings import SETTINGS_FILE
from datasets.errors import SettingsError
from datasets.told import told
from labeling.accounts import ROLES
from labeling.errors import LabelingError

LOG = logging.getLogger(__name__)
NewAccounts = Literal["refused", "disabled", "enabled"]
FLOW_SECONDS = 600
"""How long somebody may take at the provider's page."""
_TIMEOUT_SECONDS = 10
_LEEWAY_SECONDS = 30
_SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Never "none", and never a secret that both sides know."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SignOnRefused(LabelingError):
    """The provider's answer opens nothing; the text is for the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOnSettings:
    """The table `[sign_on]` of the settings.

    Raises:
        SettingsError: A value that makes no sense.
    """

    issuer: str
    """Address of the provider, exactly as it names itself."""
    client_id: str
    redirect: str
    """This server's address as browsers see it, ending in `/sign-on/back`."""
    secret_file: str = "sign-on.secret"  # noqa: S105  (the name of a file)
    """File in the study's folder with the client's secret, mode 0600."""
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: Mapping[str, str] = field(default_factory=dict)
    """Value of the claim -> role; the first one that a person has counts."""
    new_accounts: NewAccounts = "disabled"
    """refused: an admin makes and links accounts; disabled: made, and an admin enables; enabled: made, may work."""

    def __post_init__(self) -> None:
        for name in ("issuer", "redirect"):
            parts = urlsplit(getattr(self, name))
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
                raise SettingsError(f"sign_on.{name} = {getattr(self, name)!r}: use an https address.")
        if not self.redirect.endswith("/sign-on/back"):
            raise SettingsError(f"sign_on.redirect = {self.redirect!r}: it must end in /sign-on/back.")
        unknown = sorted(set(self.roles.values()) - set(ROLES))
        if unknown or not self.roles:
            raise SettingsError(f"sign_on.roles: {unknown or 'empty'}; map groups to {', '.join(ROLES)}.")
        if self.new_accounts not in get_args(NewAccounts):
            raise SettingsError(f"sign_on.new_accounts: use one of {', '.join(get_args(NewAccounts))}.")

    @classmethod
    def load(cls, home: Path) -> "SignOnSettings | None":
        """Read the table, None where the study has none.

        Raises:
            SettingsError: An unknown key, one that is missing, or a value that makes no sense.
        """
        path = home / SETTINGS_FILE
        table = tomllib.loads(path.read_text()).get("sign_on") if path.exists() else None
        if table is None:
            return None
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(table) - known):
            raise SettingsError(f"sign_on: unknown setting {unknown[0]}; known are {', '.join(sorted(known))}.")
        try:
            return cls(**table)
        except TypeError as error:
            raise SettingsError(f"sign_on: issuer, client_id, redirect and roles are needed ({error}).") from error

    def secret(self, home: Path) -> str:
        """Read the client's secret.

        Raises:
            SettingsError: There is none, or others can read it.
        """
        path = home / self.secret_file
        if not path.is_file():
            raise SettingsError(f"sign_on: no client secret. Write it into {path}, mode 0600.")
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"sign_on: {path.name} can be read by others. chmod 600 {path.name}")
        return path.read_text().strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    """The provider's own, lasting name; names that people read are given away again."""
    name: str
    role: str
    page: str
    """Where the person was going."""


class SignOn:
    """Talks to the provider. All methods wait for the network: never call them on the event loop.

    Args:
        settings: The table `[sign_on]`.
        secret: The client's secret.
        key: The study's secret key; signs what the browser carries to the provider and back.
    """

    def __init__(self, settings: SignOnSettings, secret: str, key: bytes) -> None:
        self.settings, self._secret = settings, secret
        self._signer = URLSafeTimedSerializer(hmac.new(key, b"sign-on", hashlib.sha256).digest())

    def begin(self, page: str = "/") -> tuple[str, str]:
        """Return the provider's address to go to, and the cookie that brings the browser back.

        Args:
            page: Of this site, where the person is going; signed with the rest.

        Raises:
            SignOnRefused: The provider cannot be reached.
        """
        flow = {name: secrets.token_urlsafe(48) for name in ("state", "nonce", "verifier")}
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._provider()["authorization_endpoint"], state=flow["state"], nonce=flow["nonce"],
                code_verifier=flow["verifier"],
            )  # fmt: skip
        return url, str(self._signer.dumps({**flow, "page": page}))

    def finish(self, cookie: str, query: Mapping[str, str]) -> Arrival:
        """Return whom the provider vouches for.

        Args:
            cookie: What `begin` gave to this browser.
            query: Of the address to which the provider has sent it.

        Raises:
            SignOnRefused: Anything that does not fit; the log says what.
        """  # noqa: DOC501  (both functions make a SignOnRefused)
        try:
            flow = self._signer.loads(cookie, max_age=FLOW_SECONDS)
            if not hmac.compare_digest(query.get("state", ""), flow["state"]):
                raise _refused("the state is another one")
            if "code" not in query:
                raise _refused(f"the provider answers {query.get('error', 'nothing')[:40]!r}")
            provider = self._provider()
            with self._client() as client:
                token = client.fetch_token(provider["token_endpoint"], code=query["code"],
                                           code_verifier=flow["verifier"], timeout=_TIMEOUT_SECONDS)  # fmt: skip
            claims = self._claims(token["id_token"], provider, flow["nonce"])
        except (BadSignature, JoseError, OAuthError, KeyError, TypeError, ValueError) as error:
            raise _refused(f"{type(error).__name__}: {getattr(error, 'error', '')}") from error
        except requests.RequestException as error:
            raise _unreachable(error) from error
        return self._arrival(claims, flow.get("page", "/"))

    def _client(self) -> Any:
        return OAuth2Session(
            self.settings.client_id, self._secret, redirect_uri=self.settings.redirect,
            scope="openid profile", code_challenge_method="S256",
        )  # fmt: skip

    def _provider(self) -> dict[str, str]:
        issuer = self.settings.issuer
        found = _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise _refused("the provider names itself differently")
        return found

    def _claims(self, id_token: str, provider: Mapping[str, str], nonce: str) -> Mapping[str, Any]:
        decoded = jwt.decode(id_token, KeySet.import_key_set(_get(provider["jwks_uri"])), algorithms=_SIGNATURES)  # type: ignore[arg-type]
        client_id = self.settings.client_id
        options = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": client_id},
            **{name: {"essential": True} for name in ("sub", "exp", "iat", "nonce")},
        }
        claims = CodeIDToken(decoded.claims, decoded.header, options, {"nonce": nonce, "client_id": client_id})
        claims.validate(leeway=_LEEWAY_SECONDS)
        return claims

    def _arrival(self, claims: Mapping[str, Any], page: str) -> Arrival:
        found = claims.get(self.settings.roles_claim, ())
        groups = {found} if isinstance(found, str) else set(found)
        role = next((role for group, role in self.settings.roles.items() if group in groups), None)
        name = claims.get(self.settings.name_claim)
        if role is None:
            raise SignOnRefused(told("Your hospital account has no role in this study. Ask who runs it."))
        if not isinstance(name, str):
            raise _refused(f"no claim {self.settings.name_claim}")
        return Arrival(issuer=self.settings.issuer, subject=str(claims["sub"]), name=name, role=role, page=page)


def open_sign_on(home: Path, key: bytes) -> SignOn | None:
    """Return the study's sign-on, None where it has none.

    Raises:
        SettingsError: It is set up wrongly.
    """
    settings = SignOnSettings.load(home)
    return SignOn(settings, settings.secret(home), key) if settings else None


def _get(url: str) -> dict[str, Any]:
    try:
        answer = requests.get(url, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        answer.raise_for_status()
        found = answer.json()
    except requests.RequestException as error:
        raise _unreachable(error) from error
    if not isinstance(found, dict):
        raise _refused("the provider's answer is no object")
    return found


def _refused(reason: str) -> SignOnRefused:
    LOG.warning("sign-on refused: %s", reason)
    return SignOnRefused(told("The hospital's sign-on did not work. Try again, or ask who runs this server."))


def _unreachable(error: requests.RequestException) -> SignOnRefused:
    LOG.warning("sign-on: the provider cannot be reached (%s)", type(error).__name__)
    return SignOnRefused(told("The hospital's sign-on cannot be reached. Try again later."))
