// ETSI GS QKD 020 with everything real: two KMs that border each other, and a key manager of another make; faults in between.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ForeignKme, transferOf } from "../etsi020/foreign-kme.ts";
import { borderUrl, foreignTo, withBorders } from "./support/borders.ts";
import { eventually } from "./support/eventually.ts";
import { akFetch, akSupply } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import type { SaeKey } from "./support/sae.ts";

const EXT_KEYS = "/kmapi/v1/ext_keys";

let network: Network;
let foreign: ForeignKme;
beforeAll(async () => {
  network = await startNetwork({
    kms: [
      { id: "km-a", apps: ["app-a1", "app-a2"] },
      { id: "km-x", apps: ["app-x1"] },
    ],
    links: [],
    doors: ["etsi020"],
  });
  const [a, x] = [network.km("km-a"), network.km("km-x")];
  foreign = await foreignTo(network, a);
  await withBorders(a, {
    borders: [
      { id: "km-x", url: borderUrl(x) },
      { id: "foreign", url: foreign.url },
    ],
    apps: { "app-x1": "km-x", "sae-f1": "foreign" },
  });
  await withBorders(x, { borders: [{ id: "km-a", url: borderUrl(a), synchronous: true }], apps: { "app-a1": "km-a" } });
});
afterAll(async () => {
  await foreign?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

const first = ([key]: readonly SaeKey[]): SaeKey => {
  if (key === undefined) throw new Error("no key");
  return key;
};

/** Keys, asked for again while the other network takes too long. */
async function given(ask: () => Promise<SaeKey[]>): Promise<SaeKey[]> {
  let keys: SaeKey[] = [];
  await eventually("keys are given", async () => {
    keys = await ask();
    return true;
  });
  return keys;
}

const border = async (km: string, labels: Readonly<Record<string, string>>): Promise<number> =>
  (await network.km(km).metrics()).sum("qkm_border_keys_total", labels);

test("two KMs give their applications the same keys over the border, each once, in both modes and directions", async () => {
  const [a1, x1] = [network.app("app-a1"), network.app("app-x1")];
  const asynchronous = await given(() => a1.encKeys("app-x1", { number: 3, size: 512 }));
  expect(
    await x1.decKeys(
      "app-a1",
      asynchronous.map(({ id }) => id),
    ),
  ).toEqual(asynchronous);
  await using ak = await x1.connectAk();
  const synchronous = await given(() => akSupply(ak, "app-a1", 2));
  await using other = await a1.connectAk();
  const ids = synchronous.map(({ id }) => id);
  expect(await akFetch(other, "app-x1", ids)).toEqual(synchronous);
  await expect(a1.decKeys("app-x1", ids)).rejects.toThrow();
  await expect(network.app("app-a2").decKeys("app-x1", ids)).rejects.toThrow();
  expect(await border("km-a", { border: "km-x", direction: "out", outcome: "relayed" })).toBe(3);
  expect(await border("km-a", { border: "km-x", direction: "in", outcome: "held" })).toBe(2);
});

test("while the other KM is down nothing is supplied, and keys pass again when it is back", async () => {
  const [a1, x] = [network.app("app-a1"), network.km("km-x")];
  await x.kill("SIGKILL");
  const asked = a1.encKeys("app-x1").then(
    () => "given",
    () => "refused",
  );
  expect(await asked).toBe("refused");
  await x.start();
  await eventually("keys pass again", async () => {
    const key = first(await a1.encKeys("app-x1"));
    expect(await network.app("app-x1").decKeys("app-a1", [key.id])).toEqual([key]);
    return true;
  });
});

test("keys of another make come in, are acknowledged over faults and a kill, and are had once", async () => {
  const [a, a1] = [network.km("km-a"), network.app("app-a1")];
  foreign.wrongs = [503, "cut off"];
  const transfer = transferOf("sae-f1", "app-a1", 3, foreign.callback);
  expect((await foreign.post(borderUrl(a) + EXT_KEYS, transfer)).status).toBe(202);
  await eventually("two acknowledgements went wrong", () => foreign.wrongs.length === 0);
  await a.kill("SIGKILL");
  await a.start();
  await eventually("it is acknowledged", () => foreign.acks.length > 0);
  expect(foreign.acks[0]).toMatchObject({ ack_status: "relayed", initiator_sae_id: "sae-f1" });
  expect((await foreign.post(borderUrl(a) + EXT_KEYS, transfer)).status).toBe(202);
  const [one, two, three] = transfer.keys.map(({ key_id }) => key_id);
  const ids = [one ?? "", two ?? ""];
  expect(await a1.decKeys("sae-f1", ids)).toEqual(
    transfer.keys.slice(0, 2).map(({ key_id, value }) => ({ id: key_id, key: Buffer.from(value, "base64") })),
  );
  const container = { ...transfer, keys: undefined, ack_callback_url: undefined, key_ids: [one, three] };
  const voided = await foreign.post(`${borderUrl(a)}${EXT_KEYS}/void`, container);
  expect(JSON.parse(voided.text).map(({ ack_status }: { ack_status: string }) => ack_status)).toEqual([
    "failed to void",
    "voided",
  ]);
  await expect(a1.decKeys("sae-f1", [three ?? ""])).rejects.toThrow();
  await expect(a1.decKeys("sae-f1", ids)).rejects.toThrow();
  expect(foreign.complaints).toEqual([]);
});

test("keys leave to another make over faults, and are void when nobody acknowledges them", async () => {
  const a1 = network.app("app-a1");
  foreign.wrongs = [503, "done, no answer"];
  const key = first(await given(() => a1.encKeys("sae-f1")));
  expect(foreign.keys.get(key.id)).toBe(key.key.toString("base64"));
  const before = foreign.voided.size;
  foreign.outcome = undefined;
  await expect(a1.encKeys("sae-f1")).rejects.toMatchObject({ status: 503 });
  await eventually("they are void", () => foreign.voided.size > before);
  foreign.outcome = "failed";
  await expect(a1.encKeys("sae-f1")).rejects.toMatchObject({ status: 503 });
  await eventually("what failed is void too", () => foreign.voided.size > before + 1);
  foreign.outcome = "relayed";
  foreign.wrongs = [400];
  await expect(a1.encKeys("sae-f1")).rejects.toMatchObject({ status: 503 });
  expect(foreign.complaints).toEqual([]);
});

test("what was in the middle when a KM was killed is void after its next start", async () => {
  const [a, a1] = [network.km("km-a"), network.app("app-a1")];
  const before = foreign.voided.size;
  foreign.outcome = undefined;
  const sent = foreign.to(EXT_KEYS).length;
  const asked = a1.encKeys("sae-f1").catch(() => "gone");
  await eventually("they were sent", () => foreign.to(EXT_KEYS).length > sent);
  await a.kill("SIGKILL");
  expect(await asked).toBe("gone");
  await a.start();
  await eventually("they are void", () => foreign.voided.size > before);
  foreign.outcome = "relayed";
  expect(await given(() => a1.encKeys("sae-f1"))).toHaveLength(1);
});

test("no log has a key that came or left", () => {
  const values = foreign.received.flatMap(({ body }) => [...JSON.stringify(body ?? "").matchAll(/"value":"([^"]+)"/g)]);
  expect(values.length).toBeGreaterThan(4);
  for (const km of network.kms) {
    const log = readFileSync(km.logPath, "latin1");
    for (const [, value = ""] of values) expect(log.includes(value)).toBe(false);
  }
});
