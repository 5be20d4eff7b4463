import { type } from 'node:os';
import { VERSION } from '../version.ts';

/** How this program names itself in events. */
export const SOFTWARE: Readonly<Record<'sw_ident' | 'sw_ver' | 'sw_sys', string>> = {
  sw_ident: 'celeriac',
  sw_ver: VERSION,
  sw_sys: type() === 'Windows_NT' ? 'Windows' : type(),
};
