import { isGone, processIdentity } from '../../runtime/process-identity.ts';

/*
 * holder   who holds messages on the server: a ledger, and where it can be told the process it belongs to
 */

/** The name of a holder. @param uuid makes it unique */
export function holderId(uuid: string): string {
  const identity = processIdentity();
  return identity === undefined ? uuid : `${uuid}@${identity}`;
}

/** Whether its process was one of this machine, and is over. */
export function isOver(holder: string): boolean {
  const at = holder.indexOf('@');
  return at >= 0 && isGone(holder.slice(at + 1));
}
