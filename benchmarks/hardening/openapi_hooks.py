"""Hooks of schemathesis for `openapi_cases`: bodies that are photos, and a failure that is none."""

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import IgnoredAuth

from benchmarks.hardening.mutants import mutant, seed_files
from benchmarks.hardening.slow_client_load import PHOTO

_MEDIA_TYPES = ("jpeg", "png", "webp", "gif", "bmp", "*")
_FILES = seed_files(100)
_THROTTLED = "429 Too Many Requests"


def _damaged(number: int) -> bytes:
    return mutant(_FILES, 0, number).data


_PHOTOS = st.one_of(
    st.just(PHOTO),
    st.sampled_from(sorted(_FILES)).map(_FILES.__getitem__),
    st.integers(0, 1 << 30).map(_damaged),
    st.binary(max_size=64),
)
for _subtype in _MEDIA_TYPES:
    schemathesis.openapi.media_type(f"image/{_subtype}", _PHOTOS)
schemathesis.openapi.media_type("application/octet-stream", _PHOTOS)


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case,
    response: schemathesis.Response,
) -> bool:
    """Drop a failure that is none: a wrong key gets 429, since wrong keys are throttled."""
    return not (isinstance(failure, IgnoredAuth) and _THROTTLED in failure.message)
