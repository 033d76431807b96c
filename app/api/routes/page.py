"""The page at / and Swagger UI at /docs, served from disk so that they need no network."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

_WEB = Path(str(files("app") / "web"))
_PAGE_HEADERS = {
    # Scripts come from this service alone; photos are shown from blob and data URLs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_DOCS_HEADERS = {
    # Swagger UI writes style attributes and shows images and responses from data and blob URLs.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'",
}


class _Assets(StaticFiles):
    """Static files that browsers revalidate by ETag, so that they never mix two releases."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> FileResponse:
    """Return the page on which photos can be classified and inspected."""
    return FileResponse(_WEB / "index.html", headers=_PAGE_HEADERS)


@router.get("/docs")
async def docs() -> FileResponse:
    """Return the page on which the API can be read and tried."""
    return FileResponse(_WEB / "docs.html", headers=_DOCS_HEADERS)


def install(app: FastAPI) -> None:
    """Serve the pages and their assets from `app`."""
    app.include_router(router)
    app.mount("/static", _Assets(directory=_WEB), name="static")
