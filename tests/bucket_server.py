"""A server of S3 on this machine, and one before it that counts, and answers wrongly where it is told to."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
# What the environment says to reach it; failures are quick.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "hush-hush",
    "AWS_DEFAULT_REGION": "us-east-1",
    "GDAL_HTTP_RETRY_DELAY": "0.05",
    "GDAL_HTTP_TIMEOUT": "2",
}


@dataclass
class Fault:
    """How requests are answered of which method and path match a pattern, so many times."""

    pattern: str
    kind: Literal["503", "cut", "slow"]
    times: int = 10**6


@dataclass
class Answer:
    """A request that was answered, and the bytes of a file that it sent."""

    request: str  # method and path
    status: int
    first: int  # of these bytes
    count: int


@dataclass
class Log:
    """Answers so far."""

    answers: list[Answer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def of(self, pattern: str) -> list[Answer]:
        return [answer for answer in self.answers if re.search(pattern, answer.request)]


class BucketServer(ThreadingHTTPServer):
    """Passes on what it is asked to moto's server; `url` is that of the bucket by http."""

    daemon_threads = True

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.log = upstream, Log()
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.endpoint}/{BUCKET}"
        self.client = boto3.client("s3", endpoint_url="http://{}:{}".format(*upstream))

    def put(self, folder, prefix: str = "") -> None:
        """Upload all files below a folder, for everyone to read."""
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix}{path.relative_to(folder).as_posix()}"
                self.client.upload_file(str(path), BUCKET, key, ExtraArgs={"ACL": "public-read"})

    def keys(self, prefix: str = "") -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]

    def content(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = f"{self.command} {self.path}"
        fault = next((each for each in self.server.log.faults if each.times and re.search(each.pattern, request)), None)
        if fault is not None:
            fault.times -= 1
        if fault is not None and fault.kind == "503":
            self._send(request, 503, [("Content-Length", "0")])
            return
        upstream = http.client.HTTPConnection(*self.server.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
        skipped = ("transfer-encoding", "connection", "content-length", "server", "date")
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in skipped]
        self._send(request, answer.status, [*headers, ("Content-Length", str(length))], data, fault)

    def _send(self, request, status, headers, data=b"", fault=None) -> None:
        first = re.match(r"bytes=(\d+)", self.headers.get("Range", ""))
        self.server.log.answers.append(Answer(request, status, int(first[1]) if first else 0, len(data)))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if fault is not None:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            time.sleep(5 if fault.kind == "slow" else 0)
            self.close_connection = True
            return
        self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *given) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    """A server with an empty bucket, to which the environment points."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        server = BucketServer(moto.get_host_and_port())
        server.client.create_bucket(Bucket=BUCKET)
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
            moto.stop()
