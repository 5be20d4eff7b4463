import { CeleryError, ChannelError, EncodeError, OperationalError } from '../../errors.ts';
import { maskSecrets } from '../../runtime/mask-url.ts';

/*
 * Which replies of the broker mean what. Anything else, and every error of the socket, is worth another connection.
 *
 * denied    the user may not, or the virtual host does not exist: trying again cannot help
 * channel   a queue or exchange is missing, busy, or other than it was said to be: the connection lives on
 */
const DENIED = new Set([402, 403, 530]);
const CHANNEL = new Set([404, 405, 406]);

/** The broker's reply code, where the error has one. */
export function replyCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === 'number') return code;
  const text = /\b(\d{3}) \([A-Z-]+\) with message/.exec(String((error as Error).message))?.[1];
  return text === undefined ? undefined : Number(text);
}

/** The sentence of the broker: `NOT_FOUND - no queue 'x' in vhost '/'`. */
export function replyText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return maskSecrets(/with message "([^]*)"$/.exec(message)?.[1] ?? message);
}

/** The library's error for what went wrong while doing `what`. */
export function translate(error: unknown, what: string): CeleryError {
  if (CeleryError.is(error)) return error;
  const code = replyCode(error);
  const text = `${what}: ${replyText(error)}`;
  if (code !== undefined && CHANNEL.has(code)) return new ChannelError(text, { cause: error });
  if (error instanceof RangeError || error instanceof TypeError) return new EncodeError(text, { cause: error });
  return new OperationalError(text, { cause: error, recoverable: code === undefined || !DENIED.has(code) });
}

/** A connection that cannot be had: the user being refused is final. */
export function connectError(error: unknown, displayUrl: string, vhost: string): CeleryError {
  if (CeleryError.is(error)) return error;
  // The client library keeps the broker's reason to itself here.
  if (error instanceof Error && /Expected ConnectionOpenOk; got <ConnectionClose/.test(error.message)) {
    return new OperationalError(
      `no connection to ${displayUrl}: the virtual host "${vhost}" does not exist, is down, or is not the user's`,
      { cause: error, recoverable: true },
    );
  }
  const code = replyCode(error);
  const denied = code !== undefined && DENIED.has(code);
  const hint = denied ? '. Check user and password' : '';
  return new OperationalError(`no connection to ${displayUrl}: ${replyText(error)}${hint}`, {
    cause: error,
    recoverable: !denied,
  });
}

export function lost(what = 'the AMQP connection was lost', cause?: unknown): OperationalError {
  return new OperationalError(cause === undefined ? what : `${what}: ${replyText(cause)}`, {
    cause,
    recoverable: true,
  });
}
