import { emitKeypressEvents, type Key } from 'node:readline';
import type { Celery } from '../../app/celery.ts';
import { ClusterState } from '../../events/cluster-state.ts';
import { onStopSignals } from '../../runtime/signals.ts';
import type { Session } from '../session.ts';
import { draw, roomFor, type View } from './screen.ts';

type Terminal = NodeJS.ReadableStream & { setRawMode?(on: boolean): void };

/** Alternate screen, cursor hidden; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';

interface Prompt {
  readonly label: string;
  text: string;
  readonly done: (text: string) => Promise<string>;
}

/** The full-screen monitor. Source: celery.events.cursesmon. */
export class Monitor {
  readonly #app: Celery;
  readonly #session: Session;
  readonly #state = new ClusterState();
  readonly #refreshMs: number;
  readonly #stop = new AbortController();
  #selected: string | undefined;
  #details = false;
  #message = '';
  #prompt: Prompt | undefined;

  constructor(app: Celery, session: Session, refreshMs: number) {
    this.#app = app;
    this.#session = session;
    this.#refreshMs = refreshMs;
  }

  /** Until `q`, Ctrl-C or a signal. The terminal is put back whatever happens. */
  async run(): Promise<void> {
    const { io } = this.#session;
    const input = io.stdin as Terminal;
    const onKey = (text: string | undefined, key: Key): void => this.#key(text ?? '', key);
    const restore = (): void => {
      input.setRawMode?.(false);
      io.stdout.write(LEAVE);
    };
    const undo = onStopSignals({ source: io.signals, env: io.env, stop: () => this.#stop.abort() });
    process.once('exit', restore);
    emitKeypressEvents(input);
    input.on('keypress', onKey);
    input.setRawMode?.(true);
    input.resume();
    io.stdout.write(ENTER);
    try {
      const tick = (): void => {
        this.#show();
        timer = this.#app.clock.setTimer(this.#refreshMs, tick);
      };
      let timer = this.#app.clock.setTimer(0, tick);
      try {
        for await (const event of this.#app.events({ enable: true, signal: this.#stop.signal }))
          this.#state.apply(event);
      } catch (error) {
        if (!this.#stop.signal.aborted) throw error;
      } finally {
        timer.cancel();
      }
    } finally {
      undo();
      input.removeListener('keypress', onKey);
      input.pause();
      process.removeListener('exit', restore);
      restore();
    }
  }

  get #view(): View {
    const { stdout } = this.#session.io;
    return {
      selected: this.#selected,
      details: this.#details,
      prompt: this.#prompt && `${this.#prompt.label}${this.#prompt.text}_`,
      message: this.#message,
      columns: stdout.columns ?? 80,
      rows: (stdout as { rows?: number }).rows ?? 24,
      nowSeconds: this.#app.clock.now() / 1000,
    };
  }

  #show(): void {
    const lines = draw(this.#state, this.#view, this.#session.paint);
    this.#session.io.stdout.write(HOME + lines.map((line) => line + REST_OF_LINE).join('\r\n'));
  }

  #key(text: string, key: Key): void {
    if (key.ctrl && key.name === 'c') return this.#stop.abort();
    if (this.#prompt) this.#type(this.#prompt, text, key);
    else this.#command(key.name ?? text);
    this.#show();
  }

  #command(name: string): void {
    if (name === 'q' || name === 'escape') {
      if (this.#details) this.#details = false;
      else if (name === 'q') this.#stop.abort();
    } else if (name === 'down' || name === 'j') this.#move(1);
    else if (name === 'up' || name === 'k') this.#move(-1);
    else if (name === 'i' || name === 'return') this.#details = this.#selected !== undefined && !this.#details;
    else if (name === 'c') this.#state.clearTasks();
    else if (name === 'r') this.#revoke();
    else if (name === 'l') this.#rateLimit();
  }

  #move(by: number): void {
    const ids = [...this.#state.tasksByTime({ limit: roomFor(this.#state, this.#view) })].map(({ uuid }) => uuid);
    const at = this.#selected === undefined ? (by > 0 ? -1 : ids.length) : ids.indexOf(this.#selected);
    this.#selected = ids[Math.min(ids.length - 1, Math.max(0, at + by))];
  }

  #revoke(): void {
    const id = this.#selected;
    if (id === undefined) return void (this.#message = 'Select a task first.');
    this.#ask(`Revoke ${id}? [y/N] `, async (answer) => {
      if (!/^y(es)?$/i.test(answer)) return 'Not revoked.';
      await this.#app.control.revoke(id);
      return `Revoked ${id}.`;
    });
  }

  #rateLimit(): void {
    const name = this.#state.tasks.peek(this.#selected ?? '')?.name;
    if (!name) return void (this.#message = 'Select a task first.');
    this.#ask(`Rate limit of ${name} (10/s, 100/m, 0 for none): `, async (rate) => {
      if (rate === '') return 'Not changed.';
      const replies = await this.#app.control.rateLimit(name, rate === '0' ? null : rate, {
        reply: true,
        timeout: '1s',
      });
      return `${name}: ${JSON.stringify(replies)}`;
    });
  }

  #ask(label: string, done: Prompt['done']): void {
    this.#prompt = { label, text: '', done };
  }

  #type(prompt: Prompt, text: string, key: Key): void {
    if (key.name === 'escape') this.#prompt = undefined;
    else if (key.name === 'backspace') prompt.text = prompt.text.slice(0, -1);
    else if (key.name === 'return') {
      this.#prompt = undefined;
      this.#message = '…';
      prompt.done(prompt.text.trim()).then(
        (message) => (this.#message = message),
        (error: unknown) => (this.#message = `Failed: ${(error as Error).message}`),
      );
    } else if (!key.ctrl && !key.meta && text.length === 1 && prompt.text.length < 40) prompt.text += text;
  }
}
