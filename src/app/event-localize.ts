import type { EventFields } from '../protocol/event.ts';
import type { Lamport } from './lamport.ts';

/** A producer's clock is never synchronised: its events are placed just before what is known here. */
const CLIENT_CLOCK_SKEW = -1;
const HOUR_SECONDS = 3600;

/** What a receiver knows when an event comes. */
export interface Reception {
  readonly lamport: Lamport;
  /** Unix time in milliseconds. */
  readonly nowMs: number;
}

/**
 * An event as its receiver sees it: with a clock that fits its own, a timestamp in its own time zone, and
 * `local_received`. Moves the receiver's clock past the sender's.
 * Source: celery.events.receiver.EventReceiver.event_from_message.
 */
export function localizeEvent(event: EventFields, { lamport, nowMs }: Reception): EventFields {
  let { clock, timestamp } = event;
  if (event.type === 'task-sent') {
    clock = (lamport.value || 1) + CLIENT_CLOCK_SKEW;
    lamport.adjust(clock);
  } else if (clock === undefined) clock = lamport.tick();
  else lamport.adjust(clock);
  if (typeof event.utcoffset === 'number' && typeof timestamp === 'number') {
    timestamp -= (event.utcoffset - hoursWest(nowMs)) * HOUR_SECONDS;
  }
  return { ...event, clock, timestamp, local_received: nowMs / 1000 };
}

/** This machine's offset as events carry it: whole hours west of UTC. */
export function hoursWest(nowMs: number): number {
  return Math.floor(new Date(nowMs).getTimezoneOffset() / 60);
}
