// Keys that cross a border: nothing of them is left in a KM once they are relayed or fetched, and while they are held they lie sealed.

import { randomBytes, randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { borderUrl, foreignTo, withBorders } from "../system/support/borders.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { quiet } from "../system/support/quiet.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { scan, summary } from "./support/scan.ts";
import { Secrets } from "./support/secrets.ts";

const BEYOND = "sae-f1";
const AT_ONCE = 20;
const TIMES = 5;

const transferFor = (target: string) => ({
  keys: Array.from({ length: AT_ONCE }, () => ({ key_id: randomUUID(), value: randomBytes(32).toString("base64") })),
  initiator_sae_id: BEYOND,
  target_sae_ids: [target],
});

/** km-a has the border; both KMs know the application beyond it. */
async function bordered(network: Network) {
  const a = network.km("km-a");
  const foreign = await foreignTo(network, a);
  const apps = { [BEYOND]: "foreign" };
  await Promise.all([
    withBorders(a, { apps, borders: [{ id: "foreign", url: foreign.url }] }),
    withBorders(network.km("km-b"), { apps, home: "km-a" }),
  ]);
  await network.stocked();
  return foreign;
}

test("of keys that left over a border, came over it and went on to another KM, no KM has anything in its memory", async ({
  skip,
}) => {
  await using network = await startNetwork({ ...PAIR, doors: ["etsi020"] });
  await using foreign = await bordered(network);
  const pids = network.kms.map(({ pid }) => pid);
  for (const pid of pids) skip(obstacleTo(pid) !== undefined, obstacleTo(pid));
  const secrets = new Secrets();
  const url = `${borderUrl(network.km("km-a"))}/kmapi/v1/ext_keys`;
  for (const app of ["app-a1", "app-b1"]) {
    for (let time = 0; time < TIMES; time++) {
      const left = await network.app(app).encKeys(BEYOND, { number: AT_ONCE });
      for (const { id, key } of left) {
        expect(foreign.keys.get(id)).toBe(key.toString("base64"));
        secrets.addKey(`${id}, which left for ${app}`, key);
      }
      const came = transferFor(app);
      expect((await foreign.post(url, came)).status).toBe(200);
      const ids = came.keys.map(({ key_id }) => key_id);
      for (const { id, key } of await network.app(app).decKeys(BEYOND, ids)) {
        secrets.addKey(`${id}, which came for ${app} and was fetched`, key);
      }
    }
    const held = transferFor(app);
    expect((await foreign.post(url, held)).status).toBe(200);
    for (const { key_id, value } of held.keys) {
      secrets.addKey(`${key_id}, which is held for ${app}`, Buffer.from(value, "base64"));
    }
  }
  expect(secrets.count).toBe(2 * AT_ONCE * (2 * TIMES + 1));
  await quiet(network);
  for (const pid of pids) expect(summary(await scan(await copyOf(pid), secrets))).toEqual([]);
});
