import { UsageError } from '../errors.ts';
import { requireOptional } from '../serializers/packages.ts';
import type { Schedule } from './schedule.ts';

/** Celery's names. */
export type SolarEvent =
  | 'dawn_astronomical'
  | 'dawn_nautical'
  | 'dawn_civil'
  | 'sunrise'
  | 'solar_noon'
  | 'sunset'
  | 'dusk_civil'
  | 'dusk_nautical'
  | 'dusk_astronomical';

/** How the sun moves, and where its centre is then; undefined: its upper edge on the horizon, with refraction. */
const EVENTS: Readonly<Record<SolarEvent, { readonly direction: 1 | -1 | 0; readonly altitude?: number }>> = {
  dawn_astronomical: { direction: 1, altitude: -18 },
  dawn_nautical: { direction: 1, altitude: -12 },
  dawn_civil: { direction: 1, altitude: -6 },
  sunrise: { direction: 1 },
  solar_noon: { direction: 0 },
  sunset: { direction: -1 },
  dusk_civil: { direction: -1, altitude: -6 },
  dusk_nautical: { direction: -1, altitude: -12 },
  dusk_astronomical: { direction: -1, altitude: -18 },
};

/** No place is without a sunrise for longer. */
const MOST_DAYS = 370;
/** An event does not come twice within this; finding the one of the last run again would. */
const SAME_MS = 10_000;

type Astronomy = typeof import('astronomy-engine');

/**
 * When the sun stands somewhere. In UTC, wherever the app is. Source: `celery.schedules.solar`.
 *
 * Differs: where the sun does not rise (set, …) for days, the next run is the next time that it does. Celery would look
 * again each day.
 */
export class Solar implements Schedule {
  readonly event: SolarEvent;
  readonly latitude: number;
  readonly longitude: number;
  readonly #astronomy: Astronomy;

  /**
   * @throws {UsageError} for an unknown event or a place that is not on Earth; {ImproperlyConfigured} without the package
   *   astronomy-engine
   */
  constructor(event: SolarEvent, latitude: number, longitude: number) {
    if (!Object.hasOwn(EVENTS, event)) {
      throw new UsageError(`solar: no event ${JSON.stringify(event)}; there are ${Object.keys(EVENTS).join(', ')}`);
    }
    if (!(Math.abs(latitude) <= 90)) throw new UsageError(`solar: a latitude is from -90 to 90, got ${latitude}`);
    if (!(Math.abs(longitude) <= 180)) throw new UsageError(`solar: a longitude is from -180 to 180, got ${longitude}`);
    this.event = event;
    this.latitude = latitude;
    this.longitude = longitude;
    this.#astronomy = requireOptional('astronomy-engine', 'a solar schedule') as Astronomy;
  }

  next(lastRunMs: number): number {
    const { Body, Observer, SearchAltitude, SearchHourAngle, SearchRiseSet } = this.#astronomy;
    const observer = new Observer(this.latitude, this.longitude, 0);
    const from = new Date(lastRunMs + SAME_MS);
    const { direction, altitude } = EVENTS[this.event];
    if (direction === 0) return SearchHourAngle(Body.Sun, observer, 0, from).time.date.getTime();
    const found =
      altitude === undefined
        ? SearchRiseSet(Body.Sun, observer, direction, from, MOST_DAYS)
        : SearchAltitude(Body.Sun, observer, direction, from, MOST_DAYS, altitude);
    return found?.date.getTime() ?? Infinity;
  }

  toString(): string {
    return `<solar: ${this.event} at latitude ${this.latitude}, longitude: ${this.longitude}>`;
  }
}

/**
 * Runs when the sun rises, sets, or crosses another of Celery's marks.
 *
 * @param latitude degrees, north is positive
 * @param longitude degrees, east is positive
 * @example
 * app.addPeriodicTask('lights', solar('sunset', 48.8566, 2.3522), switchOn.s());
 */
export function solar(event: SolarEvent, latitude: number, longitude: number): Solar {
  return new Solar(event, latitude, longitude);
}
