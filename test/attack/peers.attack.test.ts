// A peer that lies, and modules that count wrongly: what a KM that runs still does, and how it gets over it.

import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { networkPlaces } from "../../src/cli/provision/plan.ts";
import type { NodeConfig } from "../../src/config.ts";
import { callControl } from "../../src/control/socket/client.ts";
import { Fault } from "../../src/core/fault.ts";
import type { ExtensionEntry, PeerConnection } from "../../src/keys/ports/peers.ts";
import { eventually } from "../system/support/eventually.ts";
import type { Km } from "../system/support/km.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { startAttacker } from "./support/attacker.ts";
import { expectHarmless } from "./support/harmless.ts";
import { HOSTILE_STATES } from "./support/hostile-states.ts";
import { Innocent } from "./support/innocent.ts";
import { holdsEntry, linkEntry, startLiar, stateOf, tells } from "./support/lying-peer.ts";

let network: Network;
let victim: Km;
/** Whose place the liar takes: it dials the victim. */
let other: Km;
let innocent: Innocent;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  await network.stocked();
  victim = network.km("km-b");
  other = network.km("km-a");
  innocent = await Innocent.open(network.app("app-b1"), "app-b2");
});
afterAll(async () => {
  await innocent?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

/** Up to eleven rounds, and what it takes to recover. */
const SLOW = { timeout: 420_000 };
const MOST_MEMORY_KIB = 600_000;
const MAX_SERIAL = 2 ** 40 - 1;
/** Blocks of a link that its module and its driver hold at most when the module is killed. */
const ON_THEIR_WAY = 16;

/** How often the victim has raised an alarm since a byte of its log. */
const alarms = (alarm: string, fromByte: number): number =>
  victim.logLines(fromByte).filter((line) => line.alarm === alarm).length;

const memoryKib = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${victim.pid}/status`, "utf8"))?.[1]);

/** The true km-a is back, and the two have key for one another. */
async function recovered(): Promise<void> {
  await other.start();
  await network.stocked(240_000);
}

test.each(Object.keys(HOSTILE_STATES))("17.1: a state of %s slows nobody down", async (state) => {
  await other.kill();
  await expectHarmless(state, innocent, () => startAttacker("lying-state", { config: other.configPath, state }));
  expect(memoryKib()).toBeLessThan(MOST_MEMORY_KIB);
  await recovered();
});

test.each([
  ["a serial accepted that was never given", stateOf([linkEntry("ab")], MAX_SERIAL)],
  [
    "pads that no module will ever reach",
    stateOf([linkEntry("ab", { pad_run: 2 ** 53 - 1, pad_sequence: 2 ** 53 - 1, pad_offset: 0 })]),
  ],
])("17.2: %s, told once, is refused with an alarm and ends no pair", async (_name, state) => {
  const { config } = other;
  const from = victim.logBytes;
  await other.kill();
  const liar = await startLiar(config, { connected: (connection) => tells(connection, state) });
  await eventually("the alarm", async () => alarms("peer_leap", from) > 0, 120_000);
  await liar[Symbol.asyncDispose]();
  await recovered();
  expect(alarms("restored", from)).toBe(0);
});

test("17.2: a peer that tells numbers out of bounds at each connection slows nobody down", SLOW, async () => {
  const { config } = other;
  await other.kill();
  const state = stateOf([linkEntry("ab")], MAX_SERIAL);
  await expectHarmless("numbers out of bounds", innocent, () =>
    startLiar(config, { connected: (connection) => tells(connection, state) }),
  );
  await recovered();
});

/** Takes part in the state exchange as it should, and refuses each relay. */
function startRefuser(config: NodeConfig, relayed: () => void): Promise<AsyncDisposable> {
  const agree = (connection: PeerConnection, entries: readonly ExtensionEntry[]): void => {
    const link = entries.find(({ part }) => part === "link");
    if (link === undefined || !entries.some(({ part }) => part === "end")) return;
    const { run, highest } = link;
    tells(connection, stateOf([linkEntry("ab", { run, highest }), holdsEntry("ab", Number(run), `0-${highest}`)]));
  };
  return startLiar(config, {
    told: async (connection, entries) => agree(connection, entries),
    relayed: async () => {
      relayed();
      throw new Fault("SERIAL_SEEN");
    },
  });
}

test("17.3: a peer that refuses each relay with SERIAL_SEEN is sent few", async () => {
  await other.kill();
  let [relays, firstMs] = [0, 0];
  const liar = await startRefuser(other.config, () => {
    firstMs ||= performance.now();
    relays++;
  });
  await eventually("ten seconds of refusals", async () => relays > 0 && performance.now() - firstMs > 10_000, 120_000);
  console.log(`relays that were refused with SERIAL_SEEN in 10 s: ${relays}`);
  expect(relays).toBeLessThan(20);
  await liar[Symbol.asyncDispose]();
  await recovered();
});

test("17.3: a peer that refuses each relay slows nobody down", SLOW, async () => {
  const { config } = other;
  await other.kill();
  await expectHarmless("relays that are refused", innocent, () => startRefuser(config, () => {}));
  await recovered();
});

test(
  "17.10: a module pair that counts from an earlier run has an alarm, and is accepted by an operator",
  SLOW,
  async () => {
    const link = network.link("ab");
    const runFile = networkPlaces(network.dir).runFile("ab");
    const from = victim.logBytes;
    const restarted = async (run: number): Promise<void> => {
      await link.kill();
      writeFileSync(runFile, `${run}\n`);
      await link.start();
    };
    const blocks = async () => (await victim.metrics()).sum("qkm_blocks_received_total");
    await restarted(10 ** 12);
    const before = await blocks();
    // More than what may still have been on its way from the run before.
    await eventually("blocks of the far run", async () => (await blocks()) > before + ON_THEIR_WAY, 120_000);
    let far = 10 ** 12;
    await expectHarmless("a module pair from an earlier run", innocent, async () => {
      await restarted(1);
      return { [Symbol.asyncDispose]: () => restarted(++far) };
    });
    await restarted(1);
    await eventually("the alarm", async () => alarms("run_went_back", from) > 0, 120_000);
    for (const km of network.kms) await callControl(km.config.node.controlSocket, "accept_module", { link: "ab" });
    const accepted = await blocks();
    await eventually("blocks of the new pair", async () => (await blocks()) > accepted, 120_000);
    await network.stocked(240_000);
  },
);
