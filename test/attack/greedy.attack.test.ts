// An application that takes all places it can get: what is left for others.

import { afterAll, beforeAll, expect, test } from "vitest";
import { expectQuick } from "../support/busy.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { startAttacker } from "./support/attacker.ts";
import { connectionTimes } from "./support/connecting.ts";
import { expectHarmless, p99 } from "./support/harmless.ts";
import { Innocent } from "./support/innocent.ts";

const APPS = ["app-a1", "app-a2", "app-a3"];
const CONNECTIONS = 300;
const WITHIN_MS = 1_000;

let network: Network;
let innocent: Innocent;
beforeAll(async () => {
  const kms = PAIR.kms.map((km) => (km.id === "km-a" ? { ...km, apps: APPS } : km));
  network = await startNetwork({ ...PAIR, kms });
  await network.stocked();
  innocent = await Innocent.open(network.app("app-a1"), "app-a3");
});
afterAll(async () => {
  await innocent?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

/** More connections than the door has places. */
function greedy(): Promise<AsyncDisposable> {
  const { certificate: cert, key } = network.app("app-a2").tls;
  return startAttacker("greedy", { port: network.km("km-a").ak.port, connections: CONNECTIONS, cert, key });
}

test("17.6: beside an application that takes all places another connects within 1 s and is served", async () => {
  await using _ = await greedy();
  const times = await connectionTimes(network.app("app-a3"), 50);
  console.log(`connecting beside ${CONNECTIONS} connections of another: p99 ${p99(times).toFixed(0)} ms`);
  expectQuick("connecting beside a greedy application", p99(times), WITHIN_MS);
  await using late = await Innocent.open(network.app("app-a3"), "app-a1");
  expect((await late.ask(200)).length).toBeGreaterThan(0);
});

test("17.6: an application that takes all places does not slow supply down", async () => {
  await expectHarmless("a greedy application", innocent, greedy);
});
