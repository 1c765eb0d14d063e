// Key that comes from a vendor's boxes lies in the locked memory of a KM only: not in what HTTP, TLS and JSON leave behind.

import { expect, test } from "vitest";
import { startBoxNetwork } from "../system/support/boxes.ts";
import { eventually } from "../system/support/eventually.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { isVaults, scan, summary } from "./support/scan.ts";
import { Secrets } from "./support/secrets.ts";

/** Blocks that are taken in before anybody looks. */
const BLOCKS = 40;

test.for(["etsi014", "etsi004"] as const)(
  "of all key that %s boxes gave, none lies outside the locked memory",
  async (kind, { skip }) => {
    const link = { keep_blocks: BLOCKS / 2 };
    await using made = await startBoxNetwork(kind, { link, config: { supply: { stock_high: 16 } } });
    const { network, boxes } = made;
    const pids = network.kms.map(({ pid }) => pid);
    for (const pid of pids) skip(obstacleTo(pid) !== undefined, obstacleTo(pid));
    const received = async () => {
      const pages = await Promise.all(network.kms.map((km) => km.metrics()));
      return pages.every((page) => page.sum("qkm_blocks_received_total") >= BLOCKS);
    };
    await eventually("both ends have taken blocks in", received, 120_000);
    const secrets = new Secrets();
    for (const [index, key] of boxes.keys.given.entries()) secrets.addBlock(`key ${index} of the boxes`, key);
    for (const pid of pids) {
      const found = await scan(await copyOf(pid), secrets);
      expect(summary(found.filter(({ region }) => !isVaults(region)))).toEqual([]);
      // The search sees: blocks that are open lie in their slots.
      expect(found.length).toBeGreaterThan(0);
    }
  },
);
