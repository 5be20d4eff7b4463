// Results to a Markdown table: one row per broker and workload, a column per peer, ratios to the first peer.

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const figure = (number) =>
  number >= 100 ? Math.round(number).toLocaleString('en').replaceAll(',', ' ') : number.toPrecision(3);

function summary(rows) {
  if (rows.length === 0) return undefined;
  const of = (field) => (rows[0][field] === undefined ? undefined : median(rows.map((row) => row[field])));
  return {
    ms: of('ms'),
    cpuPercent: of('cpuPercent'),
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    cpu: of('cpuMicrosEach'),
    rss: of('peakRssMb'),
  };
}

function cellText(mine, first) {
  if (!mine) return '–';
  if (mine.p50 !== undefined) {
    const ratio = first && first !== mine ? ` (${(mine.p50 / first.p50).toFixed(2)}×)` : '';
    return `${mine.p50.toFixed(2)} / ${mine.p99.toFixed(2)} ms${ratio}`;
  }
  if (mine.ms !== undefined) {
    const ratio = first && first !== mine ? ` (${(mine.ms / first.ms).toFixed(2)}×)` : '';
    return `${mine.ms.toFixed(0)} ms${ratio}`;
  }
  if (mine.cpuPercent !== undefined) {
    const rate = mine.perSecond === undefined ? '' : `${mine.perSecond.toFixed(1)}/s, `;
    return `${rate}${mine.cpuPercent.toFixed(1)} % CPU`;
  }
  const extra = [mine.cpu && `${mine.cpu.toFixed(0)} µs`, mine.rss && `${mine.rss.toFixed(0)} MB`]
    .filter(Boolean)
    .join(', ');
  const ratio = first && first !== mine ? ` (${(mine.perSecond / first.perSecond).toFixed(2)}×)` : '';
  return `${figure(mine.perSecond)}/s${ratio}${extra ? `, ${extra}` : ''}`;
}

/** Rates are tasks per second with CPU time per task and peak memory; round trips are p50 / p99. */
export function report(results, peers) {
  const labels = [...new Set(results.map((row) => `${row.broker}\t${row.label}`))];
  const lines = [`| broker | workload | ${peers.join(' | ')} |`, `|---|---|${peers.map(() => '---:').join('|')}|`];
  for (const label of labels) {
    const [broker, workload] = label.split('\t');
    const of = (peer) =>
      summary(results.filter((row) => row.broker === broker && row.label === workload && row.peer === peer));
    const first = of(peers[0]);
    const cells = peers.map((peer, index) => cellText(index === 0 ? first : of(peer), first));
    lines.push(`| ${broker} | ${workload} | ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}
