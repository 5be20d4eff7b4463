import type { Celery } from '../../src/index.ts';

export declare const app: Celery;
