"""A line between browser and server that can be made slow: Chromium's own throttling leaves websockets alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

CHUNK = 4096


class SlowLine:
    """Passes on what comes to `port` to another port of this machine, at full speed until it is throttled.

    Each direction has the given rate for itself, shared by all connections, as on a telephone line.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._bytes_a_second: float | None = None
        self._free_at = {"up": 0.0, "down": 0.0}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="slow line", daemon=True)
        self._thread.start()
        self._started.wait()

    def throttle(self, bits_a_second: float | None) -> None:
        """Limits the rate from now on; None takes the limit away."""
        self._bytes_a_second = None if bits_a_second is None else bits_a_second / 8

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        # Small buffers: megabytes that wait inside the machine would not be on the line.
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * CHUNK)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self._target))
        except OSError:
            far.close()
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=CHUNK)
        for one in (writer, far_writer):
            one.transport.set_write_buffer_limits(4 * CHUNK)
        await asyncio.gather(self._pass(reader, far_writer, "up"), self._pass(far_reader, writer, "down"))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK if self._bytes_a_second else 64 * CHUNK):
                rate = self._bytes_a_second
                if rate is not None:
                    begins = max(loop.time(), self._free_at[direction])
                    self._free_at[direction] = begins + len(data) / rate
                    await asyncio.sleep(self._free_at[direction] - loop.time())
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
