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
