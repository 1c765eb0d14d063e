// Waits for a condition itself, with a deadline.

/** Looks at each turn of the event loop. @throws Error that names what did not come */
export async function until(condition: () => boolean, what: string, deadlineMs = 5_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
