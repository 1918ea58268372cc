"""The two routes of the hospital's sign-on (OpenID Connect Core 1.0): to the provider, and back."""

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.login_page import login_page, page_of
from app.sign_in_routes import BUSY, is_full, is_https, signed_in_response
from app.sign_on import FLOW_SECONDS, SignOn, SignOnRefused
from app.words import words_of_browser
from datasets.db import Database
from datasets.told import sentence_of
from labeling import identities
from labeling.errors import AccountError

COOKIE = "cytojepa_sign_on"
_PATH = "/sign-on"
_AT_ONCE = 4
"""Each waits for the provider, and anybody may ask: they must not take the threads that store labels."""


def sign_on_routes(database: Database, sign_on: SignOn | None) -> list[Route]:
    """Return `/sign-on` and `/sign-on/back`; a study without a sign-on answers that there is none.

    Args:
        database: Where accounts are kept.
        sign_on: The provider, None where there is none.
    """
    line = CapacityLimiter(_AT_ONCE)

    async def go(request: Request) -> Response:
        if sign_on is None:
            return _none(request)
        page = page_of(request.query_params.get("next", ""))
        if is_full(line):
            return _problem(request, BUSY, 503, page)
        try:
            url, cookie = await to_thread.run_sync(sign_on.begin, page, limiter=line)
        except SignOnRefused as error:
            return _problem(request, sentence_of(error), 502, page)
        response = RedirectResponse(url, 303)
        response.set_cookie(COOKIE, cookie, max_age=FLOW_SECONDS, path=_PATH, httponly=True, samesite="lax",
                            secure=is_https(request))  # fmt: skip
        return response

    async def back(request: Request) -> Response:
        if sign_on is None:
            return _none(request)
        if is_full(line):
            return _problem(request, BUSY, 503)
        try:
            name, page = await to_thread.run_sync(_arrived, database, sign_on, request, limiter=line)
        except (SignOnRefused, AccountError) as error:
            response = _problem(request, sentence_of(error), 403)
        else:
            response = await signed_in_response(request, database, name, page)
        response.delete_cookie(COOKIE, path=_PATH)
        return response

    return [Route(_PATH, go), Route(f"{_PATH}/back", back)]


def _arrived(database: Database, sign_on: SignOn, request: Request) -> tuple[str, str]:
    """Return the account, and where the person was going."""
    arrival = sign_on.finish(request.cookies.get(COOKIE, ""), request.query_params)
    name = identities.arrive(
        database, issuer=arrival.issuer, subject=arrival.subject, name=arrival.name, role=arrival.role,
        new_accounts=sign_on.settings.new_accounts,
    )  # fmt: skip
    return name, arrival.page


def _none(request: Request) -> Response:
    tr = words_of_browser(request.headers)
    return HTMLResponse(login_page(tr("This server has no other sign-on."), tr=tr), 404)


def _problem(request: Request, sentence: str, status: int, page: str = "") -> Response:
    tr = words_of_browser(request.headers)
    return HTMLResponse(login_page(tr.of(sentence), next_page=page, has_sign_on=True, tr=tr), status)
