// Asks the key manager for its links' rates again and again while somebody is logged in, for the sparklines.

import type { Clock } from "../core/ports.ts";
import type { ConsoleNode } from "./node.ts";
import type { Histories } from "./terminal/sparkline.ts";

/** Time between two looks from which a rate is made. */
export const SAMPLE_MS = 2_000;

/** The function returned ends it. */
export function sampleRates(node: Pick<ConsoleNode, "km">, rates: Histories, clock: Clock): () => void {
  let isOver = false;
  let stop = (): void => {};
  const sample = async (): Promise<void> => {
    const facts = await node.km.status().catch(() => undefined);
    for (const link of facts?.links ?? []) rates.add(link.id, link.measuredBitsPerS);
    if (!isOver) stop = clock.after(SAMPLE_MS, () => void sample());
  };
  void sample();
  return () => {
    isOver = true;
    stop();
  };
}
