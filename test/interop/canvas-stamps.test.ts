import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callDict, chainDict, chordDict, groupDict, withLink } from '../../src/canvas/dict.ts';
import { chordSize } from '../../src/canvas/leaves.ts';
import { stampDict, type StampingVisitor, type StampValues } from '../../src/canvas/stamp.ts';
import type { SignatureDict } from '../../src/protocol/task-message.ts';
import { missing, olderThan } from '../support/available.ts';
import { pythonScript } from '../support/python.ts';

/*
 * Random canvases, stamped here and by Celery: the same stamps on the same parts, visited in the same order.
 */

const reason = missing('python') ?? olderThan(5, 3);

const leaf = fc.constantFrom('a', 'b', 'c').map((name) => callDict(`t.${name}`, [1]));
const { canvas } = fc.letrec<{ canvas: SignatureDict }>((tie) => ({
  canvas: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    leaf,
    fc.tuple(leaf, leaf).map(([one, link]) => withLink(one, 'link', link)),
    fc.tuple(leaf, leaf).map(([one, link]) => withLink(one, 'link_error', link)),
    fc.array(tie('canvas'), { minLength: 2, maxLength: 3 }).map((of) => chainDict(of)),
    fc.array(tie('canvas'), { minLength: 1, maxLength: 3 }).map((of) => groupDict(of)),
    fc.tuple(fc.array(tie('canvas'), { minLength: 1, maxLength: 2 }), leaf).map(([of, body]) => chordDict(of, body)),
  ),
}));

const values = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.constantFrom(1, 2, 'one', 'two'), {
  maxKeys: 2,
});

const HOOKS: Readonly<Record<string, keyof StampingVisitor>> = {
  on_signature: 'onSignature',
  on_group_start: 'onGroupStart',
  on_group_end: 'onGroupEnd',
  on_chain_start: 'onChainStart',
  on_chain_end: 'onChainEnd',
  on_chord_header_end: 'onChordHeaderEnd',
  on_chord_body: 'onChordBody',
  on_callback: 'onCallback',
  on_errback: 'onErrback',
};
const RETURNING = ['on_signature', 'on_group_start', 'on_chain_start', 'on_chord_body', 'on_callback', 'on_errback'];

interface Case {
  readonly dict: SignatureDict;
  readonly stamps: StampValues;
  readonly visitor: Readonly<Record<string, StampValues>>;
  readonly append: boolean;
}

const cases = fc.record<Case>({
  dict: canvas,
  stamps: values,
  visitor: fc.record(Object.fromEntries(RETURNING.map((name) => [name, values]))),
  append: fc.boolean(),
});

interface Stamped {
  readonly dict: SignatureDict;
  readonly trace: (readonly [hook: string, task: string])[];
}

function stamped({ dict, stamps, visitor, append }: Case): Stamped {
  const trace: [string, string][] = [];
  const hooks = Object.fromEntries(
    Object.entries(HOOKS).map(([python, ours]) => [
      ours,
      (signature: SignatureDict) => {
        trace.push([python, signature.task]);
        return RETURNING.includes(python) ? visitor[python] : undefined;
      },
    ]),
  );
  return { dict: stampDict(dict, { stamps, append, visitor: hooks }), trace };
}

/** Names and lists of stamps have no order; Celery keeps them in sets. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, function (this: object, name, one: unknown) {
      // Lists that Celery shares between its parts name stamps that a part does not have.
      if (name === 'stamped_headers') return (one as string[]).filter((stamp) => stamp in this).toSorted();
      // Visiting makes Celery's header a group.
      if (name === 'header' && !Array.isArray(one)) return (one as SignatureDict).kwargs['tasks'];
      if (typeof one !== 'object' || one === null || Array.isArray(one)) return one;
      return Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => a.localeCompare(b)));
    }),
  );
}

describe.skipIf(reason !== undefined)(`stamps${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('random canvases are stamped as Celery stamps them', { timeout: 120_000 }, async () => {
    const all = fc.sample(cases, { seed: 20_261_125, numRuns: 300 });
    const theirs = await pythonScript<Stamped[]>('stamp.py', all);
    const differing = all.flatMap((one, n) => {
      const ours = plain(stamped(one));
      return JSON.stringify(ours) === JSON.stringify(plain(theirs[n])) ? [] : [{ one, ours, theirs: plain(theirs[n]) }];
    });
    expect(differing.slice(0, 2)).toEqual([]);
  });

  test('random canvases count for as many members of a chord as in Celery (CAN-15)', async () => {
    const { deep } = fc.letrec<{ deep: SignatureDict }>((tie) => ({
      deep: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        leaf,
        fc.array(tie('deep'), { minLength: 1, maxLength: 3 }).map((of) => chainDict(of)),
        fc.array(tie('deep'), { maxLength: 3 }).map((of) => groupDict(of)),
        fc.tuple(fc.array(tie('deep'), { maxLength: 3 }), tie('deep')).map(([of, body]) => chordDict(of, body)),
      ),
    }));
    const all = fc.sample(deep, { seed: 20_261_125, numRuns: 2_000 });
    const theirs = await pythonScript<number[]>('canvas_sizes.py', all);
    expect(all.flatMap((dict, n) => (chordSize(dict) === theirs[n] ? [] : [[dict, theirs[n]]])).slice(0, 2)).toEqual(
      [],
    );
    expect(Math.max(...theirs)).toBeGreaterThan(8);
    expect(theirs).toContain(0);
  });
});
