"""Real Django with django-celery-beat on a test's database.

As a program it runs the Python code that comes in lines of JSON, and answers each with the variable `result`.
As a module it is the Celery app of `celery -A django_side beat -S django`.
"""
import json
import os
import sys
import traceback
from datetime import datetime, timedelta, timezone  # noqa: F401
from zoneinfo import ZoneInfo  # noqa: F401

import django
import pymysql
from celery import Celery, schedules  # noqa: F401
from django.conf import settings

side = json.loads(os.environ["DJANGO_SIDE"])
# Django asks for the version of another driver that this one stands in for.
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
if not settings.configured:
    settings.configure(
        DATABASES={"default": side["database"]},
        INSTALLED_APPS=["django_celery_beat"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        SECRET_KEY="test",
        **side.get("settings", {}),
    )
    django.setup()

app = Celery("django_side", broker=side.get("broker", "memory://"))
app.conf.update(broker_connection_retry_on_startup=True, **side.get("celery", {}))


def main():
    from django.core.management import call_command
    from django.db import connection
    from django_celery_beat import models, schedulers

    names = {**globals(), "connection": connection, "models": models, "schedulers": schedulers}
    names["call_command"] = call_command
    for name in ("IntervalSchedule", "CrontabSchedule", "SolarSchedule", "ClockedSchedule", "PeriodicTask", "PeriodicTasks"):
        names[name] = getattr(models, name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        names["result"] = None
        try:
            exec(json.loads(line), names)
            answer = {"result": names["result"]}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
