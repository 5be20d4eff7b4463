// An app as a user would write one; the tests give it to `-A`.
import { Celery } from '../../src/index.ts';

export const app = new Celery({ main: 'hello', broker: 'memory://', backend: 'memory://' });
app.task('math.add', (x, y) => x + y);
