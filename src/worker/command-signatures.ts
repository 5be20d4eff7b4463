import { stringRepr } from '../protocol/repr.ts';

/* What commands of remote control must be given, and the words in which Python refuses anything else. */

interface Signature {
  readonly required?: readonly string[];
  /** Names it takes besides; undefined: any others are ignored. */
  readonly only?: readonly string[];
}

/** Source: the parameters of celery.worker.control's functions. Commands that are not here take anything. */
const SIGNATURES: Readonly<Record<string, Signature>> = {
  report: { only: [] },
  query_task: { required: ['ids'] },
  active_queues: { only: [] },
  hello: { required: ['from_node'] },
  objgraph: { only: ['num', 'max_depth', 'type'] },
  revoke: { required: ['task_id'] },
  terminate: { required: ['signal', 'task_id'] },
  revoke_by_stamped_headers: { required: ['headers'] },
  rate_limit: { required: ['task_name', 'rate_limit'] },
  time_limit: { required: ['task_name'] },
  add_consumer: { required: ['queue'] },
  cancel_consumer: { required: ['queue'] },
  autoscale: { only: ['max', 'min'] },
  enable_events: { only: [] },
  disable_events: { only: [] },
  heartbeat: { only: [] },
  election: { required: ['id', 'topic'] },
};

/** @returns Python's `repr` of the TypeError for arguments that the command does not take, else undefined */
export function refusal(method: string, args: Readonly<Record<string, unknown>>): string | undefined {
  const signature = Object.hasOwn(SIGNATURES, method) ? SIGNATURES[method] : undefined;
  if (signature === undefined) return undefined;
  const { required = [], only } = signature;
  const strange = only && Object.keys(args).find((name) => !only.includes(name) && !required.includes(name));
  if (strange !== undefined) {
    return typeError(`${method}() got an unexpected keyword argument ${stringRepr(strange)}`);
  }
  const missing = required.filter((name) => !Object.hasOwn(args, name));
  if (missing.length === 0) return undefined;
  const plural = missing.length === 1 ? '' : 's';
  return typeError(`${method}() missing ${missing.length} required positional argument${plural}: ${listed(missing)}`);
}

function listed(names: readonly string[]): string {
  const quoted = names.map((name) => `'${name}'`);
  const last = quoted.pop() as string;
  if (quoted.length === 0) return last;
  return `${quoted.join(', ')}${quoted.length > 1 ? ',' : ''} and ${last}`;
}

function typeError(text: string): string {
  return `TypeError(${stringRepr(text)})`;
}
