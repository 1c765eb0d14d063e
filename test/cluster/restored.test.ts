// A past that is not a member's own: an etcd that was restored from a snapshot is noticed by whoever has seen more, also when
// it has counted on since; and what a later owner wrote is not for one that stood still.

import { expect, test } from "vitest";
import { EtcdError } from "../../src/cluster/etcd.ts";
import { openEtcdStore } from "../../src/cluster/etcd-store.ts";
import { layoutOf } from "../../src/cluster/layout.ts";
import { LocalCopy } from "../../src/cluster/local-copy.ts";
import { Member } from "../../src/cluster/member.ts";
import { systemRandom } from "../../src/control/system.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { makeMemoryDisk } from "../support/memory-store.ts";
import { clientOf, MemoryEtcd, type Obstacle } from "./support/memory-etcd.ts";

const layout = layoutOf("km-b");
const log = { debug() {}, info() {}, warn() {}, error() {} };
const put = (id: string) => [{ op: "put", table: "t", id, value: new Uint8Array(1) }] as const;
const idsOf = (store: Store): string[] => [...store.rows("t")].map(([id]) => id);
const write = async (store: Store, ...ids: readonly string[]): Promise<void> => {
  for (const id of ids) await store.write(put(id));
};

/** A member with a disk of its own. */
class Machine {
  readonly disk = makeMemoryDisk();
  readonly clock = new ManualClock();
  readonly alarms: unknown[] = [];
  readonly lost: string[] = [];
  readonly way: { before?: Obstacle; after?: Obstacle } = {};
  readonly #etcd: MemoryEtcd;

  constructor(etcd: MemoryEtcd) {
    this.#etcd = etcd;
  }

  /** Becomes the owner, does what is to be done with its store, and ends. */
  async asOwner<T>(work: (store: Store) => Promise<T> | T): Promise<T> {
    const step = { key: layout.owner, value: Buffer.from("{}") };
    this.#etcd.transact({ when: [], steps: [{ op: "delete", key: layout.owner }] });
    const { revision: generation } = this.#etcd.transact({ when: [], steps: [{ op: "put", ...step }] });
    const copy = await LocalCopy.open(() => this.disk.open());
    const { clock, way } = this;
    const lost = (reason: string): void => void this.lost.push(reason);
    try {
      const etcd = clientOf(this.#etcd, way);
      const around = { etcd, layout, copy, clock, log, random: systemRandom, lost };
      const store = await openEtcdStore({ ...around, generation, restored: () => put("restored") });
      const result = await work(store);
      await store.close();
      return result;
    } finally {
      await copy.close();
    }
  }

  /** A process of it, which stands by until it is the owner. */
  async member(): Promise<{ readonly member: Member; readonly active: Promise<boolean>; stop(): Promise<void> }> {
    const error = ({ alarm }: Readonly<Record<string, unknown>>): void => void this.alarms.push(alarm);
    const ports = {
      ...{ etcd: clientOf(this.#etcd, this.way), openCopy: () => this.disk.open(), clock: this.clock },
      ...{ log: { ...log, error }, random: systemRandom, restored: () => put("restored") },
    };
    const member = await Member.open({ km: "km-b", member: "1", leaseS: 3, holdBackMs: 0 }, ports);
    const end = new AbortController();
    const active = member.becomeActive(end.signal);
    const stop = async (): Promise<void> => {
      end.abort();
      await this.clock.run(1_000);
      await active;
      await member[Symbol.asyncDispose]();
    };
    return { member, active, stop };
  }

  get ids(): readonly string[] {
    const keys = [...this.disk.snapshot().rows.keys()].map((key) => JSON.parse(key));
    return keys.flatMap(([table, id]) => (table === "t" ? [String(id)] : []));
  }
}

/** Etcd after it was restored to what it had when there was `a` only, and the machine that has seen `b` and `c` since. */
async function restored(): Promise<{ readonly etcd: MemoryEtcd; readonly first: Machine }> {
  const etcd = new MemoryEtcd();
  const first = new Machine(etcd);
  await first.asOwner((store) => write(store, "a"));
  const snapshot = etcd.copy(etcd.cluster);
  await first.asOwner((store) => write(store, "b", "c"));
  etcd.restore(snapshot);
  return { etcd, first };
}

test("a new owner whose copy ends where a restored etcd has counted on since says so, and mixes no two pasts", async () => {
  const { etcd, first } = await restored();
  await new Machine(etcd).asOwner((store) => write(store, "p", "q", "r", "s", "t", "u"));
  expect(await first.asOwner(idsOf)).toEqual(["a", "p", "q", "r", "restored", "s", "t", "u"]);
});

test("a restored etcd that has counted on by what others wrote is noticed, too", async () => {
  const { etcd, first } = await restored();
  const other = { op: "put", key: "/qkm-member/km-b/2", value: new Uint8Array(1) } as const;
  for (let n = 0; n < 20; n++) etcd.transact({ when: [], steps: [other] });
  expect(await first.asOwner(idsOf)).toEqual(["a", "restored"]);
});

test("a standby that was away while etcd was restored and counted on raises the alarm, and follows nothing", async () => {
  const { etcd, first } = await restored();
  const second = new Machine(etcd);
  const lease = etcd.grant();
  await second.asOwner((store) => write(store, "p", "q", "r", "s", "t", "u"));
  const value = Buffer.from(JSON.stringify({ member: "2", lease }));
  etcd.transact({ when: [], steps: [{ op: "put", key: layout.owner, value, lease }] });
  const standby = await first.member();
  await first.clock.run(5_000);
  expect(first.alarms).toEqual(["restored"]);
  expect(first.ids).toEqual(["a", "b", "c"]);
  await standby.stop();
});

test("that etcd was restored is written there before the copy forgets it: nothing that ends the opening hides it", async () => {
  const { first } = await restored();
  let rows = 0;
  first.way.before = (_, key) => {
    if (key !== layout.rows) return undefined;
    rows += 1;
    throw new EtcdError("unknown", "no answer");
  };
  await expect(first.asOwner(idsOf)).rejects.toThrow(EtcdError);
  expect(rows).toBe(1);
  delete first.way.before;
  expect(await first.asOwner(idsOf)).toEqual(["a", "restored"]);
});

test("a member that stood still while it opened its store, and another took over, has none: not even to read", async () => {
  const etcd = new MemoryEtcd();
  const first = new Machine(etcd);
  await first.asOwner((store) => write(store, "a"));
  await new Machine(etcd).asOwner((store) => write(store, "b"));
  const still = Promise.withResolvers<void>();
  const waits = Promise.withResolvers<void>();
  first.way.before = (what) => {
    if (what !== "watch") return undefined;
    waits.resolve();
    return still.promise;
  };
  const opening = first.asOwner(idsOf);
  await waits.promise;
  await new Machine(etcd).asOwner((store) => write(store, "c"));
  still.resolve();
  await expect(opening).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  expect(first.lost).toEqual(["another member is active now"]);
});

test("an active member under which etcd is restored is it no more, and its next life finds what the store says", async () => {
  const etcd = new MemoryEtcd();
  const machine = new Machine(etcd);
  const life = await machine.member();
  expect(await life.active).toBe(true);
  const store = await life.member.openStore();
  await write(store, "a");
  const snapshot = etcd.copy(etcd.cluster);
  await write(store, "b");
  etcd.restore(snapshot);
  await expect(store.write(put("c"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  await store.close();
  await expect(life.member.openStore()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  expect(await life.member.lost).toBe("etcd was restored");
  await life.stop();
  expect(await machine.asOwner(idsOf)).toEqual(["a", "restored"]);
});
