"""Builds the canvases given as JSON on standard input, sends them all, and prints what became of each."""
import json
import sys
import time

from celery import chain, chord, group

from tasks import app


def build(node):
    op = node["op"]
    if op in ("step", "fail"):
        queue = "ts" if node["lang"] == "ts" else "celery"
        return app.signature(f"{node['lang']}.{op}", args=(node["label"],), queue=queue)
    if op == "chain":
        return chain(*[build(one) for one in node["of"]])
    if op == "group":
        return group([build(one) for one in node["of"]])
    return chord([build(one) for one in node["of"]], build(node["body"]))


request = json.load(sys.stdin)
until = time.time() + request["seconds"]
sent = []
for case in request["cases"]:
    try:
        sent.append((build(case).apply_async(), None))
    except Exception as error:
        sent.append((None, f"{type(error).__name__}: {error}"))
outcomes = []
for handle, error in sent:
    if handle is None:
        outcomes.append({"state": "UNSENT", "error": error})
        continue
    try:
        outcomes.append({"state": "SUCCESS", "value": handle.get(timeout=max(0.2, until - time.time()))})
    except Exception as error:
        outcomes.append({"state": "FAILURE", "type": type(error).__name__, "error": str(error)})
print(json.dumps(outcomes))
