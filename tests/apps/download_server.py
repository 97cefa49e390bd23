"""A web server for tests of `download`: serves a folder, well or as badly as servers and networks are.

    download_server.py FOLDER good|hostile|slow [LOG]

prints its port, then serves until it is killed. A line of LOG is a request: what was done about it, its path, its range.
A hostile server does something bad to the first requests of every path, each path beginning somewhere else in FAULTS, and
serves it well afterwards; a slow one takes its time. Paths with "gone" in them are answered 404, with "crowded" 429 and a long Retry-After.
"""
import base64
import hashlib
import os
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ["drop", "503", "short", "redirect", "429", "page", "stall", "long", "500", "wrong-piece", "changed"]
FAULTS_PER_PATH = 3
folder, manner = sys.argv[1], sys.argv[2]
log = open(sys.argv[3], "a") if len(sys.argv) > 3 else None
seen, lock = {}, threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def fault(self):
        if "gone" in self.path:
            return "404"
        if "crowded" in self.path:
            return "crowded"
        if manner == "good" or self.path.startswith("/elsewhere"):
            return ""
        with lock:
            count = seen[self.path] = seen.get(self.path, -1) + 1
        first = zlib.crc32(self.path.encode())
        return FAULTS[(first + count) % len(FAULTS)] if count < FAULTS_PER_PATH else ""

    def do_GET(self):
        fault = self.fault()
        if log:
            with lock:
                print(fault or "well", self.path, self.headers.get("Range", "-"), file=log, flush=True)
        path = folder + self.path.removeprefix("/elsewhere")
        if fault.isdigit() or fault == "crowded" or not os.path.isfile(path):
            status = 429 if fault == "crowded" else int(fault or 404)
            wait = {"crowded": "3600", "429": "1"}.get(fault)
            return self.answer(status, b"", {"Retry-After": wait} if wait else {})
        if fault == "redirect":
            return self.answer(302, b"", {"Location": "/elsewhere" + self.path})
        if fault == "page":
            return self.answer(200, b"<html>Please sign in.</html>", {})
        with open(path, "rb") as file:
            content = file.read()
        self.serve(content, fault)

    def serve(self, content, fault):
        tag = '"%s"' % hashlib.sha1(content).hexdigest()
        headers = {"ETag": '"another"' if fault == "changed" else tag}
        if not self.path.endswith(".jpg"):  # as Google's storage does
            headers["x-goog-hash"] = "crc32c=AAAAAA==,md5=" + base64.b64encode(hashlib.md5(content).digest()).decode()
        status, body = 200, content
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            if begin >= len(content):
                return self.answer(416, b"", {})
            if fault == "wrong-piece":
                begin = max(begin - 7, 0)
            status, body = 206, content[begin:]
            headers["Content-Range"] = "bytes %d-%d/%d" % (begin, len(content) - 1, len(content))
        if fault == "short":  # and says so
            body = body[: len(body) // 2]
            headers.pop("Content-Range", None)
            status = 200
        length = len(body) + (1000 if fault == "long" else 0)
        if fault in ("drop", "stall"):
            body = body[: 2 * len(body) // 3]
        self.answer(status, body, headers, length)
        if fault == "stall":
            self.wfile.flush()
            time.sleep(4)

    def answer(self, status, body, headers, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        for at in range(0, len(body), 1 << 14):
            self.wfile.write(body[at : at + (1 << 14)])
            if manner == "slow":
                time.sleep(0.1)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # the other side went away
        pass


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
