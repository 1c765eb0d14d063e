// The store on etcd: the contract of every store, then what is its own: the fence, catching up, an outcome that is unknown.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Etcd, EtcdError } from "../../src/cluster/etcd.ts";
import { openEtcdStore } from "../../src/cluster/etcd-store.ts";
import { layoutOf } from "../../src/cluster/layout.ts";
import { LocalCopy } from "../../src/cluster/local-copy.ts";
import { systemClock, systemRandom } from "../../src/control/system.ts";
import { openLmdbStore } from "../../src/vault/store/lmdb-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { exerciseStore, record } from "../contracts/store.ts";
import { eventually } from "../system/support/eventually.ts";
import { type EtcdCluster, startEtcd } from "./support/etcd.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const MAP_BYTES = 1 << 28;
let cluster: EtcdCluster;
let etcd: Etcd;
let kms = 0;

beforeAll(async () => {
  cluster = await startEtcd();
  etcd = cluster.client();
});
afterAll(async () => {
  etcd.close();
  await cluster[Symbol.asyncDispose]();
});

/** A member with a disk of its own. */
class Machine {
  readonly dir = mkdtempSync(join(tmpdir(), "qkm-copy-"));
  readonly layout;
  readonly lost: string[] = [];
  copy: LocalCopy | undefined;
  etcd: Etcd;

  constructor(km: string, through: Etcd = etcd) {
    this.layout = layoutOf(km);
    this.etcd = through;
  }

  /** Becomes the owner: whoever was it is it no more. */
  async own(): Promise<number> {
    const { owner } = this.layout;
    await this.etcd.transact({ when: [], steps: [{ op: "delete", key: owner }] });
    const made = await this.etcd.transact({ when: [], steps: [{ op: "put", key: owner, value: Buffer.from("me") }] });
    return made.revision;
  }

