// Without broker and worker: tasks run where they are called, arguments still pass through the serializer.
import { eagerApp } from 'celeriac/testing';

const app = eagerApp();
const add = app.task('math.add', (x, y) => x + y);
const sum = await (await add.delay(2, 3)).get();
const refused = await add.delay(() => 1, 2).catch((error) => error);
const direct = await add.run(4, 5);
console.log(sum, direct, `${refused.code}: ${refused.message}`);
await app.close();
process.exitCode = sum === 5 && direct === 9 && refused.code === 'ERR_ENCODE' ? 0 : 1;
