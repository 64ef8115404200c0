"""The process that works on rule files still being written, as this one asks it: bounded in time, started when needed.

One question at a time. What takes too long is killed, and the next question finds a new process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys

from service.api.problems import Refused
from service.rule_work import FRAME, Asked, Told
from service.settings import PREFIX

# The library takes 0.1 s, 1,000 rules 0.5. What takes longer is checked at a terminal.
WORK_MS_MAX = 10_000
# To start it and to load what it needs; two busy cores take three seconds.
START_MS_MAX = 20_000
# Managers at their pages; whoever comes beyond that tries again.
WAITING_MAX = 16
# A process that nobody asks for so long gives its 80 MB back.
IDLE_MS_MAX = 300_000
ANSWER_BYTES_MAX = 67_108_864


class Workbench:
    """Asks the process, and keeps it for the next question."""

    def __init__(self, work_ms_max: int = WORK_MS_MAX, idle_ms_max: int = IDLE_MS_MAX) -> None:
        self._work_ms_max = work_ms_max
        self._idle_ms_max = idle_ms_max
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._idling: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Return the id of the process, None while there is none."""
        return None if self._process is None else self._process.pid

    async def ask(self, asked: Asked) -> Told:
        """Return what the process answers. Raises Refused when it takes too long or too many wait."""
        if self._waiting >= WAITING_MAX:
            raise Refused("too_busy", f"{WAITING_MAX} others wait for their rule files to be looked at")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._ask(asked)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            if self._idling is not None:
                self._idling.cancel()
            await self._end()

    async def _ask(self, asked: Asked) -> Told:
        if self._idling is not None:
            self._idling.cancel()
        done = False
        try:
            async with asyncio.timeout(START_MS_MAX / 1000):
                await self._start()
            async with asyncio.timeout(self._work_ms_max / 1000):
                told = await self._exchange(asked)
            done = True
            return told
        except TimeoutError:
            detail = f"the files took longer than {self._work_ms_max} ms to work through"
            raise Refused("work_too_much", detail) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Refused("work_too_much", "the process that worked on the files ended under them") from None
        finally:
            if done:
                self._idling = asyncio.create_task(self._end_when_idle())
            else:
                # Also when whoever asked is gone: an answer that nobody reads would be taken for the next one's.
                await self._end()

    async def _start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            # Not as `-m`: what a module that is run as `__main__` defines has another name than what we ask with.
            *(sys.executable, "-P", "-c", "from service.rule_work import main; main()"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Nothing of the service's settings is its matter, secrets least of all.
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
            # Ctrl-C is for the service; the pipe ends with it, and this process with the pipe.
            start_new_session=True,
        )
        # The first word is that it is there, so that its start does not count as work.
        await self._exchange(Asked("check", {}))

    async def _exchange(self, asked: Asked) -> Told:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ConnectionResetError
        data = pickle.dumps(asked)
        process.stdin.write(FRAME.pack(len(data)) + data)
        await process.stdin.drain()
        (size,) = FRAME.unpack(await process.stdout.readexactly(FRAME.size))
        if size > ANSWER_BYTES_MAX:
            raise ConnectionResetError
        told = pickle.loads(await process.stdout.readexactly(size))  # noqa: S301  # written by our own code
        if not isinstance(told, Told):
            raise ConnectionResetError
        return told

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_ms_max / 1000)
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
