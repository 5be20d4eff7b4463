"""kombu on the other side: echoes what it reads from one simple queue into another, until it reads "end"."""

import json
import sys

from kombu import Connection, Exchange, Producer, Queue

wish = json.load(sys.stdin)
seen = []
with Connection(wish['url']) as connection:
    source = connection.SimpleQueue(wish['source'])
    target = connection.SimpleQueue(wish['target'])
    while True:
        message = source.get(timeout=30)
        message.ack()
        if message.payload == 'end':
            break
        body = message.payload
        if isinstance(body, (bytes, memoryview)):
            seen.append(['bytes', bytes(body).hex()])
            body = bytes(body)
        else:
            seen.append([type(body).__name__, body])
        target.put(body, headers={'seen': message.content_type, 'n': len(seen)}, compression='gzip')
    media = Exchange('media', 'topic')
    Producer(connection, media, serializer='json').publish(
        {'name': 'a.mp4'}, routing_key='video.mp4', declare=[Queue('video', media, 'video.#')],
        expiration=60, priority=3, correlation_id='c1', reply_to='r1',
    )
    source.close()
    target.close()
json.dump(seen, sys.stdout)
