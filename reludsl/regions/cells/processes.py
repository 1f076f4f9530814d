"""The same enumeration by several processes: cells of a front are handed out, each is searched by itself.

Cells have nothing to do with each other, so that the number does not depend on who searches which, or when. Every
process has a pipe of its own: nobody waits for a lock that another took to its grave, and the end of one is seen as the
end of its pipe, even in the middle of a message. Who reads slowly slows the search down, and memory stays flat.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reludsl.backend import FloatArray
from reludsl.one_thread import by_one_thread
from reludsl.regions.cells.enumeration import Enumeration, Task
from reludsl.regions.cells.nodes import Nodes
from reludsl.regions.cells.search import Search
from reludsl.regions.found import Regions
from reludsl.regions.watch import INTERRUPTED, OUT_OF_TIME

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SHARES = 48
"""Jobs for each process: with many small ones the last to end is soon alone."""

TICK = 1.0
"""Seconds between two looks at the clock: a wait without end cannot be interrupted on every system."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Cells that wait in one layer, with points of their own."""

    layer: int
    nodes: Nodes
    points: FloatArray


def in_processes(work: Enumeration, processes: int) -> Iterator[Regions]:
    """Iterate over an enumeration with the help of other processes; what it says at the end is as for one process."""
    # imported late: most counts need no second process
    from multiprocessing.connection import wait

    began = time.perf_counter()
    task, frame = work.task, work.task.frame()
    search = task.search(frame)
    try:
        search.deadline = math.inf if work.time_limit is None else began + work.time_limit
        opened = search.opened(task.start(search), SHARES * processes)
        yield from by_one_thread(work.checked(frame, cells) for cells in opened)
        work.note = OUT_OF_TIME if search.late else ""
    except KeyboardInterrupt:
        work.note = INTERRUPTED
    work.told(search)
    if search.apart:
        yield work.outlying(search.apart)
    if work.note:
        return
    jobs = list(_jobs(search))
    helpers: list[Helper] = []
    try:
        helpers.extend(_hired() for _ in range(processes))
        at_work: list[Any] = [helper.pipe for helper in helpers]
        untold = set(at_work)
        while at_work:
            left = TICK if work.time_limit is None else work.time_limit - (time.perf_counter() - began)
            if left <= 0:
                work.note = OUT_OF_TIME
                break
            ready: list[Any] = wait(at_work, min(left, TICK))
            for pipe in ready:
                try:
                    message = pipe.recv()
                    if message is None and pipe in untold:
                        untold.remove(pipe)
                        pipe.send(task)
                    elif message is None:
                        pipe.send(jobs.pop(0) if jobs else None)
                except (EOFError, OSError):
                    work.note = "a process that searched died"
                    return
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, Enumeration):
                    at_work.remove(pipe)
                    _take(work, message)
                elif message is not None:
                    work.found += len(message[0])
                    yield Regions(task.network, *message)
        else:
            work.complete = True
    except KeyboardInterrupt:
        work.note = INTERRUPTED
    finally:
        for helper in helpers:
            helper.process.terminate()
        for helper in helpers:
            helper.process.join()
            helper.pipe.close()


class Helper(NamedTuple):
    """A process that searches, and this end of its pipe."""

    process: Any
    pipe: Connection


def _hired() -> Helper:
    """It is told the task when it asks: with the start it would hold up the next one until it had read it all."""
    # spawned, not forked: a forked process inherits the locks of solver threads that it has not
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_help, args=(there,), daemon=True)
    process.start()
    # the pipe ends when the process does
    there.close()
    return Helper(process, here)


def _jobs(search: Search) -> Iterator[Job]:
    """The waiting cells one by one, points and all."""
    for layer, held in enumerate(search.pending):
        for nodes in held:
            for k in range(len(nodes)):
                one = nodes.take(slice(k, k + 1))
                inside = one.pool[0][one.pool[0] >= 0]
                yield Job(layer, replace(one, pool=np.arange(inside.size)[None]), search.points.u[inside])


def _help(pipe: Connection) -> None:
    """What a process does. An interrupt is for the one that hands the jobs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # nobody is left to be told
    with contextlib.suppress(BrokenPipeError, EOFError):
        task: Task = _asked(pipe)
        _reported(task, lambda: _asked(pipe), pipe.send)


def _asked(pipe: Connection) -> Any:
    """The task, then the next job; None where there are no more."""
    pipe.send(None)
    return pipe.recv()


def _reported(task: Task, next_job: Callable[[], Job | None], say: Callable[[Any], None]) -> None:
    """Search jobs until there are none; what goes wrong is raised where the results are read."""
    try:
        _search(task, next_job, say)
    except BrokenPipeError:
        raise
    except Exception as error:
        say(error)


def _search(task: Task, next_job: Callable[[], Job | None], say: Callable[[Any], None]) -> None:
    frame = task.frame()
    said = Enumeration(task)
    while (job := next_job()) is not None:
        search = task.search(frame)
        resumed = search.resumed(job.layer, job.nodes, job.points)
        for found in by_one_thread(said.checked(frame, cells) for cells in resumed):
            say((found.patterns, found.witnesses))
        said.told(search)
        if search.apart:
            found = said.outlying(search.apart)
            say((found.patterns, found.witnesses))
    say(said)


def _take(work: Enumeration, said: Enumeration) -> None:
    work.doubts, work.hidden = work.doubts + said.doubts, work.hidden + said.hidden
    work.margin = min(work.margin, said.margin)
    for key, value in said.work.items():
        work.work[key] = work.work.get(key, 0) + value
