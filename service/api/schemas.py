"""`GET /schema/rules.json` and `/schema/tests.json`: what editors complete and check by, open to everybody."""

from __future__ import annotations

from fastapi import APIRouter, Response

from rules.files.schema import schema_text

router = APIRouter(tags=["managers"])

# As json-schema.org asks for; editors and browsers take it for JSON.
MEDIA_TYPE = "application/schema+json"
# An upgrade of the service changes them, nothing else does.
HEADERS = {"Cache-Control": "public, max-age=3600"}


@router.get("/schema/rules.json", summary="The JSON Schema of rule files")
async def rules() -> Response:
    """By it an editor completes keys, explains them and marks what does not fit. `handrail schema` prints the same."""
    return Response(schema_text("rules"), media_type=MEDIA_TYPE, headers=HEADERS)


@router.get("/schema/tests.json", summary="The JSON Schema of test files")
async def tests() -> Response:
    """The same for `*.tests.yaml`."""
    return Response(schema_text("tests"), media_type=MEDIA_TYPE, headers=HEADERS)
