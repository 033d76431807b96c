"""The photos of bulk work: in folders, tar files, Parquet files and object stores.

    sources, as a user names them      a folder, a file, a pattern, an address
       |  plan: lists them once
    shards                             some files, a tar file or a Parquet file: read as a whole
       |  shard: opens one
    photos, not read yet, in order     and what is skipped

entry        the contract: a photo, or what is skipped
addresses    what a source is: its braces, its pattern, its kind
local_files remote_files    lists and reads files on disk, and in object stores
tar_shard parquet_shard     read the photos of one shard
"""
