/** Inserts behind everything that is not greater (Python's `bisect.insort`); appends in constant time. */
export function insertSorted<T>(items: T[], item: T, isLess: (a: T, b: T) => boolean): void {
  const last = items.at(-1);
  if (last === undefined || !isLess(item, last)) {
    items.push(item);
    return;
  }
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isLess(item, items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  items.splice(low, 0, item);
}
