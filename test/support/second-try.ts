import type { Reporter, TestModule } from 'vitest/node';

/**
 * CI gives a failed test a second try, for it runs servers, Python and kills on a small shared machine. A test that
 * needed one is a bug all the same: this names it at the end of the run.
 */
export default class SecondTry implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (test.diagnostic()?.flaky !== true) continue;
        console.log(`PASSED AT THE SECOND TRY: ${module.relativeModuleId} > ${test.fullName}`);
        for (const error of test.result().errors ?? []) console.log(`  ${error.message}`);
      }
    }
  }
}
