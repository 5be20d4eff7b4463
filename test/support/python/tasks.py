"""The Python side of interop tests: tasks of all shapes. Broker and backend come from the environment."""
import json
import os
import time

from celery import Celery

app = Celery("interop", broker=os.environ["INTEROP_BROKER"], backend=os.environ["INTEROP_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": float(os.environ.get("INTEROP_VISIBILITY", "3600"))},
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    worker_send_task_events=False,
)
app.conf.update(json.loads(os.environ.get("INTEROP_CONFIG", "{}")))

if app.conf.get("interop_broadcast"):
    from kombu import Queue
    from kombu.common import Broadcast

    app.conf.task_queues = [Queue("celery"), Broadcast(app.conf.interop_broadcast)]

if app.conf.get("interop_headers"):
    from kombu import Exchange, Queue

    media = Exchange("media", type="headers")
    app.conf.task_queues = [
        Queue(name, media, routing_key=name, binding_arguments=arguments)
        for name, arguments in app.conf.interop_headers.items()
    ]


@app.task(name="py.echo")
def echo(value):
    return value


@app.task(name="py.describe")
def describe(*args, **kwargs):
    """What arrived, with Python's own type names."""
    return [[type(arg).__name__, arg] for arg in args], {key: type(value).__name__ for key, value in kwargs.items()}


@app.task(name="py.add")
def add(x, y):
    return x + y


@app.task(name="py.fail")
def fail(*args):
    raise ValueError(args[-1])


@app.task(name="py.flaky", bind=True, max_retries=3)
def flaky(self, until):
    if self.request.retries < until:
        raise self.retry(countdown=0.2, exc=KeyError("not yet"))
    return self.request.retries


@app.task(name="py.request", bind=True)
def request(self):
    info = self.request
    return {
        "id": info.id,
        "origin": info.origin,
        "eta": info.eta,
        "expires": info.expires,
        "timelimit": list(info.timelimit),
        "root_id": info.root_id,
        "parent_id": info.parent_id,
        "argsrepr": info.argsrepr,
        "headers": info.headers,
        "traceparent": getattr(info, "traceparent", None),
        "priority": info.delivery_info.get("priority"),
        "exchange": info.delivery_info.get("exchange"),
        "started": time.time(),
    }


@app.task(name="py.fields", bind=True)
def fields(self, *args, **kwargs):
    """All that a message says about itself."""
    names = """id task args kwargs lang shadow eta expires group group_index retries timelimit root_id parent_id argsrepr
        kwargsrepr origin ignore_result replaced_task_nesting stamped_headers stamps callbacks errbacks chain chord headers
        reply_to correlation_id is_eager called_directly"""
    told = {name: getattr(self.request, name) for name in names.split()}
    info = self.request.delivery_info
    return {**told, "delivery_info": {key: info.get(key) for key in ("exchange", "routing_key", "priority", "redelivered")}}


@app.task(name="py.busy")
def busy(path):
    """Runs until the file is gone."""
    until = time.time() + 60
    while os.path.exists(path) and time.time() < until:
        time.sleep(0.02)
    return "done"


@app.task(name="py.record")
def record(identity, milliseconds):
    path = os.environ["INTEROP_LEDGER"]

    def line(what):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, f"{identity} {os.getpid()} {what}\n".encode())
        os.close(descriptor)

    line("start")
    time.sleep(milliseconds / 1000)
    line("end")


@app.task(name="shared.record")
def shared_record(identity, milliseconds):
    record(identity, milliseconds)


def told(value):
    """The same text in both languages."""
    return f"[{','.join(told(one) for one in value)}]" if isinstance(value, list) else str(value)


def counts():
    """Where runs are counted by label; None where nobody asked for it."""
    if os.environ.get("INTEROP_COUNTS") is None:
        return None
    if "counts" not in shared:
        import redis

        shared["counts"] = redis.Redis.from_url(os.environ["INTEROP_BACKEND"])
    return shared["counts"]


shared = {}


@app.task(name="py.step")
def step(*args):
    """`label` or `label(what came before)`: the result of a canvas shows how it ran."""
    label, before = args[-1], args[:-1]
    client = counts()
    if client is not None:
        client.hincrby("counts", label, 1)
    return f"{label}({told(before[0])})" if before else label


