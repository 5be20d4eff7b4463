"""Next runs of crontabs as Celery computes them: cases as JSON on stdin, milliseconds on stdout."""

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab

apps = {}


def app_of(name):
    if name not in apps:
        apps[name] = Celery(set_as_current=False, timezone=name)
    return apps[name]


def next_run(case):
    minute, hour, day, month, weekday = case['spec']
    app = app_of(case['timezone'])
    zone = ZoneInfo(case['timezone'])
    now = datetime.fromtimestamp(case['now'] / 1000, zone)
    last = datetime.fromtimestamp(case['last'] / 1000, zone)
    schedule = crontab(minute, hour, weekday, day, month, nowfun=lambda: now, app=app)
    remaining = schedule.remaining_estimate(last)
    end = now.astimezone(timezone.utc) + remaining
    return round(end.timestamp() * 1000)


json.dump([next_run(case) for case in json.load(sys.stdin)], sys.stdout)
