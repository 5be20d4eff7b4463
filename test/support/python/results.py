"""Reads results as Celery's client does: requests as JSON on standard input, answers as JSON on standard output."""
import json
import sys

from celery.result import GroupResult, result_from_tuple

from tasks import app


def answer(request):
    op = request["op"]
    if op == "restore":
        group = GroupResult.restore(request["id"], app=app)
        return {"tuple": group.as_tuple(), "values": group.get(timeout=30), "completed": group.completed_count()}
    if op == "abort":
        from celery.contrib.abortable import AbortableAsyncResult

        return AbortableAsyncResult(request["id"], app=app).abort()
    if op == "meta":
        return app.backend.get_task_meta(request["id"])
    if op == "facts":
        one = app.AsyncResult(request["id"])
        result = one.result
        return {
            "state": one.state,
            "ready": one.ready(),
            "successful": one.successful(),
            "failed": one.failed(),
            "result": [type(result).__name__, *map(str, result.args)] if isinstance(result, Exception) else result,
            "traceback": one.traceback,
            "done": one.date_done and one.date_done.timestamp(),
            "name": one.name,
            "args": one.args,
            "kwargs": one.kwargs,
            "worker": one.worker,
            "retries": one.retries,
            "queue": one.queue,
        }
    if op == "states":
        from celery import states

        rank = sorted(request["states"], key=states.precedence)
        return [rank, *[sorted(one) for one in (states.READY_STATES, states.UNREADY_STATES, states.EXCEPTION_STATES,
                                                states.PROPAGATE_STATES)]]
    if op == "messages":
        seen = []
        sent = app.send_task(request["name"], request["args"], queue=request["queue"])
        sent.get(timeout=30, on_message=lambda meta: seen.append([meta["status"], meta["result"]]))
        return seen
    if op == "forget":
        return app.AsyncResult(request["id"]).forget()
    if op == "send":
        return app.send_task(request["name"], request["args"], queue=request["queue"]).as_tuple()
    result = result_from_tuple(request["tuple"], app=app)
    if op == "save":
        result.save()
        return result.id
    if op == "collect":
        return [[one.id, value] for one, value in result.collect(timeout=30)]
    if op == "edges":
        result.get(timeout=30)
        return [[parent and parent.id, one.id] for parent, one in result.iterdeps()]
    if op == "parents":
        # `as_list` of Celery's own does not know groups.
        ids = [result.id] + [parent.id for parent in result._parents()]
        return {"ids": ids, "value": result.get(timeout=30), "tuple": result.as_tuple()}
    if op == "graph":
        return {str(node): [str(child) for child in children] for node, children in result.graph.items()}
    raise ValueError(op)


print(json.dumps([answer(request) for request in json.load(sys.stdin)], default=str))
