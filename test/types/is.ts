type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `is<Expected>()(value)` compiles only when the value's type is exactly the expected one. */
export function is<T>(): <U>(value: U, ...mismatch: Same<T, U> extends true ? [] : [never]) => void {
  return () => {};
}
