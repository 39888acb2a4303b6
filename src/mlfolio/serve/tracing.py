"""Traces of a server: a span for each request, what it is made of below it, sent by OTLP.

They are sent where OpenTelemetry's own variables say so: `OTEL_EXPORTER_OTLP_ENDPOINT` (or
`..._TRACES_ENDPOINT`), with `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_HEADERS` and the others that
its SDK reads. Where none is set nothing is made, and a request costs nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue
from starlette.types import Scope

from mlfolio import __version__
from mlfolio.core.errors import MissingExtraError, UserError
from mlfolio.core.trace import linked, spending, stage
from mlfolio.serve import metrics

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
QUIET = frozenset({"/health", "/ready", "/metrics"})  # asked all the time, by machines
Q = TypeVar("Q")
A = TypeVar("A")


def is_wanted() -> bool:
    """Whether traces are to be sent."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(os.environ.get(name, "").strip() for name in ENDPOINTS)


def check_protocol() -> None:
    """Whether traces are wanted as they can be sent, said before any process starts.

    Raises:
        UserError: They are wanted in a protocol that is not spoken here.
    """
    name = next(filter(os.environ.get, PROTOCOLS), PROTOCOLS[1])
    protocol = os.environ.get(name) or "http/protobuf"
    if is_wanted() and protocol != "http/protobuf":
        raise UserError(
            f"{name}={protocol!r}: traces are sent as http/protobuf alone",
            f"point {ENDPOINTS[1]} at the collector's HTTP port, mostly 4318 (gRPC's is 4317), "
            f"and take {name} out",
        )


@contextmanager
def exported() -> Iterator[None]:
    """Sends spans as long as it is open, and at its end those that wait.

    Raises:
        UserError: They are wanted in a protocol that is not spoken here.
        MissingExtraError: What sends them is not installed.
    """
    check_protocol()
    if not is_wanted():
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise MissingExtraError("sending traces", "serve", error.name or "") from None
    about = {"service.version": __version__}
    if "OTEL_SERVICE_NAME" not in os.environ:
        about["service.name"] = "mlfolio"
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextmanager
def request(scope: Scope, status: Mapping[str, object]) -> Iterator[None]:
    """The span of a request, below that of who sent it, if it says so (`traceparent`).

    Args:
        scope: Of ASGI. Its route is known once it is answered. The path is not told: it may name a
            document.
        status: Has the HTTP status under `status` once it is answered.
    """
    if not is_wanted() or scope["path"] in QUIET:
        yield
        return
    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    method = scope["method"]
    with trace.get_tracer("mlfolio").start_as_current_span(
        method, propagate.extract(sent), SpanKind.SERVER, {"http.request.method": method},
        record_exception=False, set_status_on_exception=False,
    ) as span:  # fmt: skip
        try:
            yield
        finally:
            route = metrics.route_of(scope)
            code = int(str(status["status"]))
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", code)
            if code >= 500:
                span.set_status(StatusCode.ERROR)


def watched(
    system: str, name: str, work: Callable[[list[Q]], Sequence[A]]
) -> Callable[[list[Q]], Sequence[A]]:
    """Work of a system's model as a stage, whose own stages are told to Prometheus.

    Args:
        system: Whose.
        name: Of the stage.
        work: Answers a batch.
    """

    def run(batch: list[Q]) -> Sequence[A]:
        about: dict[str, AttributeValue] = {
            "mlfolio.system": system, "mlfolio.batch.size": len(batch),
        }  # fmt: skip
        with _told(system), stage(name, about, span=f"{name} {system}") as span:
            linked(span)
            return work(batch)

    return run


def watched_pieces(system: str, pieces: Iterator[A]) -> Generator[A, None, None]:
    """Pieces of an answer as they come, likewise."""
    with _told(system), stage("talk", {"mlfolio.system": system}, span=f"talk {system}"):
        yield from pieces


@contextmanager
def _told(system: str) -> Iterator[None]:
    with spending() as spent:
        try:
            yield
        finally:
            metrics.observe_spent(system, spent)
