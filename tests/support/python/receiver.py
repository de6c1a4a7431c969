"""Receives deliveries, verifies each with the official Standard Webhooks package, and prints what it got.

Usage: receiver.py SECRET

The first line printed is the address; then comes one JSON object a delivery. An accepted one is answered with 204,
any other with 400.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
printing = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        problem = None
        try:
            webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError as error:
            problem = str(error)
        verdict = {
            "accepted": problem is None,
            "problem": problem,
            "headers": list(self.headers.items()),
            "body": body.decode(),
        }
        with printing:
            print(json.dumps(verdict), flush=True)
        self.send_response(204 if problem is None else 400)
        if problem is not None:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Keeps the usual log of requests out of the output."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/hooks", flush=True)
server.serve_forever()
