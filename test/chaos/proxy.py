"""A TCP proxy whose connections can be cut, silent or slow: one for each daemon, before its listener of the broker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from enum import StrEnum


class Line(StrEnum):
    """The state of a connection. `cut`: connections are reset and refused; `silent`: they stay open, and no
    data passes.
    """

    WELL = "well"
    CUT = "cut"
    SILENT = "silent"
    SLOW = "slow"


SLOW_SECONDS = 0.2
_PIECE = 64 * 1024


class Proxies:
    """All proxies, on a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def open(self, port: int, behind: int) -> Proxy:
        proxy = Proxy(self._loop, behind)
        asyncio.run_coroutine_threadsafe(proxy.listen(port), self._loop).result(60)
        return proxy

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Proxy:
    """A proxy from one port to the port `behind`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, behind: int) -> None:
        self._loop, self._behind = loop, behind
        self._line = Line.WELL
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    def be(self, line: Line) -> None:
        """Sets the state of the connections. Thread-safe."""
        self._loop.call_soon_threadsafe(self._be, line)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.be(Line.CUT)

    def _be(self, line: Line) -> None:
        self._line = line
        self._changed.set()
        self._changed = asyncio.Event()
        if line is Line.CUT:
            for writer in list(self._open):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._line is Line.CUT:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._behind)
            self._open.add(back)
            try:
                both = [
                    asyncio.ensure_future(self._pass(reader, back)),
                    asyncio.ensure_future(self._pass(there, writer)),
                ]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
            finally:
                self._open.discard(back)
                back.transport.abort()
        except OSError:
            return
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE):
                while self._line is Line.SILENT:
                    await self._changed.wait()
                if self._line is Line.SLOW:
                    await asyncio.sleep(SLOW_SECONDS)
                target.write(piece)
                await target.drain()
