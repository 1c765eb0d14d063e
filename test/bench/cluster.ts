// What the store on etcd carries, beside LMDB's: intake of sealed blocks, and the time of one small commit.
//
//   node test/bench/cluster.ts [SECONDS]        three etcd on the loopback address of this machine

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEtcdStore } from "../../src/cluster/etcd-store.ts";
import { layoutOf } from "../../src/cluster/layout.ts";
import { LocalCopy } from "../../src/cluster/local-copy.ts";
import { systemClock, systemRandom } from "../../src/control/system.ts";
import { openLmdbStore } from "../../src/vault/store/lmdb-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { startEtcd } from "../cluster/support/etcd.ts";
import { record } from "../contracts/store.ts";

const SECONDS = Number(process.argv[2] ?? 5);
const MAP_BYTES = 1 << 30;
const BLOCK_BYTES = 32_768;
/** Commits that several links and applications have under way at a time. */
const AT_ONCE = 8;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Does `work` again and again, so many at a time; gives how often it was done in a second, and its times in ms. */
async function paced(atOnce: number, work: (n: number) => Promise<void>) {
  const times: number[] = [];
  let n = 0;
  const until = performance.now() + SECONDS * 1000;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) {
      const began = performance.now();
      await work(n++);
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { perS: times.length / SECONDS, times: times.sort((a, b) => a - b) };
}

const at = (times: readonly number[], part: number): string => (times[Math.floor(times.length * part)] ?? 0).toFixed(2);

async function measure(name: string, store: Store): Promise<void> {
  const sealed = record("link:ab:1:0", 1, { bytes: BLOCK_BYTES });
  const intake = await paced(AT_ONCE, async (n) => {
    const kept = record(`link:ab:1:${n % 512}`, 1, { bytes: BLOCK_BYTES });
    await store.write([
      { op: "keep", record: kept },
      { op: "put", table: "block", id: kept.block, value: Buffer.from(`run 1, sequence ${n}, of our own`) },
    ]);
  });
  const marks = await paced(1, (n) =>
    store.write([{ op: "put", table: "source", id: "km/1", value: Buffer.from(`mark ${n}`) }]),
  );
  const mbit = (intake.perS * sealed.bytes * 8) / 1e6;
  const cells = [intake.perS.toFixed(0), mbit.toFixed(1), at(marks.times, 0.5), at(marks.times, 0.99)];
  process.stdout.write(`| ${[name, ...cells].join(" | ")} |\n`);
}

const dir = mkdtempSync(join(tmpdir(), "qkm-bench-"));
process.stdout.write(
  "| store | blocks of 32 KiB a second | Mbit/s | ms a small commit, median | 99 % |\n| --- | --- | --- | --- | --- |\n",
);
{
  const lmdb = await openLmdbStore({ dir: join(dir, "lmdb"), mapBytes: MAP_BYTES });
  await measure("LMDB", lmdb);
  await lmdb.close();
}
{
  await using cluster = await startEtcd();
  const etcd = cluster.client();
  const layout = layoutOf("km-bench");
  const put = { op: "put", key: layout.owner, value: Buffer.from("bench") } as const;
  const { revision } = await etcd.transact({ when: [], steps: [put] });
  const copy = await LocalCopy.open(() => openLmdbStore({ dir: join(dir, "copy"), mapBytes: MAP_BYTES }));
  const lost = (reason: string): void => void process.stderr.write(`${reason}\n`);
  const store = await openEtcdStore({
    ...{ etcd, layout, copy, clock: systemClock, random: systemRandom, log: silent, lost, restored: () => [] },
    generation: revision,
  });
  await measure("etcd, three voters", store);
  await store.close();
  await copy.close();
  etcd.close();
}
rmSync(dir, { recursive: true, force: true });
