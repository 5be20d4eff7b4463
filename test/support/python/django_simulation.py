"""What django-celery-beat's own entries do minute by minute, on a clock that is set by hand."""
import datetime as real
import types
from datetime import timezone
from zoneinfo import ZoneInfo

from django.conf import settings
from django_celery_beat import models, schedulers, tzcrontab


class Clock:
    moment = None

    def aware(self, tz=None):
        return self.moment.astimezone(tz or timezone.utc)

    def django(self):
        if settings.USE_TZ:
            return self.moment
        return self.moment.astimezone(ZoneInfo(settings.TIME_ZONE)).replace(tzinfo=None)


clock = Clock()


class Datetime(real.datetime):
    @classmethod
    def now(cls, tz=None):
        return clock.aware(tz)

    @classmethod
    def utcnow(cls):
        return clock.moment.replace(tzinfo=None)


def simulate(app, start, minutes, step):
    """Runs every enabled row from `start` on, as beat would if it looked every `step` minutes; rows are saved at once."""
    patches = [
        (schedulers, "datetime", types.SimpleNamespace(datetime=Datetime, timedelta=real.timedelta)),
        (tzcrontab, "datetime", Datetime),
        (models, "now", clock.django),
        (type(app), "now", lambda self: clock.aware(self.timezone)),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in patches]
    for place, name, value in patches:
        setattr(place, name, value)
    try:
        return run(app, real.datetime.fromisoformat(start), minutes, step)
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def run(app, first, minutes, step):
    clock.moment = first
    entries = [schedulers.ModelEntry(model, app=app) for model in models.PeriodicTask.objects.enabled().order_by("name")]
    sent = []
    for minute in range(0, minutes, step):
        clock.moment = first + real.timedelta(minutes=minute)
        for at, entry in enumerate(entries):
            if entry.is_due().is_due:
                sent.append(f"{clock.moment.isoformat()[:16]} {entry.name}")
                entries[at] = next(entry)
                entries[at].save()
    return sent
