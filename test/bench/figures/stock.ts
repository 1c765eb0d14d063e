// A KM with a million keys in stock: what it weighs, how fast they came, how long it takes to start.

import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { FilledNetwork } from "../filled.ts";
import type { Km } from "../km.ts";
import { BenchNetwork } from "../network.ts";
import { alternate } from "../result.ts";

const MEBI = 1 << 20;
const SETTLE_MS = 3_000;

export function measureRelay(bench: Bench, { relaysPerSecond }: FilledNetwork): void {
  if (!bench.wants("relay")) return;
  bench.add({
    name: "relay",
    unit: "KMA-keys/s",
    measured: { of: "both directions together", values: [relaysPerSecond] },
  });
}

/** `name` tells when: filled, or after all the load. */
export async function measureMemory(
  bench: Bench,
  filled: FilledNetwork,
  name: "memory" | "memory-after-load",
): Promise<void> {
  if (!bench.wants(name) && !bench.wants(`${name}-mapped`)) return;
  await filled.full();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const { a, b } = filled.network;
  const values = [a, b].map((km) => km.program.residentBytes() / MEBI);
  const store = [a, b].map((km) => km.program.mappedBytes("/data.mdb") / MEBI);
  const reference = { of: "with nothing in stock", values: [filled.emptyBytes / MEBI] };
  bench.add({
    name: `${name}-mapped`,
    unit: "MiB",
    measured: { of: "of it pages of the store, which the system takes back at will", values: store },
  });
  bench.add({
    name,
    unit: "MiB",
    measured: { of: "resident, both KMs", values },
    reference,
  });
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
