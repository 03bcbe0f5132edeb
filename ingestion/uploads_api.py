"""The API of uploads: a file is given first, then named by its id in a job's params."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from ninja import Router, Schema
from pydantic import Field

from config.http import RowId, StrictQuery, answer, form_of
from config.problems import Problem, invalid
from ingestion import serializers, uploads
from ingestion.api_answers import UploadOut
from ingestion.models import Upload
from ingestion.source import find

READ = ["GET", "HEAD"]
FIELD = "file"
router = Router(tags=["uploads"])

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                    "required": [FIELD],
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class UploadFilter(Schema):
    """What a raw body is called, and what the file is for."""

    name: str | None = Field(None, max_length=1_000, description="The file's name, for a raw body")
    source: str | None = Field(
        None, max_length=50, description="The source that will read it: its limits hold"
    )


@router.post("/uploads", response={201: UploadOut}, operation_id="upload_file", openapi_extra=BODY)
def upload_file(request: HttpRequest, filters: Annotated[UploadFilter, StrictQuery(...)]) -> HttpResponse:
    """Store a file: the multipart field `file`, or the raw body with `?name=`."""
    source = None
    if filters.source is not None and (source := find(filters.source)) is None:
        raise Problem("bad_parameter", name="source", reason="there is no such source")
    name, content = given(request, filters.name)
    try:
        upload = uploads.store(request.user, name, content, source=source)
    except UnreadablePostError as error:
        raise Problem("bad_request") from error
    return answer(serializers.upload_data(upload), 201)


def given(request: HttpRequest, name: str | None) -> tuple[str, Any]:
    """Return (name, content) of the one file of a request. Raises Problem."""
    kind = request.content_type or ""
    if kind != "multipart/form-data":
        if kind == "application/json" or kind.startswith("application/x-www-form"):
            raise Problem("unsupported_media_type", type="multipart/form-data, or the file itself")
        if not name:
            raise Problem("bad_parameter", name="name", reason="a raw body needs the file's name")
        return name, request
    files = form_of(request)
    given = [file for files_of_field in dict(files.lists()).values() for file in files_of_field]
    if len(given) != 1 or FIELD not in files:
        raise invalid(FIELD, "Send exactly one file.", "required" if not given else "one_file")
    return given[0].name or "file", given[0]


@router.api_operation(READ, "/uploads/{upload_id}", response=UploadOut, operation_id="get_upload")
def get_upload(request: HttpRequest, upload_id: RowId) -> HttpResponse:
    """Return what is known of a file of yours."""
    return answer(serializers.upload_data(_mine(request, upload_id)))


@router.api_operation(
    READ,
    "/uploads/{upload_id}/file",
    operation_id="download_file",
    openapi_extra={
        "responses": {
            200: {
                "description": "The file",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def download_file(request: HttpRequest, upload_id: RowId) -> HttpResponseBase:
    """Return a file of yours as a download."""
    try:
        return uploads.serve(_mine(request, upload_id))
    except FileNotFoundError as error:
        raise Problem("not_found") from error


@router.delete("/uploads/{upload_id}", response={204: None}, operation_id="delete_upload")
def delete_upload(request: HttpRequest, upload_id: RowId) -> HttpResponse:
    """Remove a file of yours that no open job reads."""
    uploads.delete(_mine(request, upload_id))
    return HttpResponse(status=204)


def _mine(request: HttpRequest, upload_id: Any) -> Upload:
    upload = uploads.visible(request.user).filter(pk=upload_id).first()
    if upload is None:
        raise Problem("not_found")
    return upload
