// ETSI GS QKD 020 for a KM that has no border: keys of its applications cross that of another KM, with everything real.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type ForeignKme, transferOf } from "../etsi020/foreign-kme.ts";
import { borderUrl, foreignTo, withBorders } from "./support/borders.ts";
import { rewrite } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import type { SaeKey } from "./support/sae.ts";

const BEYOND = "sae-f1";
const EXT_KEYS = "/kmapi/v1/ext_keys";

let network: Network;
let foreign: ForeignKme;
beforeAll(async () => {
  network = await startNetwork({ ...PAIR, doors: ["etsi020"] });
  const [a, b] = [network.km("km-a"), network.km("km-b")];
  foreign = await foreignTo(network, a);
  await withBorders(a, { apps: { [BEYOND]: "foreign" }, borders: [{ id: "foreign", url: foreign.url }] });
  rewrite(b, (tables) => {
    delete tables.etsi020;
    tables.apps.push({ id: BEYOND, home: "km-a", border: "foreign" });
  });
  await b.kill("SIGTERM");
  await b.start();
  await network.stocked();
}, 240_000);
afterAll(async () => {
  await foreign?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

const url = (): string => borderUrl(network.km("km-a")) + EXT_KEYS;
const keysOf = ({ keys }: ReturnType<typeof transferOf>): SaeKey[] =>
  keys.map(({ key_id, value }) => ({ id: key_id, key: Buffer.from(value, "base64") }));
const idsOf = (keys: readonly SaeKey[]): string[] => keys.map(({ id }) => id);

test("keys come for its application and are fetched there, once, over a kill of either KM", async () => {
  const b1 = network.app("app-b1");
  for (const killed of [undefined, "km-b", "km-a"]) {
    const transfer = transferOf(BEYOND, "app-b1", 3, foreign.callback);
    const before = foreign.acks.length;
    expect((await foreign.post(url(), transfer)).status).toBe(202);
    if (killed !== undefined) {
      await network.km(killed).kill("SIGKILL");
      await network.km(killed).start();
    }
    await eventually("it is acknowledged", () => foreign.acks.length > before);
    expect(foreign.acks.at(-1)).toMatchObject({ ack_status: "relayed", target_sae_ids: ["app-b1"] });
    const keys = keysOf(transfer);
    expect(await b1.decKeys(BEYOND, idsOf(keys))).toEqual(keys);
    await expect(b1.decKeys(BEYOND, idsOf(keys))).rejects.toMatchObject({ status: 400 });
    await network.stocked();
  }
});

test("while it is down transfers are refused with 503, and taken when they come again", async () => {
  const transfer = transferOf(BEYOND, "app-b1", 1);
  await network.km("km-b").kill("SIGKILL");
  expect((await foreign.post(url(), transfer)).status).toBe(503);
  await network.km("km-b").start();
  await eventually("the transfer is taken", async () => (await foreign.post(url(), transfer)).status === 200);
  expect(await network.app("app-b1").decKeys(BEYOND, idsOf(keysOf(transfer)))).toEqual(keysOf(transfer));
  await network.stocked();
});

test("its application gets keys that the other network has, and none that it does not take", async () => {
  const b1 = network.app("app-b1");
  const [key] = await b1.encKeys(BEYOND);
  expect(foreign.keys.get(key?.id ?? "")).toBe(key?.key.toString("base64"));
  foreign.wrongs = [400];
  await expect(b1.encKeys(BEYOND)).rejects.toMatchObject({ status: 503 });
  const voided = foreign.voided.size;
  foreign.outcome = undefined;
  await expect(b1.encKeys(BEYOND)).rejects.toMatchObject({ status: 503 });
  await eventually("what was not acknowledged is void", () => foreign.voided.size > voided);
  foreign.outcome = "relayed";
  expect(await b1.encKeys(BEYOND)).toHaveLength(1);
  expect(foreign.complaints).toEqual([]);
});