@app.task(name="py.errback")
def errback(task_id):
    import redis

    redis.Redis.from_url(os.environ["INTEROP_BACKEND"]).rpush("errbacks", f"py {task_id}")


@app.task(name="py.spread")
def spread(name, queue, n):
    """Sends a task n times as a group, and returns its handle."""
    from celery import group

    return group([app.signature(name, args=(i,), queue=queue) for i in range(n)]).apply_async()


@app.task(name="py.square")
def square(n):
    return n * n


@app.task(name="py.relay")
def relay(n):
    """Lets the other language do the work."""
    return app.send_task("ts.square", args=(n,), queue="ts")


@app.task(name="py.hop", bind=True)
def hop(self, seen=None):
    """Who ran before whom."""
    return (seen or []) + [[self.request.id, self.request.root_id, self.request.parent_id]]


@app.task(name="py.swap", bind=True)
def swap(self, name, queue, *args):
    """Lets another task take its place."""
    raise self.replace(app.signature(name, args=args, queue=queue))


@app.task(name="py.fan", bind=True)
def fan(self, name, queue, labels):
    """Lets a group take its place."""
    from celery import group

    raise self.replace(group([app.signature(name, args=(label,), queue=queue) for label in labels]))


@app.task(name="py.more", bind=True)
def more(self, name, queue, label):
    """Makes another task a member of its chord."""
    self.add_to_chord(app.signature(name, args=(label,), queue=queue))
    return "py.more"


def ledger(line):
    descriptor = os.open(os.environ["INTEROP_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


@app.task(name="part", bind=True, max_retries=5)
def part(self, chord, n, milliseconds=0):
    """A member of the chords that workers of both languages run; `test/chaos/canvas-worker.ts` has the other one."""
    ledger(f"part {chord} {n} {os.getpid()}")
    time.sleep((10 + n % 5 * 8 + milliseconds) / 1000)
    if n % 20 == 7 and self.request.retries == 0:
        raise self.retry(countdown=0)
    return n


@app.task(name="body")
def body(values, chord):
    ledger(f"body {chord} {','.join(str(value) for value in values)}")
    try:
        folder = os.path.dirname(os.environ["INTEROP_LEDGER"])
        os.close(os.open(f"{folder}/effect-{chord}", os.O_CREAT | os.O_EXCL))
        ledger(f"effect {chord}")
    except FileExistsError:
        pass
    return len(values)


@app.task(name="py.progress", bind=True)
def progress(self, n):
    for done in range(n):
        self.update_state(state="PROGRESS", meta={"done": done})
        time.sleep(0.05)
    return n


@app.task(name="py.waits", bind=True, max_retries=3)
def waits(self):
    """In the state RETRY for a long time."""
    raise self.retry(countdown=600, exc=KeyError("not yet"))


@app.task(name="py.note")
def note(*args):
    import redis

    redis.Redis.from_url(os.environ["INTEROP_BACKEND"]).rpush("notes", json.dumps(["py", *args]))


@app.task(name="py.errback3")
def errback3(request, error, traceback):
    import redis

    told = ["py", request.id, type(error).__name__, str(error)]
    redis.Redis.from_url(os.environ["INTEROP_BACKEND"]).rpush("notes", json.dumps(told))


def abortable():
    from celery.contrib.abortable import AbortableTask

    @app.task(name="py.abortable", bind=True, base=AbortableTask)
    def run(self):
        until = time.time() + 60
        while not self.is_aborted() and time.time() < until:
            time.sleep(0.05)
        return "stopped early"

    return run


abortable()


def commands():
    """Commands of remote control that only workers in the other language have."""
    from celery.worker.control import control_command, inspect_command

    @control_command(name="ts_level", args=[("level", int)], signature="<level>")
    def ts_level(state, level):
        """Set the level."""
        raise NotImplementedError

    @inspect_command(name="ts_place")
    def ts_place(state):
        """Where it is."""
        raise NotImplementedError


commands()


@app.task(name="py.stubborn", bind=True)
def stubborn(self):
    """Says that its soft limit has come, and goes on."""
    from celery.exceptions import SoftTimeLimitExceeded

    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        self.update_state(state="SOFT")
        time.sleep(60)
