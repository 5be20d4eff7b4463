import type { CreateNodeOptions, ScalarTag, Tags } from 'yaml';
import { DecodeError } from '../errors.ts';
import type { Serializer } from './registry.ts';
import { requireOptional } from './packages.ts';
import { plainCopy } from './plain.ts';
import { isTypedText, PlainDate, WIRE_TYPE } from './types.ts';
import { utf8Text } from './utf8.ts';

/*
 * YAML 1.1 by the package yaml, for PyYAML's safe_load and safe_dump. Texts are always quoted: what counts as a plain
 * text differs between readers. Differs from safe_dump: keys keep their order. A key `<<` is read
 * as a merge, quoted or not.
 */

type Yaml = typeof import('yaml');

const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[+-]\d\d?(?::?\d\d)?))?$/;

const isDay = (value: unknown): boolean =>
  value instanceof PlainDate ||
  (typeof value === 'object' && value !== null && isTypedText(value) && value[WIRE_TYPE] === 'date');

/** Days stay days; a moment at midnight stays a moment. A moment without an offset is UTC, as PyYAML's readers assume. */
const timestamp: ScalarTag = {
  tag: 'tag:yaml.org,2002:timestamp',
  default: true,
  identify: (value) => value instanceof Date || isDay(value),
  test: new RegExp(`${DAY.source}|${MOMENT.source}`),
  resolve: (text) => (DAY.test(text) ? new PlainDate(text) : momentOf(text)),
  stringify: ({ value }) => (value instanceof Date ? value.toISOString() : String(value)),
};

function momentOf(text: string): Date {
  const match = /^(\d+)-(\d+)-(\d+)(?:[Tt]|\s+)(\d+):(\d+):(\d+)(\.\d*)?\s*(Z|[+-].*)?$/.exec(text);
  const [year, month, day, hour, minute, second] = (match ?? []).slice(1, 7).map(Number) as number[];
  const ms = Math.floor(Number(`0${match?.[7] ?? ''}`) * 1000);
  const at = Date.UTC(year as number, (month as number) - 1, day, hour, minute, second, ms);
  const offset = /^([+-])(\d\d?):?(\d\d)?$/.exec(match?.[8] ?? '');
  const minutes = offset === null ? 0 : Number(offset[2]) * 60 + Number(offset[3] ?? 0);
  return new Date(at - (offset?.[1] === '-' ? -minutes : minutes) * 60_000);
}

/** PyYAML reads `1e+100` as text: a float has a point. */
const float: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  identify: (value) => typeof value === 'number' && !Number.isSafeInteger(value),
  test: /(?!)/,
  resolve: Number,
  stringify: ({ value }) => floatText(value as number),
};

function floatText(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value < 0 ? '-.inf' : '.inf';
  const text = String(value);
  if (text.includes('.')) return text;
  return text.includes('e') ? text.replace('e', '.0e') : `${text}.0`;
}

const customTags = (tags: Tags): Tags => [timestamp, float, ...tags];

function special(value: object | number | bigint): unknown {
  if (typeof value !== 'object') return undefined;
  return value instanceof Date || value instanceof Uint8Array || isDay(value) ? value : undefined;
}

const STRINGS: CreateNodeOptions & { readonly lineWidth: number } = { aliasDuplicateObjects: false, lineWidth: 0 };

/** `yaml`; accepted only where `acceptContent` lists it. */
export function yamlSerializer(): Serializer {
  const load = (): Yaml => requireOptional('yaml', 'the serializer yaml') as Yaml;
  return {
    name: 'yaml',
    contentType: 'application/x-yaml',
    contentEncoding: 'utf-8',
    encode: (value) =>
      load().stringify(plainCopy(value, 'yaml', special), {
        ...STRINGS,
        version: '1.1',
        customTags,
        defaultStringType: 'QUOTE_DOUBLE',
        defaultKeyType: 'QUOTE_DOUBLE',
      }),
    decode: (body) => {
      const document = load().parseDocument(utf8Text(body), { version: '1.1', customTags, intAsBigInt: true });
      const [error] = document.errors;
      if (error !== undefined) throw new DecodeError(`cannot deserialize application/x-yaml: ${error.message}`);
      return received(document.toJS({ maxAliasCount: 100 }));
    },
  };
}

/** Bigints that a number can hold become one; a set of YAML becomes a list. */
function received(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date || isDay(value)) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (value instanceof Set) return [...value].map(received);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [String(key), received(one)]));
  if (Array.isArray(value)) return value.map(received);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, received(one)]));
}
