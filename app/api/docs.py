"""/docs: Swagger UI, from files on disk, so that it works with no network at all."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

_WEB = Path(str(files("app") / "web"))
_HEADERS = {
    # Swagger UI writes style attributes and shows images and answers from data and blob URLs.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> FileResponse:
    """The page on which the API can be read and tried."""
    return FileResponse(_WEB / "docs.html", headers=_HEADERS)


@router.get("/")
async def root() -> RedirectResponse:
    """Where a browser begins."""
    return RedirectResponse("docs")


def install(app: FastAPI) -> None:
    """Serve the page and its assets from `app`."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_WEB), name="static")
