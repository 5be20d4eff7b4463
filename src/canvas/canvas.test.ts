import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { SignatureDict } from '../protocol/task-message.ts';
import { callDict, chainDict, chordDict, groupDict, headerOf, withArgs, withLink, withOptions } from './dict.ts';
import { freeze } from './freeze.ts';
import { chunksDict, mapDict, starmapDict } from './many.ts';
import { plan } from './plan.ts';
import { signatureRepr } from './repr.ts';
import { stampDict } from './stamp.ts';

interface Vector {
  readonly raw: {
    readonly reprs: Record<string, string>;
    readonly dicts: Record<string, SignatureDict>;
    readonly result_tuples: Record<string, unknown>;
  };
}
const { raw } = JSON.parse(
  readFileSync(new URL('../../test/vectors/5.6/signatures/dicts.json', import.meta.url), 'utf8'),
) as Vector;

const OID = '0a0a0a0a-0000-3000-8000-00000000000a';
const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const counted = (): { uuid: () => string; oid: string } => {
  let n = 0;
  return { uuid: () => id(++n), oid: OID };
};
const add = (...args: unknown[]): SignatureDict => callDict('vec.add', args);
const mul = (...args: unknown[]): SignatureDict => callDict('vec.mul', args);
const xsum = callDict('vec.xsum', []);

const BUILT: readonly (readonly [string, SignatureDict])[] = [
  ['task', add(1, 2)],
  ['task_immutable', callDict('vec.add', [1, 2], { immutable: true })],
  ['task_kwargs', callDict('vec.add', [], { kwargs: { x: 1, y: 2 } })],
  ['linked', withLink(withLink(add(1, 2), 'link', mul(2)), 'link_error', callDict('vec.on_error', []))],
  ['chain', chainDict([add(1, 2), mul(3), add(4)])],
  ['chain_nested', chainDict([chainDict([add(1, 2), mul(3)]), add(4)])],
  ['group', groupDict([add(1, 1), add(2, 2)])],
  ['group_empty', groupDict([])],
  ['group_nested', groupDict([add(1, 1), groupDict([add(2, 2), mul(3, 3)])])],
  ['chord', chordDict([add(1, 1), add(2, 2)], xsum)],
  ['chord_or', chainDict([groupDict([add(1, 1), add(2, 2)]), xsum])],
  ['chord_or_chain', chainDict([groupDict([add(1, 1), add(2, 2)]), xsum, add(1)])],
  ['task_or_group_or_task', chainDict([add(1, 1), groupDict([add(2), add(3)]), xsum])],
  ['group_or_group', chainDict([groupDict([add(1, 1), add(2, 2)]), groupDict([xsum, xsum])])],
  ['xmap', mapDict(xsum, [[1], [2]])],
  ['xstarmap', starmapDict(add(), [[1, 2]])],
  [
    'chunks_group',
    chunksDict(
      add(),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      2,
    ),
  ],
];

test.each(BUILT)('%s is written as Python writes it', (name, dict) => {
  expect(JSON.parse(JSON.stringify(dict))).toEqual(raw.dicts[name]);
});

test.each(Object.keys(raw.reprs).filter((name) => name !== 'chain_empty'))('%s is shown as Python shows it', (name) => {
  expect(signatureRepr(raw.dicts[name] as SignatureDict)).toBe(withLists(raw.reprs[name] as string));
});

/** Python's vectors were made of tuples and generators; here, and in what comes off the wire, those are lists. */
function withLists(text: string): string {
  const closing: string[] = [];
  const plain = text.replaceAll(/<_regen: (\[.*\])>/g, '$1');
  return plain.replaceAll(/\w?[()]/g, (found) => {
    if (found.endsWith(')')) return found.slice(0, -1) + closing.pop();
    const call = found.length === 2 || plain.startsWith('%(');
    closing.push(call ? ')' : ']');
    return call ? found : '[';
  });
}

