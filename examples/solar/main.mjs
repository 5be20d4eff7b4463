// When the sun sets in three cities, as a beat would reckon it.
import { solar } from 'celeriac';

const noon = Date.UTC(2026, 5, 21, 12);
const cities = [
  ['Paris', 48.8566, 2.3522],
  ['Quito', -0.1807, -78.4678],
  ['Tromsø', 69.6492, 18.9553],
];
const sunsets = cities.map(([city, latitude, longitude]) => {
  const at = new Date(solar('sunset', latitude, longitude).next(noon));
  console.log(`${city}: the sun sets next at ${at.toISOString()}`);
  return at.toISOString().slice(0, 10);
});
// In Tromsø it stays above the horizon until late in July.
process.exitCode = sunsets[0] === '2026-06-21' && sunsets[2] > '2026-07-20' ? 0 : 1;
