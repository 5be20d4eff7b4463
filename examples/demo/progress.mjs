// A live line on a terminal, a plain line now and then elsewhere.

const BAR = 30;

export function progress(total) {
  const live = process.stdout.isTTY === true;
  let shown = -1;
  return {
    show(done) {
      const percent = Math.floor((done / total) * 100);
      const step = live ? percent : percent - (percent % 10);
      if (step === shown) return;
      shown = step;
      const filled = Math.round((done / total) * BAR);
      if (live) process.stdout.write(`\r  [${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${done}/${total}`);
      else console.log(`  ${step} % (${done}/${total})`);
    },
    note(text) {
      if (live) process.stdout.write('\r\x1b[K');
      console.log(`  ${text}`);
      shown = -1;
    },
    end() {
      if (live) process.stdout.write('\n');
    },
  };
}
