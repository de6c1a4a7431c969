"""Judges deliveries with official packages: those that verify signatures, and the one that reads CloudEvents.

Usage: verify.py < REQUESTS

The input is a JSON list of objects with `verifier`, `key`, `headers` and `body`. The output is a list of what was said of each:
`problem` is what the verifier objected to, or null, and `events` are the attributes and data that a reader found.
"""

import base64
import json
import sys

import standardwebhooks.webhooks
import svix.webhooks
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def standard(key, headers, body):
    standardwebhooks.webhooks.Webhook(key).verify(body, headers, json_parse=False)


def of_svix(key, headers, body):
    svix.webhooks.Webhook(key).verify(body, headers)


def ed25519(key, headers, body):
    """The official packages verify `v1` only, so this is what their specification says, with a plain library."""
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signatures = [one.removeprefix("v1a,") for one in headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    if not signatures:
        raise ValueError("there is no v1a signature")
    for signature in signatures:
        public.verify(base64.b64decode(signature), content)


def cloudevents(_key, headers, body):
    if headers["content-type"] != "application/cloudevents-batch+json":
        return [event(headers, body)]
    structured = {"content-type": "application/cloudevents+json"}
    return [event(structured, json.dumps(one).encode()) for one in json.loads(body)]


def event(headers, body):
    read = from_http_event(HTTPMessage(headers, body))
    attributes = {name: str(value) for name, value in read.get_attributes().items()}
    return {"attributes": attributes | {"time": read.get_time().isoformat()}, "data": read.get_data()}


verifiers = {"standardwebhooks": standard, "svix": of_svix, "ed25519": ed25519, "cloudevents": cloudevents}
verdicts = []
for request in json.load(sys.stdin):
    verdict = {"problem": None, "events": []}
    verify = verifiers[request["verifier"]]
    try:
        verdict["events"] = verify(request["key"], request["headers"], request["body"].encode()) or []
    except Exception as error:
        # Each library has exceptions of its own, and any of them is a refusal.
        verdict["problem"] = f"{type(error).__name__}: {error}"
    verdicts.append(verdict)
json.dump(verdicts, sys.stdout)
