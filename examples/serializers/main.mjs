// Values that JSON has no words for: dates, bytes and big integers come through by themselves, a class of your own once it
// is registered; and a format of your own for whole bodies.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

class Money {
  constructor(cents) {
    this.cents = cents;
  }
}
const app = new Celery({ broker: 'memory://', backend: 'memory://', acceptContent: ['json', 'upper'] });
app.serializers.registerType({
  name: 'money',
  matches: (value) => value instanceof Money,
  encode: (money) => money.cents,
  decode: (cents) => new Money(cents),
});
app.serializers.register({
  name: 'upper',
  contentType: 'application/x-upper',
  contentEncoding: 'utf-8',
  encode: (value) => JSON.stringify(value).toUpperCase(),
  decode: (body) => JSON.parse(Buffer.from(body).toString().toLowerCase()),
});
const double = app.task('bank.double', (money) => new Money(money.cents * 2));
const echo = app.task('echo', (value) => value);

const worker = new Worker(app);
await worker.start();
const money = await (await double.delay(new Money(150))).get({ timeout: '10s' });
console.log(money);
const many = { at: new Date(0), bytes: Buffer.from('ok'), big: 2n ** 70n };
const back = await (await echo.delay(many)).get({ timeout: '10s' });
console.log(back);
const loud = await (await echo.applyAsync(['Quiet'], { serializer: 'upper' })).get({ timeout: '10s' });
console.log(loud);

await worker.stop();
await app.close();
process.exitCode = money instanceof Money && money.cents === 300 && back.big === many.big && loud === 'quiet' ? 0 : 1;
