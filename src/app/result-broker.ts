import type { ResultBroker } from '../backends/drivers.ts';
import type { Celery } from './celery.ts';

/** How results that are messages travel over an app's broker. */
export function resultBroker(app: Celery): ResultBroker {
  const { conf, serializers } = app;
  const accept = serializers.acceptSet(conf.resultAcceptContent ?? conf.acceptContent);
  return {
    oid: app.oid,
    persistent: conf.resultPersistent ?? false,
    transport: () => app.transport(),
    publish: (message, to) => app.publisher.publishRaw(message, to),
    encode: (value) => serializers.encode(value, conf.resultSerializer),
    decode: ({ body, contentType, contentEncoding }) => serializers.decode(body, contentType, accept, contentEncoding),
  };
}
