// Relay: between neighbours, and through a transit node against a bare Kx echo.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KmId } from "../../../src/core/ids.ts";
import { completionOf, relayOf } from "../../../src/kx/payload/relay.ts";
import { HEADER_BYTES } from "../../../src/wire/frame.ts";
import { encodePayload } from "../../../src/wire/payload.ts";
import type { Bench } from "../bench.ts";
import { type Pattern, serverRival } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { BenchNetwork } from "../network.ts";
import { Program } from "../program.ts";
import { materialOf } from "../reference/args.ts";
import type { FramesPlan } from "../reference/frames.ts";

const FRAMES = fileURLToPath(new URL("../reference/frames.ts", import.meta.url));
const LINE = ["km-a", "km-b", "km-c"] as const;
/** KMA-keys for each destination. */
const STOCK = 400;
/** A pad is a little longer than the KMA-key under it. */
const SPARE = 20;
/** Own ones and copies of each link, with room. */
const KEEP_BLOCKS = 3 * STOCK;
const FILL_BITS_PER_S = 25_000_000;
const BLOCK_BYTES = 32_768;
/** As many relays as a KM has under way. */
const PATTERN: Pattern = { connections: 1, depth: 8, heatMs: 1_000, measureMs: 2_000 };
const MBIT_PER_BLOCK = (BLOCK_BYTES * 8) / 1e6;
const POLL_MS = 20;

export function measureRelay(bench: Bench, { relaysPerSecond }: FilledNetwork): void {
  if (!bench.wants("relay")) return;
  const measured = { of: "between neighbours, both directions together", values: [relaysPerSecond * MBIT_PER_BLOCK] };
  bench.add({ name: "relay", unit: "Mbit/s", measured });
}

export async function measureTransit(bench: Bench): Promise<void> {
  if (!bench.wants("relay-transit")) return;
  await using network = await lineWithBlocks(bench);
  bench.say("relaying through the one in the middle, both ways");
  const measured = { of: "through one node, both directions together", values: [await transit(network)] };
  const reference = { of: "bare Kx echo", values: [await echo(network)] };
  bench.add({
    name: "relay-transit",
    unit: "Mbit/s",
    measured,
    reference,
    aims: [{ of: "value", atLeast: 100 }],
  });
}

/** Three KMs, stopped, with link blocks and nothing relayed. */
export async function lineWithBlocks(bench: Bench): Promise<BenchNetwork> {
  bench.say("three KMs in a line, which know of no route: link blocks first");
  const network = await BenchNetwork.provision(join(bench.dir, "line"), bench.nodeFlags, LINE);
  try {
    await network.start({ stock: STOCK, keepBlocks: KEEP_BLOCKS });
    await network.modulesOn(FILL_BITS_PER_S);
    await network.until("there are link blocks", ({ usable }) => usable >= STOCK + SPARE);
    await network.modulesOff();
    await network.stop();
    return network;
  } catch (thrown) {
    await network[Symbol.asyncDispose]();
    throw thrown;
  }
}

/**
 * Megabits of key a second that become ready at both ends. The node between serves no application: it has no stock to
 * fill. `flags`: for that node.
 */
export async function transit(network: BenchNetwork, flags: readonly string[] = []): Promise<number> {
  const { a, b } = network;
  const settings = { stock: STOCK, keepBlocks: KEEP_BLOCKS, isRouted: true };
  await Promise.all(network.kms.map((km) => km.start(settings, km === a || km === b ? [] : flags)));
  const counts = async () => {
    const ready = await Promise.all([a.counted("kma_keys_ready", LINE[2]), b.counted("kma_keys_ready", LINE[0])]);
    return { at: performance.now(), keys: ready.reduce((sum, keys) => sum + keys, 0) };
  };
  let first: { readonly at: number; readonly keys: number } | undefined;
  let last = await counts();
  for (const deadline = last.at + 60_000; last.keys < STOCK + STOCK / 2; last = await counts()) {
    if (last.at > deadline) throw new Error(`only ${last.keys} KMA-keys went through the transit node in a minute`);
    if (last.keys > 0) first ??= last;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  if (first === undefined) throw new Error("all KMA-keys were there before the first look");
  return ((last.keys - first.keys) * MBIT_PER_BLOCK) / ((last.at - first.at) / 1000);
}

/** The same of a server that answers frames as long as a 0x1101 under a pad with frames as long as a 0x1102. */
async function echo(network: BenchNetwork): Promise<number> {
  const { requestBytes, answerBytes } = frameSizes();
  const args: FramesPlan = { files: network.kx, requestBytes, answerBytes };
  const program = await Program.start({ args: [FRAMES, JSON.stringify(args)], log: network.log("reference") });
  const target = { port: 0, tls: materialOf(network.kx) };
  const request = new Uint8Array(requestBytes);
  await using rival = await serverRival(program, PATTERN, target, { request, requestBytes, answerBytes });
  await rival.run(PATTERN.heatMs);
  return (await rival.run(PATTERN.measureMs)).perSecond * MBIT_PER_BLOCK;
}

function frameSizes(): { readonly requestBytes: number; readonly answerBytes: number } {
  const requestId = "00000000-0000-4000-8000-000000000000";
  const [source, transit, destination] = LINE as readonly string[] as readonly [KmId, KmId, KmId];
  const keyId = "00000000-0100-8000-8000-000000000000";
  const tag = new Uint8Array(16);
  const pad = { link: "bc", run: 1, sequence: 1_000, offset: 0, length: BLOCK_BYTES };
  const offer = {
    ...{ requestId, source, destination, transit: [transit], keyId, givenUp: "", key: new Uint8Array(BLOCK_BYTES) },
    protection: { scheme: "otp", pads: [pad, { ...pad, sequence: 1_002, length: 32 }], tag },
  } as unknown as Parameters<typeof relayOf>[0];
  return {
    requestBytes: HEADER_BYTES + relayOf(offer).length,
    answerBytes: HEADER_BYTES + encodePayload(completionOf(requestId, { keyId, tag })).length,
  };
}
