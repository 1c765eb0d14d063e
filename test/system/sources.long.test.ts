// Links whose key comes from vendor's boxes, on their bad days: whatever they do, no application has a wrong key, and all goes on.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { BoxFaults } from "../../drivers/simulator/boxes/faults.ts";
import { type BoxNetwork, startBoxNetwork } from "./support/boxes.ts";
import { eventually } from "./support/eventually.ts";

/** For whatever has to come by itself: pauses double to 30 s. */
const LONG_MS = 180_000;

/** The drivers differ little in what follows a fault: the second is shown all of them at once. */
const ALL: readonly [string, Partial<BoxFaults>] = [
  "all of it",
  { slowMs: 20, lateMs: 100, oneEnd: 0.02, wrong: 0.02, requestsPerS: 40 },
];
const EACH: readonly (readonly [string, Partial<BoxFaults>])[] = [
  ["slow", { slowMs: 150 }],
  ["late with what the other end gave", { lateMs: 500 }],
  ["without some keys at one end", { oneEnd: 0.03 }],
  ["wrong about some keys", { wrong: 0.05 }],
  ["limiting requests", { requestsPerS: 20 }],
  ALL,
];

describe.each([
  ["etsi014", EACH],
  ["etsi004", [ALL]],
] as const)("%s", (kind, bad) => {
  let made: BoxNetwork;
  beforeAll(async () => {
    const supply = { stock_low: 1, stock_high: 2 };
    made = await startBoxNetwork(kind, { config: { supply }, link: { keep_blocks: 4, block_bytes: 8192 } });
    await made.network.stocked(LONG_MS);
  });
  afterAll(async () => {
    await made?.[Symbol.asyncDispose]();
  });
  beforeEach(() => made.boxes.faults({}));

  const alarmsAt = async (km: string) => (await made.network.km(km).status()).links[0]?.alarms ?? [];

  /** A key from one end to the other; false while there is none. Never another than was supplied. */
  async function pass(): Promise<boolean> {
    const [a, b] = [made.network.app("app-a1"), made.network.app("app-b1")];
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const supplied = await one.encKeys(other.id, { number: 8, size: 2048 }).catch(() => []);
      if (supplied.length === 0) return false;
      const ids = supplied.map(({ id }) => id);
      expect(await other.decKeys(one.id, ids)).toEqual(supplied);
    }
    return true;
  }

  /** Keys of so many blocks: more than lie in stock. */
  async function passMany(): Promise<void> {
    for (let round = 0; round < 12; round++) await eventually("keys are passed", pass, LONG_MS);
  }

  test.each(bad)("boxes that are %s: keys come, and each is the same at both ends", async (_, faults) => {
    made.boxes.faults(faults);
    await passMany();
  });

  test("a box whose certificate has expired has its alarm, and is used again when it has a new one", async () => {
    await made.boxes.expire("a", true);
    const isTold = async () => {
      await pass();
      return (await alarmsAt("km-a")).includes("box-certificate");
    };
    await eventually("km-a tells that the certificate has expired", isTold, LONG_MS);
    await made.boxes.expire("a", false);
    await passMany();
    await eventually("the alarm is gone", async () => (await alarmsAt("km-a")).length === 0, LONG_MS);
  });

  test("a certificate of the KM's own that has expired has its alarm; a new file is enough", async () => {
    await made.boxes.expireOwn("b", true);
    await made.boxes.unplug("b");
    await made.boxes.plug("b");
    const isTold = async () => {
      await pass();
      return (await alarmsAt("km-b")).includes("own-certificate");
    };
    await eventually("km-b tells that its certificate has expired", isTold, LONG_MS);
    await made.boxes.expireOwn("b", false);
    await passMany();
  });

  test("a KM that is killed and started again goes on with the boxes", async () => {
    for (const id of ["km-a", "km-b"]) {
      const km = made.network.km(id);
      await km.kill();
      await km.start();
      await made.network.stocked(LONG_MS);
      await passMany();
    }
  });
});
