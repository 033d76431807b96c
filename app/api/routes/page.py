"""The pages at /, /teach and /review, Swagger UI at /docs, their files, the OpenAPI document.

No network is needed.

Files are read once. Restart the service after a change to app/web.
"""

import json
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from app.api.constant_documents import ConstantDocument
from app.api.turns import Turns

_WEB = Path(str(files("app") / "web"))
_PAGE_HEADERS = {
    # Scripts come from this service alone; photos are shown from blob and data URLs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_TEACH_HEADERS = {
    **_PAGE_HEADERS,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
_DOCS_HEADERS = {
    # Swagger UI writes style attributes and shows images and responses from data and blob URLs.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'",
}
_FILE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'"}
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".woff2": "font/woff2",
    ".md": "text/plain",
    ".LICENSE": "text/plain",
}
_OTHER_MEDIA_TYPE = "text/plain"
"""The type of files such as LICENSE."""


def install(app: FastAPI, turns: Turns) -> None:
    """Serve the pages, their files and the OpenAPI document from `app`."""
    router = APIRouter(include_in_schema=False)
    page = _file("index.html", turns, _PAGE_HEADERS)
    review = _file("review.html", turns, _PAGE_HEADERS)
    teach = _file("teach.html", turns, _TEACH_HEADERS)
    docs = _file("docs.html", turns, _DOCS_HEADERS)
    # Pages have their own paths, with their own policy.
    paths = (path for path in _WEB.rglob("*") if path.is_file() and path.suffix != ".html")
    names = [path.relative_to(_WEB).as_posix() for path in paths]
    static = {name: _file(name, turns, _FILE_HEADERS) for name in names}

    def write_openapi() -> bytes:
        return json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    openapi = ConstantDocument(write_openapi, "application/json", turns, _FILE_HEADERS)

    @router.get("/")
    async def get_page(request: Request) -> Response:
        return await page.response(request)

    @router.get("/review")
    async def get_review(request: Request) -> Response:
        return await review.response(request)

    @router.get("/teach")
    async def get_teach(request: Request) -> Response:
        return await teach.response(request)

    @router.get("/docs")
    async def get_docs(request: Request) -> Response:
        return await docs.response(request)

    @router.get("/docs/")
    async def redirect_to_docs() -> RedirectResponse:
        """Redirect to the URL that the page's links are relative to."""
        return RedirectResponse("../docs")

    @router.get("/openapi.json")
    async def get_openapi(request: Request) -> Response:
        return await openapi.response(request)

    @router.get("/static/{path:path}")
    async def get_static(request: Request, path: str) -> Response:
        if path not in static:
            raise HTTPException(404)
        return await static[path].response(request)

    app.include_router(router)


def _file(name: str, turns: Turns, headers: dict[str, str]) -> ConstantDocument:
    path = _WEB / name
    media_type = _MEDIA_TYPES.get(path.suffix, _OTHER_MEDIA_TYPE)
    return ConstantDocument(path.read_bytes, media_type, turns, headers)
