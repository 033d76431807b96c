"""Hooks of schemathesis for `openapi_cases`: bodies that are photos, and failures that are none."""

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import IgnoredAuth

from benchmarks.hardening.mutants import mutant, seed_files
from benchmarks.hardening.slow_client_load import PHOTO

_MEDIA_TYPES = ("jpeg", "png", "webp", "gif", "bmp", "*")
_FILES = seed_files(100)
_THROTTLED = "429 Too Many Requests"
_OTHER_NAMES = "Undocumented methods advertised: PUT"


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
    """Drop two failures that are none.

    A wrong key gets 429: wrong keys are throttled. And `Allow` names PUT, which TorchServe has as
    another name of POST, and which the document leaves out.
    """
    if isinstance(failure, IgnoredAuth):
        return _THROTTLED not in failure.message
    return not ("Allow" in failure.title and _OTHER_NAMES in failure.message)
