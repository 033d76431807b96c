"""Bulk classification: the photos of any sources to rows, without a server.

shards -> classification: their photos -> the engine, here or on a cluster -> a result for each
       -> rows: the fields of a row
"""

from app.bulk.classification import Classification, ShardEnd, results_of
from app.bulk.rows import row_fields

__all__ = ["Classification", "ShardEnd", "results_of", "row_fields"]
