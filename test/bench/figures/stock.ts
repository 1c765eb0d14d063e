// A KM with a million keys in stock: what it weighs, alone and under idle applications, and how long it takes to start.

import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import type { Bench } from "../bench.ts";
import type { FilledNetwork } from "../filled.ts";
import type { Km } from "../km.ts";
import { openSocket } from "../load.ts";
import { BenchNetwork } from "../network.ts";
import { alternate } from "../result.ts";

const MEBI = 1 << 20;
const SETTLE_MS = 3_000;
const IDLE_APPLICATIONS = 1_000;
/** Handshakes at a time. */
const AT_ONCE = 16;
const MILLION = 1_000_000;
const LONG_KEYS = 10 * MILLION;
/** The stock does not hold a million keys that are supplied without a relay. */
const PARTS = 4;

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

/** Ready, and nothing in stock yet. */
export function measureEmpty(bench: Bench, { emptyBytes }: FilledNetwork): void {
  if (!bench.wants("memory-empty")) return;
  const measured = { of: "resident, nothing in stock", values: [emptyBytes / MEBI] };
  bench.add({ name: "memory-empty", unit: "MiB", measured, aims: [{ of: "value", atMost: 120 }] });
}

/** `name` tells when: filled, or after all the load. */
export async function measureMemory(
  bench: Bench,
  filled: FilledNetwork,
  name: "memory" | "memory-after-load",
): Promise<void> {
  if (!bench.wants(name) && !bench.wants(`${name}-mapped`)) return;
  await filled.full();
  await settled();
  const { a, b } = filled.network;
  const values = [a, b].map((km) => km.program.residentBytes() / MEBI);
  const reference = { of: "with nothing in stock", values: [filled.emptyBytes / MEBI] };
  addMapped(bench, name, [a, b]);
  bench.add({ name, unit: "MiB", measured: { of: "resident, both KMs", values }, reference });
}

/** The part of a figure that is pages of the store. */
function addMapped(bench: Bench, name: string, kms: readonly Km[]): void {
  const values = kms.map((km) => km.program.mappedBytes("/data.mdb") / MEBI);
  const measured = { of: "of it pages of the store, which the system takes back at will", values };
  bench.add({ name: `${name}-mapped`, unit: "MiB", measured });
}

/** With a million keys in stock, and a thousand applications that are connected and ask for nothing. */
export async function measureIdle(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!bench.wants("memory-idle") && !bench.wants("memory-idle-mapped")) return;
  bench.say(`${IDLE_APPLICATIONS} idle applications`);
  await filled.full();
  const { network } = filled;
  const target = { port: network.a.plan.ports.ak, tls: network.client("a") };
  const sockets: TLSSocket[] = [];
  using _sockets = { [Symbol.dispose]: () => sockets.forEach((socket) => void socket.destroy()) };
  while (sockets.length < IDLE_APPLICATIONS) {
    const some = Math.min(AT_ONCE, IDLE_APPLICATIONS - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: some }, () => openSocket(target)))));
  }
  await settled();
  const connected = await network.a.gauge("connections", 'door="ak"');
  if (connected < IDLE_APPLICATIONS) throw new Error(`only ${connected} applications are connected`);
  const measured = { of: "resident, a thousand applications", values: [network.a.program.residentBytes() / MEBI] };
  addMapped(bench, "memory-idle", [network.a]);
  bench.add({ name: "memory-idle", unit: "MiB", measured, aims: [{ of: "value", atMost: 200 }] });
}

/** Ten million keys supplied, the stock filled again each time: the memory at the end against that after the first million. */
export async function measureFlat(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!bench.wants("memory-flat")) return;
  const { a } = filled.network;
  const values: number[] = [];
  const mapped: number[] = [];
  const before = await a.counted("keys_supplied");
  for (let supplied = MILLION; supplied <= LONG_KEYS; supplied += MILLION) {
    bench.say(`supplying the keys up to ${supplied.toLocaleString("en")}`);
    // Filling supplies keys, too; what the other KM holds for nobody must not reach its `max_held`.
    while ((await a.counted("keys_supplied")) < before + supplied) {
      await filled.full();
      await filled.drain(MILLION / PARTS);
    }
    await settled();
    values.push(a.program.residentBytes() / MEBI);
    mapped.push(a.program.mappedBytes("/data.mdb") / MEBI);
  }
  const [first = Number.NaN] = values;
  const text = (all: readonly number[]): string => all.map((value) => value.toFixed(0)).join(" ");
  bench.say(`MiB after each million: ${text(values)}, of them pages of the store: ${text(mapped)}`);
  const measured = { of: "resident after ten million keys", values: values.slice(-1) };
  const reference = { of: "after the first million", values: [first] };
  bench.add({ name: "memory-flat", unit: "MiB", measured, reference, aims: [{ of: "ratio", atMost: 1.05 }] });
}

/** From the start of the process to `ready`: with a million keys, and with none. */
export async function measureStart(bench: Bench, { network }: FilledNetwork): Promise<void> {
  if (!bench.wants("start")) return;
  bench.say("starting a KM with a million keys in stock, and one with none");
  await using empty = await BenchNetwork.provision(join(bench.dir, "empty"), bench.nodeFlags);
  const [full, none] = await alternate(
    bench.rounds,
    () => startMs(network.a),
    () => startMs(empty.a),
  );
  const measured = { of: "to `ready`, a million keys", values: full };
  const reference = { of: "with nothing in stock", values: none };
  bench.add({ name: "start", unit: "ms", measured, reference, aims: [{ of: "value", atMost: 1_500 }] });
  await network.until("the KMs are synchronised again", ({ synchronised }) => synchronised);
}

async function startMs(km: Km): Promise<number> {
  await km.stop();
  await km.start();
  return km.program.readyMs;
}
