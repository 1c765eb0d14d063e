// A past that is not a member's own: an etcd that was restored from a snapshot is noticed by whoever has seen more, also when
// it has counted on since; and what a later owner wrote is not for one that stood still.

import { expect, test } from "vitest";
import { type Etcd, EtcdError } from "../../src/cluster/etcd.ts";
import { layoutOf } from "../../src/cluster/layout.ts";
import { Member } from "../../src/cluster/member.ts";
import { systemRandom } from "../../src/control/system.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { makeMemoryDisk } from "../support/memory-store.ts";
import { clientOf, MemoryEtcd, type Obstacle } from "./support/memory-etcd.ts";
import { asOwner, idsOf, type Owner, putRow as put, write } from "./support/owner.ts";

const layout = layoutOf("km-b");
const log = { debug() {}, info() {}, warn() {}, error() {} };

/** A member with a disk of its own. */
class Machine implements Owner {
  readonly km = "km-b";
  readonly etcd: Etcd;
  readonly disk = makeMemoryDisk();
  readonly clock = new ManualClock();
  readonly alarms: unknown[] = [];
  readonly lost: string[] = [];
  readonly way: { before?: Obstacle; after?: Obstacle } = {};

  constructor(etcd: MemoryEtcd) {
    this.etcd = clientOf(etcd, this.way);
  }

  /** A process of it, which stands by until it is the owner. */
  async member(): Promise<{ readonly member: Member; readonly active: Promise<boolean>; stop(): Promise<void> }> {
    const error = ({ alarm }: Readonly<Record<string, unknown>>): void => void this.alarms.push(alarm);
    const ports = {
      ...{ etcd: this.etcd, openCopy: () => this.disk.open(), clock: this.clock },
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
  await asOwner(first, (store) => write(store, "a"));
  const snapshot = etcd.copy(etcd.cluster);
  await asOwner(first, (store) => write(store, "b", "c"));
  etcd.restore(snapshot);
  return { etcd, first };
}

test("a new owner whose copy ends where a restored etcd has counted on since says so, and mixes no two pasts", async () => {
  const { etcd, first } = await restored();
  await asOwner(new Machine(etcd), (store) => write(store, "p", "q", "r", "s", "t", "u"));
  expect(await asOwner(first, idsOf)).toEqual(["a", "p", "q", "r", "restored", "s", "t", "u"]);
});

test("a restored etcd that has counted on by what others wrote is noticed, too", async () => {
  const { etcd, first } = await restored();
  const other = { op: "put", key: "/qkm-member/km-b/2", value: new Uint8Array(1) } as const;
  for (let n = 0; n < 20; n++) etcd.transact({ when: [], steps: [other] });
  expect(await asOwner(first, idsOf)).toEqual(["a", "restored"]);
});

test("a standby that was away while etcd was restored and counted on raises the alarm, and follows nothing", async () => {
  const { etcd, first } = await restored();
  const second = new Machine(etcd);
  const lease = etcd.grant();
  await asOwner(second, (store) => write(store, "p", "q", "r", "s", "t", "u"));
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
  await expect(asOwner(first, idsOf)).rejects.toThrow(EtcdError);
  expect(rows).toBe(1);
  delete first.way.before;
  expect(await asOwner(first, idsOf)).toEqual(["a", "restored"]);
});

test("a member that stood still while it opened its store, and another took over, has none: not even to read", async () => {
  const etcd = new MemoryEtcd();
  const first = new Machine(etcd);
  await asOwner(first, (store) => write(store, "a"));
  await asOwner(new Machine(etcd), (store) => write(store, "b"));
  const still = Promise.withResolvers<void>();
  const waits = Promise.withResolvers<void>();
  first.way.before = (what) => {
    if (what !== "watch") return undefined;
    waits.resolve();
    return still.promise;
  };
  const opening = asOwner(first, idsOf);
  await waits.promise;
  await asOwner(new Machine(etcd), (store) => write(store, "c"));
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
  expect(await asOwner(machine, idsOf)).toEqual(["a", "restored"]);
});
