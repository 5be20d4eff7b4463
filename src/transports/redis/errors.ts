import { CeleryError, ChannelError, OperationalError } from '../../errors.ts';

/*
 * What an error reply of the server means, in one table.
 *
 * connection   this node cannot serve us now (starting, demoted, wrong password): start over with a new connection
 * refused      the node lives and will not write (memory, disk): the caller is told, reading and acknowledging go on
 * denied       the user may not do this
 * other        a key of another type, a command the server does not know
 */

export type ReplyKind = 'connection' | 'refused' | 'denied' | 'other';

const KINDS: Readonly<Record<string, ReplyKind>> = {
  LOADING: 'connection',
  READONLY: 'connection',
  MASTERDOWN: 'connection',
  CLUSTERDOWN: 'connection',
  NOREPLICAS: 'connection',
  TRYAGAIN: 'connection',
  UNBLOCKED: 'connection',
  BUSY: 'connection',
  NOAUTH: 'connection',
  OOM: 'refused',
  MISCONF: 'refused',
  WRONGPASS: 'denied',
  NOPERM: 'denied',
};

/** First word of an error reply (`WRONGTYPE`), or undefined when the error is not one. */
export function replyCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  // A script's error may carry the reply behind its own prefix: "ERR Error running script ...: -OOM command not allowed"
  const nested = /@user_script.*?-([A-Z]{3,}) /.exec(error.message)?.[1];
  return nested ?? /^-?([A-Z]+)/.exec(error.message)?.[1] ?? 'ERR';
}

export function replyKind(code: string): ReplyKind {
  return KINDS[code] ?? 'other';
}

/** The library's error for what the client or the server reported while doing `what`. */
export function translate(error: unknown, what: string): CeleryError {
  if (CeleryError.is(error)) return error;
  const code = replyCode(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === undefined) return new OperationalError(`${what}: ${text}`, { cause: error, recoverable: true });
  switch (replyKind(code)) {
    case 'connection':
      return new OperationalError(`${what}: the server answered ${text}`, { cause: error, recoverable: true });
    case 'refused':
      return new OperationalError(`${what}: the server refuses to write: ${text}`, {
        cause: error,
        recoverable: false,
      });
    case 'denied':
      return new OperationalError(`${what}: ${text}. Check the user, its password and its ACL`, {
        cause: error,
        recoverable: false,
      });
    case 'other':
      return new ChannelError(`${what}: ${text}`, { cause: error });
  }
}
