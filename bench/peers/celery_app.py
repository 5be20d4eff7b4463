"""Python Celery as a peer: the tasks, and the producer's side of each measurement."""
import json
import os
import resource
import sys
import time

from celery import Celery, chain, chord, group

broker = os.environ["BENCH_BROKER"]
amqp = broker.startswith("amqp")
app = Celery("bench", broker=broker, backend="rpc://" if amqp else broker)
if amqp:
    # As Celeriac: a message is sent when the broker has it.
    app.conf.broker_transport_options = {"confirm_publish": True}
app.conf.update(worker_prefetch_multiplier=100, task_acks_late=True, broker_connection_retry_on_startup=True,
                worker_redirect_stdouts=False)

count = 0
start = 0.0


@app.task(name="noop", ignore_result=True)
def noop(i):
    """Counts in its own process; the solo pool runs everything in one."""
    global count, start
    if count == 0:
        start = time.perf_counter()
    count += 1
    if count == 1 or count % 500 == 0:
        print(json.dumps({"count": count, "at": time.time() * 1000}), flush=True)
    if count == int(os.environ.get("BENCH_N", "0")):
        seconds = time.perf_counter() - start
        times = os.times()
        print(json.dumps({"n": count, "seconds": seconds, "perSecond": count / seconds,
                          "cpuMicrosEach": (times.user + times.system) * 1e6 / count,
                          "peakRssMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


@app.task(name="echo")
def echo(i):
    return i


@app.task(name="total")
def total(values):
    return len(values)


def canvas(n, mode, times):
    """One workflow of n tasks after the other, each until its value is there."""
    make = {
        "chain": lambda: chain(*[echo.s(i) if i == 0 else echo.s() for i in range(n)]),
        "group": lambda: group([echo.s(i) for i in range(n)]),
        "chord": lambda: chord([echo.s(i) for i in range(n)], total.s()),
    }[mode]
    # Unless it is told not to, who waits for a chord asks for the state of every member of its header again and again:
    # of 10,000 members that takes minutes, and says nothing about the workers.
    waiting = {} if mode == "group" else {"follow_parents": False}
    measured = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        make().apply_async().get(timeout=300, **waiting)
        measured.append((time.perf_counter() - begin) * 1000)
    measured = sorted(measured[1:])
    return {"n": times, "p50": measured[int(times * 0.5)], "p99": measured[int(times * 0.99)]}


def timed(n, work):
    begin = time.perf_counter()
    work()
    seconds = time.perf_counter() - begin
    return {"n": n, "seconds": seconds, "perSecond": n / seconds}


def enqueue(n, mode):
    noop.delay(0)
    if mode == "bulk":
        return timed(n, lambda: [group(noop.s(i) for i in range(1000)).apply_async() for _ in range(n // 1000)])
    return timed(n, lambda: [noop.delay(i) for i in range(n)])


def awaited(n):
    return timed(n, lambda: [result.get(timeout=60) for result in [echo.delay(i) for i in range(n)]])


def round_trip(n):
    times = []
    for i in range(n + 10):
        begin = time.perf_counter()
        echo.delay(i).get(timeout=60)
        times.append((time.perf_counter() - begin) * 1000)
    times = sorted(times[10:])
    return {"n": n, "p50": times[int(n * 0.5)], "p99": times[int(n * 0.99)]}


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    op = options["op"]
    if op == "enqueue":
        answer = enqueue(options["n"], options["mode"])
    elif op == "awaited":
        answer = awaited(options["n"])
    elif op == "canvas":
        answer = canvas(options["n"], options["mode"], options["times"])
    else:
        answer = round_trip(options["n"])
    print(json.dumps(answer))
