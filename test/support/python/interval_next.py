"""Next runs of intervals as Celery computes them: cases as JSON on stdin, milliseconds on stdout."""

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import schedule

apps = {}


def app_of(name):
    if name not in apps:
        apps[name] = Celery(set_as_current=False, timezone=name)
    return apps[name]


def next_run(case):
    zone = ZoneInfo(case['timezone'])
    last = datetime.fromtimestamp(case['last'] / 1000, zone)
    interval = schedule(
        timedelta(milliseconds=case['every']), relative=case['relative'], nowfun=lambda: last, app=app_of(case['timezone'])
    )
    end = last.astimezone(timezone.utc) + interval.remaining_estimate(last)
    return round(end.timestamp() * 1000)


json.dump([next_run(case) for case in json.load(sys.stdin)], sys.stdout)
