"""Who may ask: one optional API key, and one with the admin scope.

A key comes as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.
"""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from app.errors import Forbidden, Unauthenticated


@dataclass(frozen=True)
class Keys:
    """The keys that are asked for; None where none is."""

    api: str | None = None
    admin: str | None = None

    def check(self, given: str | None) -> None:
        """Let through whoever may use the API; the admin key may, too.

        Raises:
            Unauthenticated: a key is asked for, and this isn't it.
        """
        if self.api is not None and not (_same(given, self.api) or _same(given, self.admin)):
            raise Unauthenticated(
                ("This key is not known." if given else "A key is needed.")
                + " Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
            )

    def check_admin(self, given: str | None) -> None:
        """Let through whoever has the admin scope.

        Raises:
            Unauthenticated: no key was given, or one that isn't known.
            Forbidden: the API key was given, or there is no admin key at all.
        """
        if self.admin is None:
            raise Forbidden("Nobody has the admin scope. Start the service with HUBEL_ADMIN_KEY.")
        if not _same(given, self.admin):
            if self.api is not None and _same(given, self.api):
                raise Forbidden("This key lacks the admin scope. Send the admin key.")
            raise Unauthenticated(
                "The admin key is needed. Send it as 'Authorization: Bearer KEY'."
            )


def _same(given: str | None, wanted: str | None) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    if given is None or wanted is None:
        return False
    return hmac.compare_digest(given.encode(), wanted.encode())


_bearer = HTTPBearer(auto_error=False, description="The API key, or the admin key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, as a header.")


async def given_key(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> str | None:
    """The key that a request carries."""
    return bearer.credentials if bearer else header


def key_of(request: Request) -> str | None:
    """The key that a request carries; `given_key` without FastAPI's dependencies."""
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    bearer = credentials if scheme.lower() == "bearer" else None
    return bearer or request.headers.get("x-api-key")


KeyDep = Annotated[str | None, Depends(given_key)]


async def require_key(request: Request, key: KeyDep) -> None:
    """A dependency of every route below /api."""
    request.app.state.service.keys.check(key)


async def require_admin(request: Request, key: KeyDep) -> None:
    """A dependency of the routes that change what is served."""
    request.app.state.service.keys.check_admin(key)
