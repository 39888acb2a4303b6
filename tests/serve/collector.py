"""A collector that takes traces by OTLP, as Tempo, Phoenix or Langfuse do."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.loopback import listening


class Span(NamedTuple):
    """A span as it came."""

    name: str
    id: str
    parent: str
    trace: str
    failed: bool
    attributes: dict[str, Any]
    links: set[str]  # ids of other spans


class Collected:
    """What has come so far.

    Attributes:
        url: Where it is sent to, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        spans: All spans.
        services: Names of who sent them.
        raw: All that was sent, one after the other.
    """

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.raw = b""

    def take(self, content: bytes) -> None:
        """Reads one message."""
        self.raw += content
        for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
            about = _attributes(resource.resource.attributes)
            self.services.add(about["service.name"])
            for scope in resource.scope_spans:
                self.spans += [
                    Span(each.name, each.span_id.hex(), each.parent_span_id.hex(),
                         each.trace_id.hex(), each.status.code == 2, _attributes(each.attributes),
                         {link.span_id.hex() for link in each.links})
                    for each in scope.spans
                ]  # fmt: skip

    def root(self, trace: str) -> Span:
        """The request's span of a trace, once it has come: it ends last."""
        until = time.monotonic() + 60
        while True:
            mine = [span for span in self.spans if span.trace == trace]
            for span in mine:
                if "http.request.method" in span.attributes:
                    return span
            assert time.monotonic() < until, f"no request among {[span.name for span in mine]}"
            time.sleep(0.1)

    def below(self, root: Span) -> dict[str, list[str]]:
        """The names of the spans below one, each with those above it up to there, nearest first."""
        by_id = {span.id: span for span in self.spans}
        found = {}
        for span in self.spans:
            above, at = [], span
            while at.parent in by_id and at is not root:
                at = by_id[at.parent]
                above.append(at.name)
            if at is root and span is not root:
                found[span.name] = above[:-1]
        return found


@contextmanager
def collecting() -> Iterator[Collected]:
    """Runs a collector on a free port of this machine."""
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            assert self.path == "/v1/traces"
            collected.take(content)
            data = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with listening(Handler) as collected.url:
        yield collected


def _attributes(pairs: Any) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = (
            [each.string_value for each in value.values] if kind == "array_value" else value
        )
    return found
