"""Labels out as a file, as `cytojepa export` writes it."""

import os
import threading
from contextlib import ExitStack
from datetime import datetime
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator
from starlette.types import Receive, Scope, Send

from app.api.v1.answers import Documented, may
from app.api.v1.shapes import Moment, Problem, Text
from app.api.web import NotFound, TooMany
from app.exports import FOLDER, ending_of, moment_of, tell
from app.services import Services
from labeling.accounts import SignedIn
from labeling.errors import LabelingError
from labeling.export import EVERYTHING, ExportReport, export_labels, scratch_beside
from labeling.export.agreed import AgreementKind
from labeling.export.rows import Kind, Selection

FileFormat = Literal["csv", "parquet", "coco", "geojson", "labelstudio", "dicom-ann", "imagefolder", "webdataset"]
_MEDIA = {
    "csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet", "json": "application/json",
    "geojson": "application/geo+json", "zip": "application/zip",
}  # fmt: skip
"""Media type by the ending of the file."""
_MOST_AT_ONCE = 2
_CHUNK_BYTES = 1 << 16


def _moment(value: Any) -> datetime | None:
    return None if value is None else moment_of(str(value))


Taker = Annotated[SignedIn, Depends(may("export"))]
Names = Annotated[list[Annotated[Text, Query(max_length=64)]], Query(max_length=100)]
Bound = Annotated[datetime | None, BeforeValidator(_moment, json_schema_input_type=Moment | None), Query()]
_ANSWERS: Documented = {
    200: {
        "description": "The file; the same study gives the same bytes.",
        "content": {kind.partition(";")[0]: {} for kind in _MEDIA.values()},
        "headers": {
            "X-Rows": {"description": "Rows in the file.", "schema": {"type": "integer"}},
            "Content-Length": {
                "description": "Bytes of the file: an answer that is cut off is shorter.",
                "schema": {"type": "integer"},
            },
            "X-Content-SHA256": {"description": "Of the file's bytes.", "schema": {"type": "string"}},
        },
    },
    404: {"model": Problem, "description": "This format holds no rows of that kind, or a picture is missing."},
    429: {"model": Problem, "description": f"{_MOST_AT_ONCE} exports are under way."},
}


def add_export(router: APIRouter, services: Services) -> None:
    """Add the route of the export."""
    router.add_api_route("/export/{format_name}", _Export(services).file, tags=["export"], summary="Labels as a file",
                         response_class=StreamingResponse, responses=_ANSWERS)  # fmt: skip


class _Export:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._room = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def file(
        self, person: Taker, format_name: FileFormat, slide: Names = [], annotator: Names = [], category: Names = [],  # noqa: B006
        current: bool = False, rows: Kind | None = None, agreement: AgreementKind | None = None, since: Bound = None,
        until: Bound = None, min_share: Annotated[float | None, Query(ge=0, le=1)] = None,
        min_readers: Annotated[int, Query(ge=1, le=100)] = 1,
    ) -> StreamingResponse:  # fmt: skip
        """Return labels with where they come from, as one file.

        CSV and Parquet hold all labels, also those that were taken back, the reference labels, opinions and verdicts;
        `imagefolder` and `webdataset`, the pictures of cells for training, the reference labels; the others the
        current labels. `dicom-ann`, `imagefolder` and `webdataset` are folders and come as a ZIP. The answer begins
        when the file is whole, which takes minutes for many pictures. `slide`, `annotator` and `category` may be
        given more than once; `current` leaves out what was taken back or replaced; `rows` asks for one kind of rows
        only. `agreement`, `min_share` and `min_readers` choose cells by what the doctors say of
        them; `since` (included) and `until` (not included) the moment of storing. That an account has taken labels
        out, and with which filters, is told in the chain of events.
        """
        selection = Selection(
            slides=tuple(slide), annotators=tuple(annotator), categories=tuple(category), is_current_only=current,
            kinds=EVERYTHING.kinds if rows is None else (rows,), agreement=agreement, since=since, until=until,
            min_share=min_share, min_readers=min_readers,
        )  # fmt: skip
        if not self._room.acquire(blocking=False):
            raise TooMany(f"{_MOST_AT_ONCE} exports are under way; ask again when one of them is done.")
        try:
            stream, report = self._write(format_name, selection)
        except LabelingError as error:
            raise NotFound(str(error)) from error
        finally:
            self._room.release()
        ending = ending_of(format_name)
        headers = {
            "Content-Disposition": f'attachment; filename="labels-{format_name}.{ending}"', "Cache-Control": "no-store",
            "Content-Length": str(os.fstat(stream.fileno()).st_size), "X-Rows": str(report.rows),
            "X-Content-SHA256": report.sha256,
        }  # fmt: skip
        with ExitStack() as unless_sent:
            unless_sent.enter_context(stream)
            tell(self._services.database, format_name, selection, report, by=person.name, via=person.via)
            unless_sent.pop_all()
        return _Sent(stream, media_type=_MEDIA[ending], headers=headers)

    def _write(self, format_name: FileFormat, selection: Selection) -> tuple[IO[bytes], ExportReport]:
        """Write the file and open it; its name is gone before the first byte leaves, so nothing is left behind.

        It lies in the study's folder meanwhile: pictures may be too many for the system's folder of temporary files.
        """
        settings = self._services.settings
        with scratch_beside(self._services.home / FOLDER / "sent") as folder:
            out = folder / f"labels.{ending_of(format_name)}"
            report = export_labels(self._services.database, format_name, out, label_set=settings.label_set,
                                   crop_px=settings.crop_px, selection=selection)  # fmt: skip
            return out.open("rb"), report


class _Sent(StreamingResponse):
    """An open file, closed also where whoever asked has gone before its first byte."""

    def __init__(self, stream: IO[bytes], *, media_type: str, headers: dict[str, str]) -> None:
        chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
        super().__init__(chunks, media_type=media_type, headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stream:
            await super().__call__(scope, receive, send)
