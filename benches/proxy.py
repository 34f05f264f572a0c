"""A unix socket before another one that counts the bytes which go in."""

import pathlib
import socket
import threading


class CountingProxy:
    """`with CountingProxy("unix:///engine.sock", path) as proxy`: `proxy.host` to connect to, `proxy.sent` bytes so far."""

    def __init__(self, host, path):
        self.target = host.removeprefix("unix://")
        self.path = pathlib.Path(path)
        self.host = f"unix://{self.path}"
        self.sent = 0
        self.lock = threading.Lock()

    def __enter__(self):
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.path.unlink(missing_ok=True)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self.target)
            threading.Thread(target=self.pump, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(engine, client, False), daemon=True).start()

    def pump(self, source, target, counted):
        try:
            while piece := source.recv(1 << 20):
                if counted:
                    with self.lock:
                        self.sent += len(piece)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
