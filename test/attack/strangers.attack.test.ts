// Whoever has no certificate: what a door still does for those who have one, and what it writes.

import { afterAll, beforeAll, expect, test } from "vitest";
import { expectQuick } from "../support/busy.ts";
import { eventually } from "../system/support/eventually.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { startAttacker } from "./support/attacker.ts";
import { connectionTimes } from "./support/connecting.ts";
import { expectHarmless, p99 } from "./support/harmless.ts";
import { Innocent } from "./support/innocent.ts";

let network: Network;
let innocent: Innocent;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  await network.stocked();
  innocent = await Innocent.open(network.app("app-a1"), "app-a2");
});
afterAll(async () => {
  await innocent?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

const SOCKETS = 1_000;
const WITHIN_MS = 1_000;
const CONNECTIONS = 100;
/** What a door may write in a second of a flood. */
const LOG_BYTES_PER_S = 2_000;

test("17.5: beside 1,000 sockets that stop after ClientHello a real application connects within 1 s", async () => {
  const { port } = network.km("km-a").ak;
  await using _ = await startAttacker("silent", { port, sockets: SOCKETS });
  const times = await connectionTimes(network.app("app-a2"), CONNECTIONS);
  console.log(`connecting beside ${SOCKETS} silent sockets: p99 ${p99(times).toFixed(0)} ms`);
  expectQuick("connecting beside silent sockets", p99(times), WITHIN_MS);
});

test("17.5: sockets that stop after ClientHello do not slow supply down", async () => {
  const { port } = network.km("km-a").ak;
  await expectHarmless("silent sockets", innocent, () => startAttacker("silent", { port, sockets: SOCKETS }));
});

test("17.5: sockets that stop after ClientHello at Kx do not keep the other KM out", async () => {
  const { port } = network.km("km-b").config.kx.listen;
  await using _ = await startAttacker("silent", { port, sockets: SOCKETS });
  // km-a dials km-b, and is let in beside them.
  await network.km("km-a").kill("SIGTERM");
  await innocent[Symbol.asyncDispose]();
  await network.km("km-a").start();
  const begun = performance.now();
  await network.stocked();
  const ms = performance.now() - begun;
  console.log(`km-a is back and synchronised after ${ms.toFixed(0)} ms`);
  expectQuick("km-a comes back beside silent sockets", ms, 10_000);
  innocent = await Innocent.open(network.app("app-a1"), "app-a2");
});

test("17.7: refused connections neither slow supply down nor fill the log", async () => {
  const km = network.km("km-a");
  const { port } = km.ak;
  const [bytes, begun] = [km.logBytes, performance.now()];
  await expectHarmless("connections without a certificate", innocent, () =>
    startAttacker("unnamed", { port, at_once: 32 }),
  );
  const perSecond = ((km.logBytes - bytes) / (performance.now() - begun)) * 1_000;
  console.log(`log: ${perSecond.toFixed(0)} bytes a second`);
  expect(perSecond).toBeLessThan(LOG_BYTES_PER_S);
});

test("17.9: SIGHUP does not end a KM", async () => {
  const km = network.km("km-b");
  const [from, { pid }] = [km.logBytes, km];
  process.kill(pid, "SIGHUP");
  await eventually("the log tells of it", () => km.logLines(from).some(({ signal }) => signal === "SIGHUP"));
  expect([km.pid, (await km.status()).ready]).toEqual([pid, true]);
});