const RESULTS: readonly (readonly [string, SignatureDict])[] = BUILT.filter(
  ([name]) => !['task_or_group_or_task', 'chord_or_chain', 'group_or_group'].includes(name),
);

test.each(RESULTS)('the frozen result of %s has the shape Python gives it', (name, dict) => {
  expect(numbered(freeze(dict, counted()).result)).toEqual(numbered(raw.result_tuples[name]));
});

test('a single-member group in a chain is its member', () => {
  expect(chainDict([add(1, 1), groupDict([add(2)]), add(3)])).toEqual(chainDict([add(1, 1), add(2), add(3)]));
});

test('a header of one stays a header, also in a chain: its body gets a list', () => {
  const one = chordDict([add(2)], xsum);
  expect(chainDict([add(1, 1), one]).kwargs['tasks']).toEqual([add(1, 1), one]);
});

test('a body that is a group of one stays a group when something follows it', () => {
  const body = groupDict([xsum]);
  expect(chainDict([chordDict([add(1, 1)], body), add(3)])).toEqual(chordDict([add(1, 1)], chordDict([xsum], add(3))));
});

test('arguments go in front of those that are bound, unless the signature is immutable', () => {
  expect(withArgs(add(10), [30]).args).toEqual([30, 10]);
  expect(withArgs(callDict('vec.add', [1], { immutable: true }), [30]).args).toEqual([1]);
  expect(withArgs(callDict('t', [], { kwargs: { a: 1, b: 2 } }), [], { b: 3 }).kwargs).toEqual({ a: 1, b: 3 });
});

test('options: the newest wins, null says nothing, group and stamps stay', () => {
  const dict = callDict('t', [], { options: { queue: 'a', group_id: 'g', stamped_headers: ['s'], s: 1 } });
  expect(withOptions(dict, { queue: 'b', priority: null, group_id: 'other', s: 2 }).options).toEqual({
    queue: 'b',
    group_id: 'g',
    stamped_headers: ['s'],
    s: 1,
  });
});

test('nothing that is given changes', () => {
  const dict = Object.freeze({ ...add(1), options: Object.freeze({}) });
  withArgs(dict, [1]);
  withOptions(dict, { queue: 'q' });
  withLink(dict, 'link', add());
  expect(freeze(dict, counted()).dict.options['task_id']).toBe(id(1));
  expect(dict).toEqual(add(1));
});

test('freezing twice keeps the ids', () => {
  const once = freeze(chainDict([add(1, 2), groupDict([mul(1), mul(2)])]), counted());
  expect(freeze(once.dict, counted()).result).toEqual(once.result);
});

interface Sent {
  readonly decoded_bodies?: unknown;
  readonly raw: { readonly broker_db: Record<string, { type: string; value: readonly { text: string }[] }> };
}

/** What Python left in the queues: task, embed, group, index, in the order they were sent. */
function sentBy(name: string): unknown[] {
  const url = new URL(`../../test/vectors/5.6/messages/redis/canvas/${name}.json`, import.meta.url);
  const vector = JSON.parse(readFileSync(url, 'utf8')) as Sent;
  return Object.values(vector.raw.broker_db)
    .filter(({ type }) => type === 'list')
    .flatMap(({ value }) =>
      [...value].reverse().map(({ text }) => {
        const { headers, body } = JSON.parse(text) as { headers: Record<string, unknown>; body: string };
        const [args, , embed] = JSON.parse(Buffer.from(body, 'base64').toString()) as [unknown, unknown, object];
        return { task: headers['task'], id: headers['id'], group: headers['group'], args, ...embed };
      }),
    );
}

function planned(dict: SignatureDict, options: Record<string, unknown> = {}): unknown[] {
  return plan(dict, options, counted()).calls.map(({ task, args, options: own }) => ({
    task,
    id: own['task_id'],
    group: own['group_id'] ?? null,
    args,
    callbacks: own['link'] ?? null,
    errbacks: own['link_error'] ?? null,
    chain: own['chain'] ?? null,
    chord: own['chord'] ?? null,
  }));
}

