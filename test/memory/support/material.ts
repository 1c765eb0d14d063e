// All key bytes that a network with seeded modules has ever had.

import { readFileSync } from "node:fs";
import { seededKey } from "../../../drivers/simulator/material.ts";
import { networkPlaces } from "../../../src/cli/provision/plan.ts";
import { linkId } from "../../../src/core/ids.ts";
import { FIRST_OFFSET } from "../../../src/keys/common/key-id.ts";
import type { HandedKey } from "../../system/support/doors.ts";
import type { Network } from "../../system/support/network.ts";
import type { Plan } from "../../system/support/plan.ts";
import { Secrets } from "./secrets.ts";

/** Another for each link: equal blocks of two links would look like a key that was left. */
const seedOf = (link: string): string => `read from outside, ${link}`;
/** Blocks that the modules may have made and no KM has counted. */
const UNCOUNTED = 32;

/** The plan with modules whose key is known to `secretsOf`. */
export const seededPlan = (plan: Plan): Plan => ({
  ...plan,
  links: plan.links.map((link) => ({ ...link, module: { ...link.module, seed: seedOf(link.id) } })),
});

/** Blocks of one link that came in, at the end that has more. */
async function receivedOf(network: Network, link: string): Promise<number> {
  const pages = await Promise.all(network.kms.map((km) => km.metrics()));
  return Math.max(...pages.map((page) => page.sum("qkm_blocks_received_total", { link })));
}

/** Keys that were handed out, and all link blocks, of which those bytes count as the keys'. `handedOut` comes first. */
export async function secretsOf(network: Network, handedOut: readonly HandedKey[], short = false): Promise<Secrets> {
  const secrets = new Secrets();
  for (const { id, key } of handedOut) secrets.addKey(`key ${id}`, key);
  const blockBytes = new Map(
    network.kms.flatMap(({ config }) => config.links).map((link) => [link.id, link.blockBytes]),
  );
  for (const { id } of network.links) {
    const made = (await receivedOf(network, id)) + UNCOUNTED;
    const run = Number(readFileSync(networkPlaces(network.dir).runFile(id), "utf8"));
    for (let sequence = 0; sequence < made; sequence++) {
      const block = seededKey(seedOf(id))(run, sequence, blockBytes.get(linkId(id)) ?? 0);
      secrets.addBlock(`block ${id}:${run}:${sequence}`, block);
      if (short) secrets.addShortKeys(`short key of block ${id}:${run}:${sequence}`, block, FIRST_OFFSET);
    }
  }
  return secrets;
}
