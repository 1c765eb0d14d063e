// A network in which nothing works with key any more.

import { eventually } from "./eventually.ts";
import type { Network } from "./network.ts";

const RESTS_MS = 300;
/** Each look is an answer of every KM: one that the machine holds up is not taken for one at rest. */
const LOOKS = 6;

/** Ends the modules and waits until no more blocks come in, and nothing is relayed: what works may hold key for a moment. */
export async function quiet(network: Network): Promise<void> {
  await Promise.all(network.links.map((link) => link.kill()));
  await rest("the work with blocks and KMA-keys", () => worked(network));
}

/** Waits until a number stays the same for a while, and for several looks. */
export async function rest(what: string, count: () => Promise<number>): Promise<void> {
  let last = Number.NaN;
  let since = 0;
  let looks = 0;
  await eventually(`${what} is at rest`, async () => {
    const now = await count();
    looks += 1;
    if (now !== last) [since, looks] = [performance.now(), 0];
    last = now;
    return looks >= LOOKS && performance.now() - since >= RESTS_MS;
  });
}

const WORK = ["blocks_received", "kma_keys_sent", "kma_keys_ready", "kma_keys_held", "kma_keys_ended", "transits"];

/** Steps that blocks and KMA-keys have taken, over all KMs. */
async function worked(network: Network): Promise<number> {
  const pages = await Promise.all(network.kms.map((km) => km.metrics()));
  const sums = pages.flatMap((page) => WORK.map((counter) => page.sum(`qkm_${counter}_total`)));
  return sums.reduce((sum, each) => sum + each, 0);
}
