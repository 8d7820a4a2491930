"""Clocks, memory and processes: what the benchmarks measure with."""

import concurrent.futures
import math
import multiprocessing
import os
import re
import time
from pathlib import Path

import psutil


def in_own_process(function, *args):
    """What a function gives in a new process, where nothing is loaded or compiled yet.

    Args:
        function: one that its module has by name; `args` and its result are sent between the two.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(function, *args).result()


def on_all_cores(function, calls, keep):
    """Call a function many times, as often at once as there are cores, with one core for each.

    Args:
        function: as in `in_own_process`.
        calls: for each call, its arguments.
        keep: is called with each result as soon as it is there, one at a time.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # of the processes to come
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for call in concurrent.futures.as_completed(
            [pool.submit(in_own_process, function, *args) for args in calls]
        ):
            keep(call.result())


def seconds_per_call(call, blocks=5, at_least=1.0):
    """Time a function without arguments.

    Two calls before the clock runs warm up; the second one tells how many calls make a block.

    Args:
        blocks: how many.
        at_least: seconds that a block should last.

    Returns:
        list: for each block, the mean of its calls, in seconds.
    """
    call()
    begin = time.perf_counter()
    call()
    calls = max(1, math.ceil(at_least / (time.perf_counter() - begin)))
    found = []
    for _ in range(blocks):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        found.append((time.perf_counter() - begin) / calls)
    return found


def peak_megabytes():
    """The most memory that this process has had so far (Linux, Windows); on macOS, what it has now.

    Not `resource.getrusage`: on Linux its peak can be that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii")).group(1)) / 1e3
    memory = psutil.Process().memory_info()
    return getattr(memory, "peak_wset", memory.rss) / 1e6
