// Waits for a condition of other processes, with a deadline.

/** Most conditions cost the KM a report: asked more often, the tests would be its load. */
const POLL_MS = 50;

/**
 * Polls until `condition` holds, which is asked again after `pollMs`; what it throws counts as not yet.
 * @throws Error that names `what` after `deadlineMs`
 */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
  pollMs = POLL_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (let why: unknown; ; ) {
    try {
      if (await condition()) return;
    } catch (thrown) {
      why = thrown;
    }
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`, { cause: why });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
