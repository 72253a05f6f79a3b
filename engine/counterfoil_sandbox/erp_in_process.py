"""A sandbox party without a socket: an HTTP session whose calls go straight into the application.

Everything else is as over the line: the same requests, the same answers, a cut line as a connection error. So a
rehearsal or simulation runs the very adapter that a real party gets, on its own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from werkzeug.test import EnvironBuilder, run_wsgi_app

from counterfoil_sandbox.service import Service


def in_process_session(service: Service, now: Callable[[], datetime] | None = None) -> requests.Session:
    """A session for any base URL with http://; give it to the HTTP adapter.

    now: a simulated clock; a call that takes longer on it than its read timeout ends as one.
    """
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _IntoApplication(service, now))
    return session


class _IntoApplication(HTTPAdapter):
    def __init__(self, service: Service, now: Callable[[], datetime] | None) -> None:
        super().__init__()
        self._service, self._now = service, now

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        began = self._now() if self._now else None
        body = request.body if isinstance(request.body, bytes | str | None) else None
        environ = EnvironBuilder(
            path=request.path_url, method=request.method or "GET", data=body, headers=list(request.headers.items())
        ).get_environ()
        try:
            chunks, status, headers = run_wsgi_app(self._service, environ, buffered=True)
        except ConnectionAbortedError as cut:
            raise requests.exceptions.ConnectionError("The line was cut.", request=request) from cut
        if self._now and began and _is_late((self._now() - began).total_seconds(), timeout):
            raise requests.exceptions.ReadTimeout("No answer came in time.", request=request)
        answer = urllib3.HTTPResponse(
            body=BytesIO(b"".join(chunks)),
            status=int(status.split()[0]),
            headers=dict(headers.items()),
            preload_content=False,
        )
        return self.build_response(request, answer)


def _is_late(took_s: float, timeout: Any) -> bool:
    read_s = timeout[1] if isinstance(timeout, tuple) else timeout
    return isinstance(read_s, int | float) and took_s > read_s
