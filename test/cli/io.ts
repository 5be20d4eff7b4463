import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { run } from '../../src/cli/program.ts';
import type { Io } from '../../src/cli/io.ts';
import { systemClock } from '../../src/runtime/clock.ts';

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A stream, because Node's prompt writes to nothing less. */
class Sink extends Writable {
  readonly isTTY: boolean;
  readonly #take: (text: string) => void;
  constructor(take: (text: string) => void, isTTY: boolean) {
    super({ decodeStrings: false });
    this.#take = take;
    this.isTTY = isTTY;
  }
  override write(text: string | Uint8Array): boolean {
    this.#take(String(text));
    return true;
  }
}

/** A world for the command line that writes into texts. */
export function testIo(
  options: {
    env?: Record<string, string | undefined>;
    cwd?: string;
    tty?: boolean;
    input?: string | readonly string[];
  } = {},
): {
  readonly io: Io;
  readonly signals: EventEmitter;
  readonly out: () => string;
  readonly err: () => string;
} {
  let out = '';
  let err = '';
  let cwd = options.cwd ?? process.cwd();
  const isTTY = options.tty ?? false;
  const signals = new EventEmitter();
  const io: Io = {
    stdout: new Sink((text) => (out += text), isTTY),
    stderr: { write: (text) => (err += text), isTTY },
    stdin: Object.assign(Readable.from([options.input ?? []].flat()), { isTTY }),
    env: options.env ?? {},
    clock: systemClock,
    signals,
    cwd: () => cwd,
    chdir: (directory) => void (cwd = directory),
    exit: (code) => void signals.emit('exited', code),
  };
  return { io, signals, out: () => out, err: () => err };
}

/** Types a command line and waits for its end. */
export async function cli(argv: readonly string[], options: Parameters<typeof testIo>[0] = {}): Promise<CliRun> {
  const { io, out, err } = testIo(options);
  const code = await run(argv, io);
  return { code, out: out(), err: err() };
}
