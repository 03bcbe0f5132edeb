"""An HTTP server on loopback in a thread: what stands in for services outside."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    encryption: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.encryption is None:
            super().finish_request(request, client_address)
            return
        try:
            with self.encryption.wrap_socket(request, server_side=True) as secret:
                super().finish_request(secret, client_address)
        except (ssl.SSLError, ConnectionError):
            return  # the other side did not like what it saw


class Loopback:
    """A server at a free port, from the moment it is made until `stop`."""

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], encryption: ssl.SSLContext | None = None
    ) -> None:
        self._scheme = "https" if encryption else "http"
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.encryption = encryption
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
