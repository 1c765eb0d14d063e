// Waits for a condition, with a deadline.

/** The machine's own, whatever time a test puts in its place later. */
const later = setTimeout;
const nowMs = performance.now.bind(performance);

/** Polls `condition` each turn of the event loop. @throws Error that names `what` when 60 s have passed */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = nowMs() + 60_000;
  while (!condition()) {
    if (nowMs() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => later(resolve, 2));
  }
}
