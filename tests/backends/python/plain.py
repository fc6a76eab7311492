"""An app on Python's own http.server: `plain.py PORT [ignore]`.

It prints a line for each request. With `ignore` it answers without looking at bodies and keeps the
connection open, as careless apps do.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from record import show

IGNORES_BODIES = sys.argv[2:] == ["ignore"]


def chunks(stream):
    while True:
        size = int(stream.readline().split(b";")[0], 16)
        data = stream.read(size)
        if len(data) < size or (size and stream.readline() != b"\r\n"):
            raise ValueError("cut short")
        if size == 0:
            while stream.readline() not in (b"\r\n", b"\n", b""):
                pass
            return
        yield data


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def body(self):
        if IGNORES_BODIES:
            return ""
        try:
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                return b"".join(chunks(self.rfile)).decode("latin-1")
            length = int(self.headers.get("Content-Length", "0"))
            data = self.rfile.read(length)
            return data.decode("latin-1") if len(data) == length else None
        except (ValueError, OSError):
            return None

    def answer(self):
        body = self.body()
        record = {
            "method": self.command,
            "target": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body,
        }
        show(record)
        if body is None:
            self.close_connection = True
            return
        text = json.dumps(record).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
