"""Many cases on the processes of a Dask cluster, or of this machine, that outlives the loss of some of them."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dals.cli.numbers import at_least
from dals.errors import DalsError, InputError

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
_PATIENCE_SECONDS = 20
_KILLED = "Its process was killed several times, perhaps for lack of memory."
_Item = TypeVar("_Item")


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster that does the work, such as tcp://host:8786; local starts one on this machine",
    )
    parser.add_argument("--workers", type=at_least(1), metavar="N", help="number of processes; by default one per core")


@contextmanager
def cluster_client(scheduler: str, *, workers: int | None = None) -> Iterator[Client]:
    """Join a cluster, or start one of `workers` processes on this machine.

    Raises
    ------
    InputError
        If Dask is not installed, or nothing answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError("--scheduler needs Dask; install it with: pip install 'dalsrefine[cluster]'") from error
    if scheduler != LOCAL:
        try:
            client = Client(scheduler, timeout=_PATIENCE_SECONDS)
        except (OSError, ValueError) as error:
            raise InputError(f"No Dask scheduler answers at {scheduler}; check the address.") from error
        with client:
            yield client
        return
    here = {
        "processes": True,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
    }
    with LocalCluster(n_workers=workers, **here) as cluster, Client(cluster) as client:
        yield client


def each_done(
    client: Client, function: Callable[[_Item], Any], items: Sequence[_Item]
) -> Iterator[tuple[_Item, Any | InputError]]:
    """Apply a function to items on a cluster; yield each with its result, in the order in which they are done.

    What a lost worker was doing is done by another one. An item that several workers died of has an `InputError`.

    Raises
    ------
    DalsError
        That the function raised; what is not done is given up.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = {client.submit(function, item, pure=False): item for item in items}
    try:
        for future in as_completed(list(waiting)):
            item = waiting.pop(future)
            error = future.exception()
            if isinstance(error, KilledWorker):
                yield item, InputError(_KILLED)
            elif isinstance(error, DalsError):
                raise error
            elif error is not None:
                yield item, InputError(f"Unexpected {type(error).__name__}: {error}")
            else:
                yield item, future.result()
            future.release()
    finally:
        client.cancel(list(waiting))


def use_one_thread() -> None:
    """Leave the other cores to the other workers."""
    import os

    import SimpleITK as sitk  # noqa: N813
    from vtkmodules.vtkCommonCore import vtkSMPTools

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    vtkSMPTools().Initialize(1)
