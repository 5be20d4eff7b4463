"""Sends the calls given as JSON on standard input and prints what became of them."""
import contextlib
import datetime
import json
import sys

from celery.backends import rpc
from tasks import app

# Celery 5.6.3 takes each second without a result for a broken connection: it drops the reply queue and makes a new one,
# and what arrives in between is lost. Without that the tests would lose results that nobody here has lost.
rpc.ResultConsumer.reconnect_on_error = lambda self: contextlib.nullcontext()

outcomes = []
handles = []
for call in json.load(sys.stdin):
    options = dict(call.get("options") or {})
    if "eta" in options:
        options["eta"] = datetime.datetime.fromisoformat(options["eta"])
    handles.append((call, app.send_task(call["name"], call.get("args"), call.get("kwargs"), **options)))
for call, handle in handles:
    if call.get("forget"):
        outcomes.append({"id": handle.id})
        continue
    try:
        value = handle.get(timeout=call.get("timeout", 20))
        outcomes.append({"id": handle.id, "state": handle.state, "value": value, "type": type(value).__name__})
    except Exception as error:
        outcomes.append({
            "id": handle.id,
            "state": handle.state,
            "error": type(error).__name__,
            "args": [str(arg) for arg in error.args],
            "traceback": handle.traceback,
        })
print(json.dumps(outcomes))
