// Becomes the owner, works with the store on etcd, and ends: for tests that need no member around it.

import type { Etcd } from "../../../src/cluster/etcd.ts";
import { openEtcdStore } from "../../../src/cluster/etcd-store.ts";
import { layoutOf } from "../../../src/cluster/layout.ts";
import { LocalCopy } from "../../../src/cluster/local-copy.ts";
import { systemRandom } from "../../../src/control/system.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import type { MemoryDisk } from "../../support/memory-store.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

/** What a machine has. */
export interface Owner {
  readonly km: string;
  readonly etcd: Etcd;
  readonly disk: MemoryDisk;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  /** Why it is the owner no more, each time. */
  readonly lost: string[];
}

/** A change that puts one row. */
export const putRow = (id: string) => [{ op: "put", table: "t", id, value: new Uint8Array(1) }] as const;

/** The rows that there are; `restored` is the word that etcd was. */
export const idsOf = (store: Store): string[] => [...store.rows("t")].map(([id]) => id);

/** Writes rows, one after the other. */
export async function write(store: Store, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await store.write(putRow(id));
}

/** Whoever was the owner is it no more. @throws what opening the store throws */
export async function asOwner<T>(machine: Owner, work: (store: Store) => Promise<T> | T): Promise<T> {
  const { km, etcd, disk, clock } = machine;
  const layout = layoutOf(km);
  const { owner } = layout;
  await etcd.transact({ when: [], steps: [{ op: "delete", key: owner }] });
  const made = await etcd.transact({ when: [], steps: [{ op: "put", key: owner, value: Buffer.from("{}") }] });
  const copy = await LocalCopy.open(() => disk.open());
  try {
    const lost = (reason: string): void => void machine.lost.push(reason);
    const around = { etcd, layout, copy, clock, log, random: systemRandom, lost };
    const store = await openEtcdStore({ ...around, generation: made.revision, restored: () => putRow("restored") });
    const result = await work(store);
    await store.close();
    return result;
  } finally {
    await copy.close();
  }
}
