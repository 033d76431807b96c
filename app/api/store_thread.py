"""Work about the stores of HUBEL_DATA_DIR: on threads of their own, since it waits for the disk."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from app.errors import StoreFailed

ResultT = TypeVar("ResultT")


async def on_store_thread(executor: Executor, work: Callable[[], ResultT]) -> ResultT:
    """Run `work` on a thread of a store.

    Raises:
        StoreFailed: the store can't be read or changed.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
    except (OSError, sqlite3.Error) as err:
        raise store_failed(err) from err


def store_failed(err: Exception) -> StoreFailed:
    """Return the error for one of the disk or the database."""
    return StoreFailed(
        f"The store of photos can't be used now ({err}). Look at the disk of HUBEL_DATA_DIR."
    )
