"""An artifact server that misbehaves on purpose: each path under /{how}/ answers in one wrong way."""
import contextlib
import http.server
import socket
import struct
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /{how}/{file}: the bytes of `file` in the server's directory, spoiled as `how` says; /whole/ is honest."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        how, name = self.path.partition("?")[0].strip("/").split("/", 1)
        self.server.asked.append(self.path)
        with contextlib.suppress(OSError):  # the other side may hang up: that is what some of these provoke
            getattr(self, "answer_" + how)((self.server.directory / name).read_bytes())

    def log_message(self, *_):
        pass

    def head(self, status=200, **fields):
        self.send_response(status)
        for field, value in fields.items():
            self.send_header(field.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def answer_whole(self, data):
        self.head(content_length=len(data))
        self.wfile.write(data)

    def answer_truncated(self, data):
        self.head(content_length=len(data))
        self.wfile.write(data[:len(data) // 2])

    def answer_shorter(self, data):
        self.answer_whole(data[:len(data) // 2])

    def answer_reset(self, data):
        self.answer_truncated(data)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def answer_endless(self, _, **fields):
        self.head(**fields)
        while True:
            self.wfile.write(b"\0" * 65536)

    def answer_huge(self, data):
        self.answer_endless(data, content_length=1 << 40)

    def answer_missing(self, _):
        self.head(404, content_length=0)

    def answer_broken(self, _):
        self.head(503, content_length=0)

    def answer_private(self, _):
        self.head(302, location="http://10.0.0.1/faulty-1.1.0.so", content_length=0)

    def answer_metadata(self, _):
        self.head(302, location="http://169.254.169.254/latest/meta-data", content_length=0)

    def answer_outside(self, _):
        self.head(302, location="file:///etc/passwd", content_length=0)

    def answer_circle(self, _):
        self.head(302, location=self.path, content_length=0)

    def answer_stalled(self, data):
        self.answer_truncated(data)
        self.wfile.flush()
        self.server.over.wait()


@contextlib.contextmanager
def artifact_server(directory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.directory, server.asked, server.over = directory, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
