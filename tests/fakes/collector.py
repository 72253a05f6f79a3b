"""Somewhere that traces are told: takes OTLP over HTTP, as protobuf or JSON, and keeps the spans."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class ToldSpan:
    service: str
    trace: str
    span: str
    parent: str
    name: str
    began_ns: int
    ended_ns: int
    said: dict[str, str]


class Collector:
    """Serves until closed; spans: what it was told, in that order. status: what it answers."""

    def __init__(self) -> None:
        self.spans: list[ToldSpan] = []
        self.status = 200
        handler = type("Handler", (_Handler,), {"collector": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, kind: str, body: bytes) -> None:
        told = json.loads(body) if kind == "application/json" else _of_protobuf(body)
        for resource in told["resourceSpans"]:
            service = _said(resource["resource"]["attributes"])["service.name"]
            for scope in resource["scopeSpans"]:
                self.spans += [
                    ToldSpan(
                        service,
                        span["traceId"],
                        span["spanId"],
                        span.get("parentSpanId", ""),
                        span["name"],
                        int(span["startTimeUnixNano"]),
                        int(span["endTimeUnixNano"]),
                        _said(span.get("attributes", [])),
                    )
                    for span in scope["spans"]
                ]


def _of_protobuf(body: bytes) -> Any:
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest.FromString(body)
    told = MessageToDict(message)
    for resource, plain in zip(message.resource_spans, told["resourceSpans"], strict=True):
        for scope, plain_scope in zip(resource.scope_spans, plain["scopeSpans"], strict=True):
            for span, plain_span in zip(scope.spans, plain_scope["spans"], strict=True):
                plain_span |= {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
                plain_span |= {"parentSpanId": span.parent_span_id.hex()}
    return told


def _said(attributes: list[Any]) -> dict[str, str]:
    return {each["key"]: str(next(iter(each["value"].values()))) for each in attributes}


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.collector.take(self.headers["Content-Type"], body)
        self.send_response(self.collector.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