/** A replacer: the order in which options were written does not matter. */
function sorted(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Ids by order of appearance: on the other side delivery tags used some up. */
function numbered(sent: unknown): unknown {
  const seen = new Map<string, string>();
  const text = JSON.stringify(sent, sorted).replace(/00000000-0000-4000-8000-\d{12}/g, (found) => {
    if (!seen.has(found)) seen.set(found, `id-${seen.size + 1}`);
    return seen.get(found) as string;
  });
  return JSON.parse(text);
}

const same = callDict('vec.same', []);
const PLANS: [string, SignatureDict, Record<string, unknown>][] = [
  ['chain3', chainDict([add(1, 2), mul(3), add(4)]), { task_id: 'task-chain3' }],
  ['chain_link', withLink(chainDict([add(1, 2), mul(2)]), 'link', same), {}],
  ['group3', groupDict([add(0, 0), add(1, 1), add(2, 2)]), { task_id: 'task-group3' }],
  ['chord', chordDict([add(1, 1), add(2, 2)], xsum), { task_id: 'task-chord' }],
  ['chord_link', chordDict([add(1, 1), add(2, 2)], withLink(xsum, 'link', same)), {}],
  ['chord_header_chains', chordDict([chainDict([add(1, 1), mul(2)]), chainDict([add(3, 3), mul(4)])], xsum), {}],
  ['group_of_chains', groupDict([chainDict([add(1, 1), mul(2)]), chainDict([add(3, 3), mul(4)])]), {}],
];

test.each(PLANS)('%s is sent as Python sends it', (name, dict, options) => {
  expect(numbered(planned(dict, options))).toEqual(numbered(sentBy(name)));
});

test('a header that is sent later names no group: Celery 5.2 sends it with an id of its own', () => {
  const header = [chainDict([add(1, 1), mul(2)]), chordDict([add(3, 3)], chainDict([xsum, mul(4)]))];
  const [first] = plan(chainDict([same, chordDict(header, xsum)]), {}, counted()).calls;
  const chord = (first as SignatureDict).options['chain'] as [SignatureDict];
  expect(JSON.stringify(headerOf(chord[0]))).not.toContain('"group_id"');
  const sent = plan(chord[0], {}, counted());
  const groupId = sent.chords[0]?.groupId;
  const ends = sent.calls.map(({ options }) => (options['chain'] as SignatureDict[] | undefined)?.[0]?.options);
  expect(ends[0]).toMatchObject({ group_id: groupId, group_index: 0 });
});

test('where the backend cannot count, a chord is its header, and before it the task that waits for it', () => {
  const { calls, result } = plan(
    chordDict([add(1, 1), chainDict([add(2, 2), mul(3)])], xsum),
    {},
    { ...counted(), chords: 'unlock' },
  );
  const [unlock, ...header] = calls;
  expect(header.map(({ task, options }) => [task, options['chord']])).toEqual([
    ['vec.add', undefined],
    ['vec.add', undefined],
  ]);
  expect(unlock).toMatchObject({
    task: 'celery.chord_unlock',
    args: [header[0]?.options['group_id'], { task: 'vec.xsum', options: { task_id: result[0][0] } }],
    kwargs: {
      interval: null,
      max_retries: null,
      result: [[[header[0]?.options['task_id'], null], null], expect.anything()],
    },
    options: { countdown: 1, ignore_result: true },
  });
});

test('the body of an empty header is sent at once, with an empty list', () => {
  expect(plan(chordDict([], xsum), {}, counted()).calls).toMatchObject([{ task: 'vec.xsum', args: [[]] }]);
});

/** Stamps of the first message that Python sent, and of the signatures inside it, by task; names sorted. */
function stampsSent(name: string): unknown[] {
  const url = new URL(`../../test/vectors/5.6/messages/redis/canvas/${name}.json`, import.meta.url);
  const vector = JSON.parse(readFileSync(url, 'utf8')) as Sent;
  return Object.values(vector.raw.broker_db)
    .filter(({ type }) => type === 'list')
    .flatMap(({ value }) =>
      [...value].reverse().flatMap(({ text }) => {
        const { headers, body } = JSON.parse(text) as {
          headers: { task: string; stamps: Record<string, unknown> };
          body: string;
        };
        const [, , embed] = JSON.parse(Buffer.from(body, 'base64').toString()) as [unknown, unknown, object];
        return [[headers.task, headers.stamps], ...stampsWithin(embed)];
      }),
    );
}

function stampsWithin(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(stampsWithin);
  if (typeof value !== 'object' || value === null) return [];
  const { task, options } = value as { task?: string; options?: Record<string, unknown> };
  const names = options?.['stamped_headers'] as string[] | undefined;
  const own = names === undefined ? [] : [[task, pick(options, names)]];
  return [...own, ...Object.values(value).flatMap(stampsWithin)];
}

function pick(options: Record<string, unknown> | undefined, names: readonly string[]): object {
  return Object.fromEntries(
    names.filter((name) => options?.[name] !== undefined).map((name) => [name, options?.[name]]),
  );
}

const STAMPED: [string, SignatureDict][] = [
  ['stamp_simple', stampDict(add(1, 1), { stamps: { stamp: 42 } })],
  ['stamp_list', stampDict(add(1, 1), { stamps: { many: [4, 2], who: 'me' } })],
  [
    'stamp_chain_visitor',
    stampDict(
      withLink(withLink(chainDict([add(1, 1), mul(2)]), 'link', same), 'link_error', callDict('vec.on_error', [])),
      {
        visitor: {
          onSignature: () => ({ on_signature: 42 }),
          onCallback: () => ({ on_callback: true }),
          onErrback: () => ({ on_errback: true }),
        },
      },
    ),
  ],
  [
    'stamp_group_chord',
    stampDict(chordDict([add(1, 1), chainDict([add(2, 2), mul(1)])], xsum), {
      visitor: {
        onSignature: ({ task }) => ({ sig: task }),
        onGroupStart: () => ({ in_group: true }),
        onChainStart: () => ({ in_chain: true }),
        onChordBody: () => ({ in_body: true }),
      },
    }),
  ],
];

test.each(STAMPED)('%s is stamped as Python stamps it', (name, dict) => {
  const sent = plan(dict, {}, counted()).calls.flatMap(({ task, options }) => [
    [task, pick(options, options['stamped_headers'] as string[])],
    ...stampsWithin([options['link'], options['link_error'], options['chain'], options['chord']]),
  ]);
  const sorted = (all: unknown[]): string[] => all.map((one) => canonical(one)).sort();
  expect(sorted(sent)).toEqual(sorted(stampsSent(name)));
});

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => a.localeCompare(b)))
      : one,
  );
}

test('with `append`, two values for one stamp become a list', () => {
  const visitor = { onSignature: () => ({ who: 'visitor' }) };
  const once = stampDict(add(1), { stamps: { who: 'me' } });
  expect(stampDict(once, { stamps: { who: 'you' }, append: true }).options['who']).toEqual(['you', 'me']);
  expect(stampDict(add(1), { stamps: { who: 'me' }, visitor, append: true }).options['who']).toEqual(['me', 'visitor']);
});

test('messages of nested chords grow with their depth, not faster', () => {
  const nested = (depth: number): SignatureDict =>
    depth === 0 ? xsum : chordDict([add(1, 1), add(2, 2), add(3, 3)], nested(depth - 1));
  const size = (depth: number): number =>
    Math.max(...plan(nested(depth), {}, counted()).calls.map((call) => JSON.stringify(call).length));
  expect(size(40) - size(20)).toBeLessThan((size(20) - size(10)) * 2.1);
  expect(size(200)).toBeLessThan(2 ** 20);
  const steps = chainDict(Array.from({ length: 1000 }, () => add(1)));
  expect(JSON.stringify(plan(steps, {}, counted()).calls).length).toBeLessThan(2 ** 20);
});
