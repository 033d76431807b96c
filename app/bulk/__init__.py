"""Bulk classification: the photos of any sources to rows, without a server.

    shards -> classification: their photos -> the engine -> a result for each
           -> rows: the fields of a row

`rows_of` makes the rows of one shard, on this machine or on a worker of a cluster.
"""

from app.bulk.classification import Classification, ShardEnd, results_of, rows_of
from app.bulk.rows import row_fields

__all__ = ["Classification", "ShardEnd", "results_of", "row_fields", "rows_of"]
