// What a piece of work costs, by the processor time of the test's own thread: other work on the machine does not count.

const US_PER_MS = 1_000;

/** Milliseconds of processor time that `work` takes, which must not wait for anything. */
export function processorMs(work: () => void): number {
  const begun = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(begun);
  return (user + system) / US_PER_MS;
}
