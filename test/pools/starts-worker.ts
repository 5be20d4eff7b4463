import { Worker } from '../../src/worker/index.ts';
import { app as app_ } from './app.ts';

export const app = app_;
void new Worker(app).start();
