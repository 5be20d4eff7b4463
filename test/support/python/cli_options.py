"""Every command of `celery` with its options, as JSON."""
import json

import click
from celery.bin.celery import celery

found = {}


def walk(command, path):
    options = [param for param in command.params if isinstance(param, click.Option)]
    found[path] = sorted({name for option in options for name in option.opts})
    for name, one in getattr(command, "commands", {}).items():
        walk(one, f"{path} {name}".strip())


walk(celery, "")
print(json.dumps(found))
