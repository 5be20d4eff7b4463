import { insertSorted } from './sorted.ts';

/** A worker counts as alive for this share of its heartbeat interval after the last one. */
const EXPIRE_WINDOW = 2;
const HEARTBEATS_KEPT = 4;
const DEFAULT_FREQ_SECONDS = 60;
/** Clocks that differ more than this, in seconds, are worth a warning. */
export const MOST_DRIFT_SECONDS = 16;

/** One worker as its events describe it. Source: celery.events.state.Worker. */
export class WorkerState {
  readonly hostname: string;
  pid: number | null = null;
  /** Seconds between heartbeats. */
  freq: number = DEFAULT_FREQ_SECONDS;
  /** When the last four signs of life came, Unix seconds, ascending; empty once it went offline. */
  readonly heartbeats: number[] = [];
  clock = 0;
  active: number | null = null;
  processed: number | null = null;
  loadavg: readonly number[] | null = null;
  sw_ident: string | null = null;
  sw_ver: string | null = null;
  sw_sys: string | null = null;

  constructor(hostname: string) {
    this.hostname = hostname;
  }

  /** `hostname.pid` */
  get id(): string {
    // Python writes None for what it does not know, and the order of events depends on this text.
    return `${this.hostname}.${this.pid ?? 'None'}`;
  }

  /** Unix seconds until which it counts as alive; undefined without a heartbeat. */
  get expires(): number | undefined {
    const last = this.heartbeats.at(-1);
    return last === undefined ? undefined : last + this.freq * EXPIRE_WINDOW;
  }

  /** @param nowSeconds Unix time */
  isAlive(nowSeconds: number): boolean {
    const { expires } = this;
    return expires !== undefined && nowSeconds < expires;
  }

  /** Takes over what an event of this worker says. */
  describe(event: Readonly<Record<string, unknown>>): void {
    for (const field of FIELDS) {
      if (field in event) (this as Record<string, unknown>)[field] = event[field];
    }
  }

  /** @param atSeconds Unix time of a sign of life */
  beat(atSeconds: number): void {
    if (this.heartbeats.length >= HEARTBEATS_KEPT) this.heartbeats.shift();
    insertSorted(this.heartbeats, atSeconds, (a, b) => a < b);
  }

  leave(): void {
    this.heartbeats.length = 0;
  }
}

const FIELDS = [
  'pid',
  'freq',
  'clock',
  'active',
  'processed',
  'loadavg',
  'sw_ident',
  'sw_ver',
  'sw_sys',
] as const satisfies readonly (keyof WorkerState)[];
