"""Authentication: an optional API key, an admin key, and named keys with scopes.

Clients send a key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.
"""

import hmac
import math
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from app.api.key_limits import KEY_LIMITS, KeyUses, LimitedRequest
from app.api.wrong_keys import WrongKeys
from app.errors import (
    Forbidden,
    HubelError,
    KeyLimitExceeded,
    TooManyWrongKeys,
    Unauthenticated,
)
from app.keys_file import KeysFile, NamedKey, Scope

KEY_NAME = "key_name"
"""The key in a scope's state under which the name of a request's named key is put."""

KEY_ERRORS: tuple[type[HubelError], ...] = (Unauthenticated, TooManyWrongKeys, KeyLimitExceeded)
"""The errors of every route that requires a key."""


@dataclass(frozen=True)
class Keys:
    """The configured keys; None where a key is not configured."""

    api: str | None = None
    admin: str | None = None
    wrong_keys: WrongKeys = field(default_factory=WrongKeys, compare=False)
    named: KeysFile | None = None
    uses: KeyUses = field(default_factory=KeyUses, compare=False)

    def check(self, key: str | None, address: str = "") -> NamedKey | None:
        """Check that `key` is the API key, the admin key or a named key, which is returned.

        Args:
            key: the key that was sent.
            address: the client's address, for which wrong keys are counted.

        Raises:
            Unauthenticated: a key is required, and `key` is none of them.
            TooManyWrongKeys: likewise, and the address has sent many wrong keys.
        """
        if self.api is None and self.named is None:
            return None
        if _equal(key, self.api) or _equal(key, self.admin):
            return None
        if key and self.named and (found := self.named.find(key)):
            return found
        self._count(key, address)
        raise Unauthenticated(
            ("This key is not known." if key else "A key is needed.")
            + " Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
        )

    def check_admin(self, key: str | None, address: str = "") -> None:
        """Check that `key` has the scope admin; see `check_scope`."""
        self.check_scope("admin", key, address)

    def check_scope(self, scope: Scope, key: str | None, address: str = "") -> None:
        """Check that `key` is the admin key, or a named key with `scope`.

        Args:
            scope: what the request needs: label or admin.
            key: the key that was sent.
            address: the client's address, for which wrong keys are counted.

        Raises:
            Unauthenticated: the key is missing or unknown.
            TooManyWrongKeys: it is unknown, and the address has sent many wrong keys.
            Forbidden: it lacks the scope, or no key that has it can be configured.
        """
        if key and self.named and (found := self.named.find(key)):
            if found.allows(scope):
                return
            raise Forbidden(
                f"The key {found.name} has the scope {found.scope}. This needs the scope {scope}."
            )
        if self.admin is None and self.named is None:
            raise Forbidden(
                f"No key with the {scope} scope is configured. Start the service with "
                "HUBEL_ADMIN_KEY or HUBEL_KEYS_FILE."
            )
        if _equal(key, self.admin):
            return
        if self.api is not None and _equal(key, self.api):
            raise Forbidden(
                f"This key lacks the {scope} scope. Send the admin key, or a named key with it."
            )
        self._count(key, address)
        raise Unauthenticated(
            f"A key with the {scope} scope is needed. Send it as 'Authorization: Bearer KEY'."
        )

    def _count(self, key: str | None, address: str) -> None:
        """Count a wrong key; a request without a key guesses none.

        Raises:
            TooManyWrongKeys: the address has sent many wrong keys.
        """
        if key and (wait_s := self.wrong_keys.count(address)):
            raise TooManyWrongKeys(
                "Many wrong keys came from this address. Check the key, and try again later.",
                retry_after_s=math.ceil(wait_s),
            )


def _equal(key: str | None, expected: str | None) -> bool:
    """Compare two keys in constant time."""
    if key is None or expected is None:
        return False
    return hmac.compare_digest(key.encode(), expected.encode())


_bearer = HTTPBearer(auto_error=False, description="API key, admin key or named key.")
_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="API key, admin key or named key, as a header."
)


async def key_dependency(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> str | None:
    """Return the key in a request's headers, or None; a dependency that documents both headers."""
    return bearer.credentials if bearer else header


def key_from_headers(request: Request) -> str | None:
    """Return the key in a request's headers, for code that is no dependency."""
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    bearer = credentials if scheme.lower() == "bearer" else None
    return bearer or request.headers.get("x-api-key")


def address_of(request: Request) -> str:
    """Return the address of a request's client, or of the proxy in front; empty if unknown."""
    return request.client.host if request.client else ""


KeyDep = Annotated[str | None, Depends(key_dependency)]


def check_key(request: Request, keys: Keys, key: str | None) -> None:
    """Check the key of a request and the limits of a named key, whose name is noted.

    Raises:
        Unauthenticated: a key is required, and `key` is none.
        TooManyWrongKeys: likewise, and the address has sent many wrong keys.
        KeyLimitExceeded: the key has sent too many requests, or has too many at once.
    """
    found = keys.check(key, address_of(request))
    if found is None:
        return
    state = request.scope["state"]
    state[KEY_NAME] = found.name
    if (use := keys.uses.of(found)) is not None:
        state[KEY_LIMITS] = limited = LimitedRequest(use)
        limited.begin()


async def require_key(request: Request, key: KeyDep) -> None:
    """Check the API key; the dependency of every route that requires one."""
    check_key(request, request.app.state.service.keys, key)


async def require_label(request: Request, key: KeyDep) -> None:
    """Check that the key may label; the dependency of the routes that show or change captures."""
    request.app.state.service.keys.check_scope("label", key, address_of(request))


async def require_admin(request: Request, key: KeyDep) -> None:
    """Check the admin key; the dependency of the routes that change which models are served."""
    request.app.state.service.keys.check_admin(key, address_of(request))
