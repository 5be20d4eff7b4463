"""How many members each signature given as JSON on standard input counts for in a chord."""
import json
import sys

from celery.canvas import _chord, signature

from tasks import app

print(json.dumps([_chord._descend(signature(one, app=app)) for one in json.load(sys.stdin)]))
