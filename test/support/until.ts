// Waits for a condition, with a deadline.

/** Polls `condition` each turn of the event loop. @throws Error that names `what` when 5 s have passed */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
