"""Stamps the signatures given as JSON on standard input as Celery does, and prints them with the order of the visits."""
import json
import sys

from celery.canvas import StampingVisitor, signature

from tasks import app

HOOKS = [
    "on_signature",
    "on_group_start",
    "on_group_end",
    "on_chain_start",
    "on_chain_end",
    "on_chord_header_end",
    "on_chord_body",
    "on_callback",
    "on_errback",
]


def visitor_of(values):
    trace = []

    class Visitor(StampingVisitor):
        def on_signature(self, sig, **headers):
            raise NotImplementedError

    def hook(name):
        def visit(self, sig, **headers):
            trace.append([name, sig["task"]])
            return dict(values.get(name) or {})

        return visit

    for name in HOOKS:
        setattr(Visitor, name, hook(name))
    Visitor.__abstractmethods__ = frozenset()
    return Visitor(), trace


def stamped(case):
    sig = signature(case["dict"], app=app)
    visitor, trace = visitor_of(case["visitor"])
    sig.stamp(visitor, append_stamps=case["append"], **case["stamps"])
    return {"dict": json.loads(json.dumps(sig)), "trace": trace}


print(json.dumps([stamped(case) for case in json.load(sys.stdin)]))
