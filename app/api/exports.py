"""The route by which an export is fetched."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.api.web import allowed, guarded
from app.exports import export_path
from app.services import Services


def export_routes(services: Services) -> list[Route]:
    """Return the route of the exports."""

    async def fetch(request: Request) -> Response:
        allowed(request, "export")
        path = await run_in_threadpool(export_path, services.home, request.path_params["name"])
        if path is None:
            return JSONResponse({"error": "There is no such export any more."}, 404)
        return FileResponse(path, filename=path.name, headers={"Cache-Control": "no-store"})

    return [Route("/api/exports/{name}", guarded(fetch))]
