"""The same enumeration by several processes: cells of a front are handed out, each is searched by itself.

Cells have nothing to do with each other, so that the number does not depend on who searches which, or when. Batches
come back through a queue of bounded length: who reads slowly slows the search down, and memory stays flat.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.one_thread import by_one_thread
from reludsl.regions.cells.enumeration import INTERRUPTED, OUT_OF_TIME, Enumeration, Task
from reludsl.regions.cells.nodes import Nodes
from reludsl.regions.cells.search import Search
from reludsl.regions.found import Regions

SHARES = 48
"""Jobs for each process: with many small ones the last to end is soon alone."""

AHEAD = 8
"""Batches that may wait for their reader."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Cells that wait in one layer, with points of their own."""

    layer: int
    nodes: Nodes
    points: FloatArray


def in_processes(work: Enumeration, processes: int) -> Iterator[Regions]:
    """Iterate over an enumeration with the help of other processes; what it says at the end is as for one process."""
    began = time.perf_counter()
    task, frame = work.task, work.task.frame()
    search = task.search(frame)
    for cells in by_one_thread(search.opened(task.start(search), SHARES * processes)):
        yield work.checked(frame, cells)
    jobs = list(_jobs(search))
    work.told(search)
    if search.apart:
        yield work.outlying(search.apart)
    # spawned, not forked: a forked process inherits the locks of solver threads that it has not
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue(AHEAD)
    # jobs that nobody takes any more must not keep this process from its end
    todo.cancel_join_thread()
    for job in [*jobs, *([None] * processes)]:
        todo.put(job)
    helpers = [context.Process(target=_help, args=(task, todo, done), daemon=True) for _ in range(processes)]
    ended = 0
    try:
        for helper in helpers:
            helper.start()
        while ended < len(helpers):
            left = None if work.time_limit is None else work.time_limit - (time.perf_counter() - began)
            if left is not None and left <= 0:
                work.note = OUT_OF_TIME
                break
            try:
                message = done.get(timeout=1.0 if left is None else min(left, 1.0))
            except queue.Empty:
                # one that was killed may have taken a lock with it, which the others wait for
                broken = any(helper.exitcode not in (None, 0) for helper in helpers)
                if (broken or not any(helper.is_alive() for helper in helpers)) and done.empty():
                    work.note = "a process that searched died"
                    break
                continue
            if isinstance(message, Exception):
                raise message
            if isinstance(message, Enumeration):
                ended += 1
                _take(work, message)
            else:
                work.found += len(message[0])
                yield Regions(task.network, *message)
        else:
            work.complete = True
    except KeyboardInterrupt:
        work.note = INTERRUPTED
    finally:
        started = [helper for helper in helpers if helper.pid is not None]
        for helper in started:
            helper.terminate()
        for helper in started:
            helper.join()
        # jobs that nobody takes any more would keep this process from ending
        todo.cancel_join_thread()


def _jobs(search: Search) -> Iterator[Job]:
    """The waiting cells one by one, points and all."""
    for layer, held in enumerate(search.pending):
        for nodes in held:
            for k in range(len(nodes)):
                one = nodes.take(slice(k, k + 1))
                inside = one.pool[0][one.pool[0] >= 0]
                yield Job(layer, replace(one, pool=np.arange(inside.size)[None]), search.points.u[inside])


def _help(task: Task, todo: Any, done: Any) -> None:
    """What a process does. An interrupt is for the one that handed the jobs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _reported(task, todo, done)


def _reported(task: Task, todo: Any, done: Any) -> None:
    """Search jobs until there are none; what goes wrong is raised where the results are read."""
    try:
        _search(task, todo, done)
    except Exception as error:
        done.put(error)


def _search(task: Task, todo: Any, done: Any) -> None:
    frame = task.frame()
    said = Enumeration(task)
    while (job := todo.get()) is not None:
        search = task.search(frame)
        for cells in by_one_thread(search.resumed(job.layer, job.nodes, job.points)):
            found = said.checked(frame, cells)
            done.put((found.patterns, found.witnesses))
        said.told(search)
        if search.apart:
            found = said.outlying(search.apart)
            done.put((found.patterns, found.witnesses))
    done.put(said)


def _take(work: Enumeration, said: Enumeration) -> None:
    work.doubts, work.hidden = work.doubts + said.doubts, work.hidden + said.hidden
    work.margin = min(work.margin, said.margin)
    for key, value in said.work.items():
        work.work[key] = work.work.get(key, 0) + value
