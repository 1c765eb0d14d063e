// What has to hold of the memory of every KM of a network.

import { expect } from "vitest";
import { tokenProcessesOf } from "../../support/token-process.ts";
import type { HandedKey } from "../../system/support/doors.ts";
import { eventually } from "../../system/support/eventually.ts";
import type { Km } from "../../system/support/km.ts";
import type { Network } from "../../system/support/network.ts";
import { secretsOf } from "./material.ts";
import { copyOf } from "./process-memory.ts";
import { echoes, isVaults, scan, summary } from "./scan.ts";

export interface Expected {
  /** By KM: the keys that left it, of which no byte may lie anywhere. */
  readonly handedOut: (km: string) => readonly HandedKey[];
  /** Keys of 64 bits were asked for that nobody has read. */
  readonly short?: boolean;
}

/**
 * Of keys that left there is nothing, anywhere; of other key nothing but in the vault's memory; and what lies there, be
 * it key that nobody else knows, lies nowhere else. @throws Error of `expect`
 */
export async function memoryHolds(network: Network, { handedOut, short = false }: Expected): Promise<void> {
  for (const km of network.kms) {
    const secrets = await secretsOf(network, handedOut(km.id), short);
    await betweenEpochs(km);
    const memory = await copyOf(km.pid);
    const traces = await scan(memory, secrets);
    for (const pid of tokenProcessesOf(km.pid)) {
      const found = await scan(await copyOf(pid), secrets);
      expect(summary(found), `the process of the token of ${km.id}`).toEqual([]);
    }
    const [keys, blocks] = [true, false].map((isKey) =>
      traces.filter(({ secret }) => secret.startsWith("key ") === isKey),
    );
    expect(summary(keys ?? []), `keys that left ${km.id}`).toEqual([]);
    const [inside, outside] = [true, false].map((is) => (blocks ?? []).filter(({ region }) => isVaults(region) === is));
    expect(summary(outside ?? []), `link blocks at ${km.id}`).toEqual([]);
    expect(inside?.length, `open blocks at ${km.id}: the search sees them`).toBeGreaterThan(0);
    expect(summary(await echoes(memory)), `what the vault of ${km.id} holds`).toEqual([]);
  }
}

/** Longer than a test takes: until then no epoch turns. */
const LONG_EPOCH_MS = 3_600_000;

/** Where epochs turn all the time, waits until one has just turned: meanwhile a record that is sealed anew lies in two places. */
async function betweenEpochs(km: Km): Promise<void> {
  if (km.config.token.epochMs >= LONG_EPOCH_MS) return;
  const turned = (): number => km.logLines().filter(({ epoch, ms }) => epoch !== undefined && ms !== undefined).length;
  const before = turned();
  await eventually(`an epoch of ${km.id} has turned`, () => turned() > before);
}
