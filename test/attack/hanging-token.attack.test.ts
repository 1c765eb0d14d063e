// A token that hangs for ever: what the KM that it belongs to still does, and whether it comes back by itself.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { nodePlaces } from "../../src/cli/provision/plan.ts";
import { callControl } from "../../src/control/socket/client.ts";
import { expectQuick } from "../support/busy.ts";
import { HangingSofthsm } from "../support/hanging-softhsm.ts";
import { tokenProcessesOf } from "../support/token-process.ts";
import { eventually } from "../system/support/eventually.ts";
import { idsOf } from "../system/support/keys.ts";
import type { Km } from "../system/support/km.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { expectHarmless } from "./support/harmless.ts";
import { Innocent } from "./support/innocent.ts";

vi.setConfig({ testTimeout: 240_000 });

/** `[token] deadline_s`, and what it takes from there to the end of a process. */
const DEADLINE_MS = 2_000;
const ANSWERS_MS = 1_000;
/** What an orderly stop may take; a forced one takes 7 s and ends with 1. */
const STOPS_MS = 7_000;

/** Beyond what a zeroise waits for a token that hangs. */
const ZEROISED_MS = 90_000;

let network: Network;
let km: Km;
let token: HangingSofthsm;
beforeAll(async () => {
  const config = { token: { deadline_s: DEADLINE_MS / 1_000 } };
  network = await startNetwork({ ...PAIR, config });
  km = network.km("km-a");
  token = new HangingSofthsm(join(nodePlaces(km.dir).token, "tokens"));
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

const tokenState = async (): Promise<string> => (await km.status()).vault.token;

/** Milliseconds that metrics and the control socket take, asked again and again until `until` says so. */
async function answerTimes(until: () => Promise<boolean>): Promise<number[]> {
  const times: number[] = [];
  do {
    const begun = performance.now();
    await Promise.all([km.metrics(), km.status()]);
    times.push(performance.now() - begun);
  } while (!(await until()));
  return times;
}

async function exchange(): Promise<void> {
  const [a1, b1] = [network.app("app-a1"), network.app("app-b1")];
  const keys = await a1.encKeys("app-b1", { number: 3 });
  expect(await b1.decKeys("app-a1", idsOf(keys))).toEqual(keys);
}

test("17.11: while its token hangs a KM answers, and when the token is back all goes on by itself", async () => {
  for (const round of [1, 2]) {
    token.hang();
    const hung = performance.now();
    const before = await answerTimes(async () => (await tokenState()) === "gone");
    expectQuick("a token that hangs is missed", performance.now() - hung, DEADLINE_MS + 5_000);
    const times = [...before, ...(await answerTimes(async () => performance.now() - hung > 3 * DEADLINE_MS))];
    console.log(`round ${round}: slowest of ${times.length} answers ${Math.max(...times).toFixed(0)} ms`);
    expectQuick("the slowest answer while the token hangs", Math.max(...times), ANSWERS_MS);
    token.goOn();
    await eventually("the token is back", async () => (await tokenState()) === "ready");
    await network.stocked();
    await exchange();
  }
});

test("17.11: a token that hangs does not slow supply down at the other KM", async () => {
  await using innocent = await Innocent.open(network.app("app-b1"), "app-b2");
  await expectHarmless("a token that hangs at the other KM", innocent, async () => {
    token.hang();
    return {
      async [Symbol.asyncDispose]() {
        token.goOn();
        await eventually("the token is back", async () => (await tokenState()) === "ready", 120_000);
      },
    };
  });
  await network.stocked();
});

test("17.11: SIGTERM ends a KM in order while its token hangs, and it starts again", async () => {
  token.hang();
  const begun = performance.now();
  expect(await km.kill("SIGTERM")).toBe(0);
  expectQuick("SIGTERM while the token hangs", performance.now() - begun, STOPS_MS);
  token.goOn();
  await km.start();
  await network.stocked();
  await exchange();
});

/** The token's process ends, and the login of the one that follows hangs. */
async function hangAtLogin(): Promise<void> {
  const hangs = token.hangAtLogin(nodePlaces(km.dir).pin);
  for (const pid of tokenProcessesOf(km.pid)) process.kill(pid, "SIGKILL");
  await hangs;
}

test("17.11: while C_Login hangs a KM answers; it is given up, tried again, and no wrong PIN", async () => {
  const from = km.logBytes;
  await hangAtLogin();
  // Until that one is overdue, and the next one has found no token either.
  const reason = async () => (await km.status()).vault.tokenReason ?? "";
  const times = await answerTimes(async () => (await reason()).includes("has not answered"));
  console.log(`C_Login: slowest of ${times.length} answers ${Math.max(...times).toFixed(0)} ms`);
  expectQuick("the slowest answer while C_Login hangs", Math.max(...times), ANSWERS_MS);
  expect(await tokenState()).toBe("gone");
  token.goOn();
  await eventually("the token is back", async () => (await tokenState()) === "ready");
  await network.stocked();
  await exchange();
  expect(km.logLines(from).filter(({ fault }) => fault === "WRONG_PIN")).toEqual([]);
});

test("17.11: SIGTERM ends a KM in order while C_Login hangs", async () => {
  await hangAtLogin();
  const begun = performance.now();
  expect(await km.kill("SIGTERM")).toBe(0);
  expectQuick("SIGTERM while C_Login hangs", performance.now() - begun, STOPS_MS);
  token.goOn();
  await km.start();
  await network.stocked();
  await exchange();
});

/** Store and memory go at once, and what is in the token when it is back. */
async function zeroises(): Promise<void> {
  const zeroised = callControl(km.config.node.controlSocket, "zeroise", {}, ZEROISED_MS).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  await eventually("the store is gone", async () => !existsSync(join(km.config.node.storeDir, "data.mdb")));
  token.goOn();
  expect(await zeroised).toBeUndefined();
  expect(await km.exited).toBe(0);
}

test("17.11: zeroise takes memory and store while the token hangs, and its keys when it is back", async () => {
  token.hang();
  await zeroises();
  await km.start();
  await network.stocked();
});

test("17.11: zeroise takes memory and store while C_Login hangs, and the keys when the token is back", async () => {
  await hangAtLogin();
  await zeroises();
});
