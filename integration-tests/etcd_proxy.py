"""A proxy between graylingd and a real etcd that misbehaves as it is told: byte by byte, away, with errors in the stream, or to another etcd."""
import contextlib
import selectors
import socket
import threading

NO_LEADER = b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}\n'


class Proxy:
    """Each connection is a thread; `mode` is read when a connection begins: honest, bytes (one at a time), away, watch-error (every watch
    is answered with an error inside a 200, range and the rest reach etcd)."""

    def __init__(self, target, mode="honest"):
        self.target, self.mode = target, mode
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open, self.lock, self.over = set(), threading.Lock(), False
        self.spoilt, self.counted = 0, threading.Condition()
        self.thread = threading.Thread(target=self._accept)

    def become(self, mode, target=None):
        """From now on; every connection that there is ends."""
        self.mode, self.target = mode, target or self.target
        with self.lock:
            for s in self.open:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def await_spoilt(self, n, patience):
        """Waits until n more answers were spoilt."""
        with self.counted:
            want = self.spoilt + n
            assert self.counted.wait_for(lambda: self.spoilt >= want, patience), f"{self.spoilt} answers were spoilt, {want} expected"

    def _count(self):
        with self.counted:
            self.spoilt += 1
            self.counted.notify_all()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        mode = self.mode
        with client, contextlib.suppress(OSError):
            if mode == "away" or self.over:
                return self._count()
            with socket.create_connection(self.target) as server:
                for s in (client, server):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.lock:
                    self.open |= {client, server}
                try:
                    self._pump(client, server, mode)
                finally:
                    with self.lock:
                        self.open -= {client, server}

    def _pump(self, client, server, mode):
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    if mode == "watch-error" and key.fileobj is client and data.startswith(b"POST /v3/watch "):
                        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                       b"%x\r\n%b\r\n0\r\n\r\n" % (len(NO_LEADER), NO_LEADER))
                        self._count()
                        return
                    if mode == "bytes" and key.fileobj is server:
                        for i in range(len(data)):
                            key.data.sendall(data[i:i + 1])
                        self._count()
                    else:
                        key.data.sendall(data)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.become("away")
        self.thread.join()
