import type { Celery } from '../../app/celery.ts';
import { parseAppSpec } from '../../app/module-loader.ts';
import { runCamera, type Camera } from '../../events/camera.ts';
import { onStopSignals } from '../../runtime/signals.ts';
import { CommandError, EXIT } from '../exit.ts';
import type { Session } from '../session.ts';

/** What a camera's class, or the function that makes one, is given. */
export interface CameraContext {
  readonly app: Celery;
  /** The command line's options, those of `app.userOptions` among them, under camelCase names. */
  readonly options: Readonly<Record<string, unknown>>;
}

interface CameraFlags {
  readonly frequency: number;
  readonly maxrate?: string;
}

/** Takes pictures until a signal comes. */
export async function takePictures(
  session: Session,
  app: Celery,
  spec: string,
  flags: CameraFlags,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { io } = session;
  const camera = await cameraOf(session, spec, { app, options });
  const stop = new AbortController();
  const undo = onStopSignals({ source: io.signals, env: io.env, stop: () => stop.abort() });
  app.log.info({}, `taking pictures with ${spec}, every ${flags.frequency} s`);
  try {
    await runCamera(app, {
      onShutter: (state) => camera.onShutter(state),
      ...(camera.onCleanup && { onCleanup: () => camera.onCleanup?.() }),
      every: flags.frequency * 1000,
      maxRate: flags.maxrate,
      signal: stop.signal,
    });
  } finally {
    undo();
  }
}

/** A module's camera: an object, a class, or a function that gives one. */
async function cameraOf(session: Session, spec: string, context: CameraContext): Promise<Camera> {
  const { module, exportName } = parseAppSpec(spec);
  const exports = await session.loader.import(session.loader.resolve(module));
  const exported = exports[exportName ?? 'default'];
  const made: unknown = typeof exported === 'function' ? await make(exported as MakeCamera, context) : exported;
  if (typeof (made as Partial<Camera> | null | undefined)?.onShutter === 'function') return made as Camera;
  throw new CommandError(
    `--camera ${spec}: expected an object with onShutter(state), a class or a function that gives one`,
    {
      exitCode: EXIT.usage,
      hint: `It has to be the ${exportName === undefined ? 'default export' : `export "${exportName}"`} of the module`,
    },
  );
}

type MakeCamera = ((context: CameraContext) => unknown) & (new (context: CameraContext) => unknown);

function make(exported: MakeCamera, context: CameraContext): unknown {
  const isClass = typeof (exported.prototype as Partial<Camera> | undefined)?.onShutter === 'function';
  return isClass ? new exported(context) : exported(context);
}
