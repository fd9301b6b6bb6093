"""Work side by side."""

from __future__ import annotations

import threading

import pytest
import torch

from dals.ops.threads import in_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = in_threads(lambda item: (item, threading.current_thread() is threading.main_thread()), range(7))
    finally:
        torch.set_num_threads(before)
    assert [item for item, _ in found] == list(range(7))
    assert all(alone == (threads == 1) for _, alone in found)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_one_of_them_is_raised(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.raises(ZeroDivisionError):
            in_threads(lambda item: 1 // item, [2, 1, 0])
    finally:
        torch.set_num_threads(before)
