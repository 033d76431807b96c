"""The errors of sources; no request over HTTP can raise them.

HubelError
`-- SourceError
    |-- BrokenShard        a tar or Parquet file is damaged, or ends too early
    `-- SourceUnavailable  an object store can't be reached now
"""

from app.errors import HubelError


class SourceError(HubelError):
    """A source of photos can't be read."""

    code = "source_error"
    title = "Source can't be read"


class BrokenShard(SourceError):
    """A tar or Parquet file is damaged, or ends too early."""

    code = "broken_shard"
    title = "Broken shard"


class SourceUnavailable(SourceError):
    """An object store or server can't be reached now; another try may succeed."""

    code = "source_unavailable"
    title = "Source unavailable"
