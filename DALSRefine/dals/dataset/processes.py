"""Making shapes in several processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

import SimpleITK as sitk  # noqa: N813
from vtkmodules.vtkCommonCore import vtkSMPTools

from dals.dataset.cases import ShapeCase, make_shape


def make_in_processes(cases: Sequence[ShapeCase], workers: int | None) -> Iterator[tuple[str, str | None]]:
    """Make the shapes; yield each name with the reason of failure, or None, as soon as it is done."""
    count = min(workers or _available_cores(), len(cases))
    if count <= 1:
        for case in cases:
            yield case.name, make_shape(case)
        return
    # Spawned, because a fork of a process with threads (torch, VTK, Qt) may deadlock.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        names = {pool.submit(make_shape, case): case.name for case in cases}
        try:
            for future in as_completed(names):
                try:
                    yield names[future], future.result()
                except BrokenProcessPool:
                    yield names[future], "Its process was killed, perhaps for lack of memory."
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Use one core, leave Ctrl-C to the parent, and exit when the parent exits for any reason."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    vtkSMPTools().Initialize(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