  async open(generation: number): Promise<Store> {
    this.copy = await LocalCopy.open(() => openLmdbStore({ dir: join(this.dir, "copy"), mapBytes: MAP_BYTES }));
    const { copy, layout } = this;
    const lost = (reason: string) => void this.lost.push(reason);
    const restored = () => [{ op: "put", table: "t", id: "restored", value: new Uint8Array(1) } as const];
    const store = await openEtcdStore({
      ...{ etcd: this.etcd, layout, copy, clock: systemClock, random: systemRandom, log },
      ...{ generation, lost, restored },
    });
    const close = async () => {
      await store.close();
      await copy.close();
    };
    return Object.assign(Object.create(store) as Store, {
      heads: () => store.heads(),
      tables: () => store.tables(),
      rows: (...of: Parameters<Store["rows"]>) => store.rows(...of),
      read: (...of: Parameters<Store["read"]>) => store.read(...of),
      write: (...of: Parameters<Store["write"]>) => store.write(...of),
      close,
      destroy: () => store.destroy(),
    });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

exerciseStore("etcd", () => {
  kms += 1;
  const machine = new Machine(`km-contract-${kms}`);
  let generation: Promise<number> | undefined;
  return {
    open: async () => {
      generation ??= machine.own();
      return machine.open(await generation);
    },
    remove: async () => machine.remove(),
  };
});

/** An etcd whose answers to transactions can be lost on the way, after they have happened or before. */
class Lossy {
  lose: "nothing" | "answers" | "questions" = "nothing";

  over(inner: Etcd): Etcd {
    const transact: Etcd["transact"] = async (transaction) => {
      if (this.lose === "questions") throw new EtcdError("unknown", "lost on the way");
      const answer = await inner.transact(transaction);
      if (this.lose === "answers") throw new EtcdError("unknown", "lost on the way back");
      return answer;
    };
    return Object.assign(Object.create(inner) as Etcd, {
      transact,
      range: (...of: Parameters<Etcd["range"]>) => inner.range(...of),
      watch: (...of: Parameters<Etcd["watch"]>) => inner.watch(...of),
    });
  }
}

const put = (id: string, n = 1) => [{ op: "put", table: "t", id, value: Uint8Array.of(n) } as const];
const idsOf = (store: Store) => [...store.rows("t")].map(([id]) => id);

describe("the store on etcd", () => {
  const machines: Machine[] = [];
  const stores: Store[] = [];
  const machine = (km: string, through?: Etcd) => {
    const made = new Machine(km, through);
    machines.push(made);
    return made;
  };
  const open = async (at: Machine, generation: number) => {
    const store = await at.open(generation);
    stores.push(store);
    return store;
  };
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    for (const made of machines.splice(0)) made.remove();
  });

  test("design 14: nothing that a former owner writes takes effect, and it is told", async () => {
    const [first, second] = [machine("km-fence"), machine("km-fence")];
    const old = await open(first, await first.own());
    await old.write(put("a"));
    const next = await open(second, await second.own());
    await expect(old.write(put("b"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(first.lost).toEqual(["another member is active now"]);
    await next.write(put("c"));
    expect(idsOf(next)).toEqual(["a", "c"]);
  });

  test("design 14: a new owner has all that the former wrote, records and rows, and what it removed is gone", async () => {
    const [first, second] = [machine("km-copy"), machine("km-copy")];
    const old = await open(first, await first.own());
    const kept = record("link:ab:1:0");
    await old.write([{ op: "keep", record: kept }, { op: "keep", record: record("gone") }, ...put("a"), ...put("b")]);
    await old.write([
      { op: "drop", head: record("gone") },
      { op: "remove", table: "t", id: "b" },
    ]);
    const next = await open(second, await second.own());
    expect([...next.heads()].map(({ block }) => block)).toEqual(["link:ab:1:0"]);
    expect(Buffer.from(next.read(kept) ?? []).equals(kept.record)).toBe(true);
    expect(idsOf(next)).toEqual(["a"]);
  });

  test("a transaction whose answer was lost has happened: the store refuses, and has it when it is opened again", async () => {
    const lossy = new Lossy();
    const member = machine("km-answers", lossy.over(etcd));
    const generation = await member.own();
    const store = await open(member, generation);
    lossy.lose = "answers";
    await expect(store.write(put("a"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(store.write(put("b"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    lossy.lose = "nothing";
    await store.close();
    expect(idsOf(await open(member, generation))).toEqual(["a"]);
    expect(member.lost).toEqual([]);
  });

  test("a transaction that was given up and comes late changes nothing once the store is opened again", async () => {
    let late: (() => Promise<unknown>) | undefined;
    const slow: Etcd = Object.assign(Object.create(etcd) as Etcd, {
      range: (...of: Parameters<Etcd["range"]>) => etcd.range(...of),
      watch: (...of: Parameters<Etcd["watch"]>) => etcd.watch(...of),
      transact: async (transaction: Parameters<Etcd["transact"]>[0]) => {
        if (late !== undefined || transaction.steps.length < 2) return etcd.transact(transaction);
        late = () => etcd.transact(transaction);
        throw new EtcdError("unknown", "no answer in time");
      },
    });
    const member = machine("km-late", slow);
    const generation = await member.own();
    const store = await open(member, generation);
    await expect(store.write(put("a"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await store.close();
    const again = await open(member, generation);
    expect(await late?.()).toMatchObject({ succeeded: false });
    await again.write(put("b"));
    expect(idsOf(again)).toEqual(["b"]);
  });

  test("a copy that was away while etcd forgot the way to the present is read anew, and has nothing that is gone", async () => {
    const [first, second] = [machine("km-compact"), machine("km-compact")];
    const early = await open(first, await first.own());
    await early.write([{ op: "keep", record: record("old") }, ...put("old"), ...put("both")]);
    await early.close();
    const owner = await open(second, await second.own());
    await owner.write([{ op: "drop", head: record("old") }, { op: "remove", table: "t", id: "old" }, ...put("new")]);
    const { revision } = await etcd.range({ prefix: "/nothing" });
    await etcd.compact(revision);
    const back = await open(first, await first.own());
    expect(idsOf(back)).toEqual(["both", "new"]);
    expect([...back.heads()]).toEqual([]);
  });

  test("an etcd that stands before what a copy has seen was restored: the store says so of itself", async () => {
    const member = machine("km-restored");
    const store = await open(member, await member.own());
    await store.write(put("a"));
    const at = member.copy?.at;
    await member.copy?.apply([], { cluster: at?.cluster ?? "", revision: (at?.revision ?? 0) + 1_000_000 });
    await store.close();
    expect(idsOf(await open(member, await member.own()))).toEqual(["a", "restored"]);
  });

  test("a change that no transaction of etcd takes is refused by name", async () => {
    const member = machine("km-large");
    const store = await open(member, await member.own());
    const value = new Uint8Array(10 << 20);
    await expect(store.write([{ op: "put", table: "t", id: "a", value }])).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("larger than one transaction"),
    });
  });
});

/** Asks until there is an answer: after the end of a voter the others may be choosing a leader. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  const answers: T[] = [];
  await eventually("etcd answers", async () => answers.push(await ask()) > 0);
  const [answer] = answers;
  if (answer === undefined) throw new Error("etcd has not answered");
  return answer;
}

/** What a watch brings next, once it has brought something and waits: then `waits` is called. */
async function watched(prefix: string, signal: AbortSignal, waits: () => void) {
  const put = { op: "put", key: `${prefix}a`, value: Buffer.from("1") } as const;
  const { revision } = await answered(() => etcd.transact({ when: [], steps: [put] }));
  const watch = etcd.watch({ prefix, fromRevision: revision, heard() {} }, signal)[Symbol.asyncIterator]();
  expect((await watch.next()).done).toBe(false);
  const next = watch.next();
  waits();
  return next;
}

test("a watch that is given up ends, also when nothing more comes", async () => {
  const end = new AbortController();
  await expect(watched("/given-up/", end.signal, () => end.abort())).rejects.toThrow(EtcdError);
});

test("a watch ends when the etcd that it listens to is killed", async () => {
  const [voter] = cluster.voters;
  const killed = (): void => void voter?.kill();
  await expect(watched("/killed/", new AbortController().signal, killed)).rejects.toThrow(EtcdError);
  await voter?.start();
});

test("after a watch that did not do its duty the next voter is asked", async () => {
  const [voter] = cluster.voters;
  const client = cluster.client();
  const end = new AbortController();
  const next = client
    .watch({ prefix: "/silent/", fromRevision: 1, heard() {} }, end.signal)
    [Symbol.asyncIterator]()
    .next();
  next.catch(() => {});
  await answered(() => client.range({ prefix: "/silent/" }));
  end.abort(new EtcdError("unknown", "nothing came"));
  await expect(next).rejects.toThrow(EtcdError);
  await voter?.kill();
  const failures: string[] = [];
  const asked = () =>
    client.range({ prefix: "/silent/" }).catch((thrown: unknown) => {
      failures.push(String(thrown));
      throw thrown;
    });
  expect((await answered(asked)).found).toEqual([]);
  // The one that was killed may have led the others; it is not the first to be asked.
  expect(failures[0] ?? "").not.toContain(voter?.url);
  await voter?.start();
  client.close();
});

test("a watch from the past brings more than a message of gRPC holds by default, and each revision whole", async () => {
  const client = cluster.client(60_000);
  const prefix = "/much/";
  const value = Buffer.alloc(1 << 20, 7);
  const put = (id: string) => ({ op: "put", key: `${prefix}${id}`, value }) as const;
  let first = 0;
  for (let n = 0; n < 2; n++) {
    const steps = [put(`${n} a`), put(`${n} b`), put(`${n} c`)];
    const { revision } = await answered(() => client.transact({ when: [], steps }));
    first ||= revision;
  }
  const end = new AbortController();
  const keys: string[] = [];
  for await (const { events } of client.watch({ prefix, fromRevision: first, heard() {} }, end.signal)) {
    keys.push(...events.map(({ key }) => key.slice(prefix.length)));
    const revisions = Map.groupBy(events, ({ modRevision }) => modRevision);
    for (const [revision, all] of revisions) expect(all, `${revision}`).toHaveLength(3);
    if (keys.at(-1) === "1 c") break;
  }
  end.abort();
  client.close();
  // One that was not answered may have been done, and is done again.
  expect(new Set(keys)).toEqual(new Set(["0 a", "0 b", "0 c", "1 a", "1 b", "1 c"]));
});
