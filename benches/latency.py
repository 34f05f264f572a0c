"""A TCP port before another one, with the latency of a distant network."""

import asyncio
import contextlib
import socket
import threading


class Latency:
    """`with Latency(port, seconds) as port`: connections to it reach the other port; a round trip takes so much longer.

    Half of it each way, whatever is under way at the time; the round trip that opens a connection is waited for before its first bytes.
    """

    def __init__(self, port, seconds):
        self.target, self.way = port, seconds / 2

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()
        return self.port

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.end(), self.loop)
        self.thread.join()

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    async def end(self):
        """Connections that somebody keeps open end here."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.loop.stop()

    async def accept(self, reader, writer):
        await asyncio.sleep(2 * self.way)
        theirs, to_them = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        for stream in (writer, to_them):
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self.carry(reader, to_them), self.carry(theirs, writer))

    async def carry(self, reader, writer):
        """What comes in goes out that much later, in its order; nothing waits for what is before it."""
        late = asyncio.Queue(maxsize=256)

        async def hand_over():
            while True:
                due, piece = await late.get()
                await asyncio.sleep(due - self.loop.time())
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        out = asyncio.ensure_future(hand_over())
        try:
            piece = b"-"
            while piece:
                piece = await reader.read(1 << 18)
                await late.put((self.loop.time() + self.way, piece))
            await out
        except OSError:
            out.cancel()
            writer.close()
