"""How gunicorn serves the API: threads, so that thousands of agents may keep their connections.

COUNTERFOIL_WORKERS processes; with SQLite one, since two processes that write to it can corrupt it.
"""

from __future__ import annotations

import os

bind = os.environ.get("COUNTERFOIL_LISTEN", "127.0.0.1:8466")
worker_class = "counterfoil_engine.api.worker.Worker"
workers = int(os.environ.get("COUNTERFOIL_WORKERS", "1"))
threads = int(os.environ.get("COUNTERFOIL_THREADS", "8"))
worker_connections = 1000
keepalive = 75
timeout = 60
graceful_timeout = 30
backlog = 512
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 4094
control_socket_disable = True  # gunicorn would open it in the home directory, which may be read-only
accesslog = None  # the API logs what it does itself
