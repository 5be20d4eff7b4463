import { signatureOf } from '../canvas/call.ts';
import { isChain, isChord, isGroup, listOf } from '../canvas/dict.ts';
import { freeze } from '../canvas/freeze.ts';
import { dot, mermaid, partsOf, tree, type CanvasPlan, type PlanNode } from '../canvas/outline.ts';
import { plan as planned } from '../canvas/plan.ts';
import type { AnySignature } from '../canvas/types.ts';
import type { ResultBackend } from '../backends/backend.ts';
import { parseIso } from '../protocol/time.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';

/** A message beyond this size is refused by some brokers, and slow everywhere. */
const LARGE_BYTES = 1024 * 1024;

/**
 * Says what sending a signature would do, without sending it: where each message goes, how large it is, how its chords
 * are counted, and what cannot work.
 */
export async function planOf(app: Celery, signature: AnySignature): Promise<CanvasPlan> {
  const ids = { uuid: () => app.random.uuid(), oid: app.oid };
  const { dict } = freeze(signatureOf(signature), ids);
  const backend = await app.backend();
  const root = node(app, dict, backend);
  const { calls } = planned(dict, {}, { ...ids, chords: backend.chords === undefined ? 'unlock' : 'native' });
  const sizes = calls.map((call) => bytesOf(app, call) ?? 0);
  const problems = collect(root, []);
  return {
    root,
    messages: calls.length,
    leaves: root.leaves,
    bytes: Math.max(0, ...sizes),
    problems,
    toString: () => tree(root),
    toMermaid: () => mermaid(root),
    toDot: () => dot(root),
  };
}

function node(app: Celery, dict: SignatureDict, backend: ResultBackend): PlanNode {
  const kind = isChain(dict) ? 'chain' : isGroup(dict) ? 'group' : isChord(dict) ? 'chord' : 'task';
  const children = partsOf(dict).map((part) => node(app, part, backend));
  const leaves = kind === 'task' ? 1 : children.reduce((sum, child) => sum + child.leaves, 0);
  const chord = kind === 'chord' ? backend.capabilities.chord : null;
  if (kind !== 'task') {
    const problems =
      chord === 'none' ? [`chords need a result backend that keeps results, and "${backend.name}" does not`] : [];
    return { kind, name: kind, queue: null, bytes: 0, leaves, chord, problems, children };
  }
  const { queue, problem } = addressOf(app, dict);
  const bytes = bytesOf(app, dict);
  const problems = [
    ...(problem === undefined ? [] : [problem]),
    ...(bytes === undefined ? [unwritable(app, dict)] : bytes > LARGE_BYTES ? [`its message has ${bytes} bytes`] : []),
    ...lateness(app, dict),
  ];
  return { kind, name: dict.task, queue, bytes: bytes ?? 0, leaves, chord, problems, children };
}

function addressOf(app: Celery, dict: SignatureDict): { readonly queue: string | null; readonly problem?: string } {
  try {
    return { queue: app.publisher.addressOf(dict) };
  } catch (error) {
    return { queue: null, problem: (error as Error).message };
  }
}

/** undefined: it cannot be written. */
function bytesOf(app: Celery, { args, kwargs, options }: SignatureDict): number | undefined {
  const { chain = null, chord = null, link, link_error: linkError } = options;
  const embed = { callbacks: listOf(link), errbacks: listOf(linkError), chain, chord };
  const serializer = (options['serializer'] as string | undefined) ?? app.conf.taskSerializer;
  try {
    return app.serializers.encode([args, kwargs, embed], serializer).body.length;
  } catch {
    return undefined;
  }
}

function unwritable(app: Celery, { args, kwargs, options }: SignatureDict): string {
  try {
    app.serializers.encode([args, kwargs], (options['serializer'] as string | undefined) ?? app.conf.taskSerializer);
  } catch (error) {
    return `its arguments cannot be serialized: ${(error as Error).message}`;
  }
  return 'its links or what follows it cannot be serialized';
}

function lateness(app: Celery, { options }: SignatureDict): string[] {
  const now = app.clock.now();
  const { eta, countdown, expires } = options;
  const due = typeof countdown === 'number' ? now + countdown * 1000 : typeof eta === 'string' ? parseIso(eta) : now;
  const end =
    typeof expires === 'number' ? now + expires * 1000 : typeof expires === 'string' ? parseIso(expires) : Infinity;
  return end < now ? ['it has expired already'] : end < due ? ['it expires before it is due'] : [];
}

function collect(node: PlanNode, path: readonly string[]): string[] {
  const here = [...path, node.name];
  return [
    ...node.problems.map((problem) => `${here.join(' > ')}: ${problem}`),
    ...node.children.flatMap((child) => collect(child, here)),
  ];
}
