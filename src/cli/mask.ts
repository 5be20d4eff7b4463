export { maskSecrets } from '../runtime/mask-url.ts';
