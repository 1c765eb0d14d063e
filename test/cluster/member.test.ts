// Members of one KM on real etcd: who is active, how a standby follows, and how it takes over.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Etcd } from "../../src/cluster/etcd.ts";
import { Member } from "../../src/cluster/member.ts";
import { systemClock, systemRandom } from "../../src/control/system.ts";
import { openLmdbStore } from "../../src/vault/store/lmdb-store.ts";
import { until } from "../support/until.ts";
import { type EtcdCluster, startEtcd } from "./support/etcd.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const LEASE_S = 2;
let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcd();
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

const ending: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface Started {
  readonly member: Member;
  readonly etcd: Etcd;
  readonly dir: string;
  /** Whether it became active before it was stopped. */
  readonly active: Promise<boolean>;
  stop(): Promise<void>;
}

const newDir = (): string => mkdtempSync(join(tmpdir(), "qkm-member-"));

interface Options {
  readonly dir?: string;
  readonly leaseS?: number;
}

async function start(km: string, name: string, { dir = newDir(), leaseS = LEASE_S }: Options = {}): Promise<Started> {
  const etcd = cluster.client();
  const member = await Member.open(
    { km, member: name, leaseS, holdBackMs: 0 },
    {
      etcd,
      openCopy: () => openLmdbStore({ dir: join(dir, "copy"), mapBytes: 1 << 27 }),
      clock: systemClock,
      random: systemRandom,
      log,
      restored: () => [],
    },
  );
  const end = new AbortController();
  const active = member.becomeActive(end.signal);
  const stop = async () => {
    end.abort();
    await active;
    await member[Symbol.asyncDispose]();
  };
  ending.push(async () => {
    await stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return { member, etcd, dir, active, stop };
}

const put = (id: string) => [{ op: "put", table: "t", id, value: new Uint8Array(1) } as const];

test("design 14: of two members one is active; the other follows it, and takes over at once when it hands over", async () => {
  // A test that waited for the end of this lease would fail.
  const first = await start("km-hand", "1", { leaseS: 600 });
  expect(await first.active).toBe(true);
  const store = await first.member.openStore();
  const second = await start("km-hand", "2");
  await store.write(put("a"));
  await until("the standby has followed", () => {
    const { state, owner, lagMs } = second.member.report();
    return state === "standby" && owner === "1" && lagMs === 0;
  });
  expect(second.member.generation).toBe(first.member.generation);
  await store.close();
  await first.stop();
  expect(await second.active).toBe(true);
  const next = await second.member.openStore();
  expect([...next.rows("t")].map(([id]) => id)).toEqual(["a"]);
  expect(second.member.generation).toBeGreaterThan(first.member.generation);
  await next.close();
});

test("design 14: a member whose lease has ended is not the owner any more, learns it, and can write nothing", async () => {
  const first = await start("km-lost", "1");
  await first.active;
  const store = await first.member.openStore();
  const second = await start("km-lost", "2");
  await until("both are there", () => first.member.report().others.length === 1);
  const owner = await second.etcd.range({ prefix: "/qkm/km-lost/owner" });
  const { lease } = JSON.parse(Buffer.from(owner.found[0]?.value ?? "").toString());
  await second.etcd.revoke(lease);
  expect(await second.active).toBe(true);
  await expect(store.write(put("late"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  expect(await first.member.lost).toMatch(/active now|lease/);
  await store.close();
});

test("a member that was killed and comes back does not wait for its own lease; alone it is active again at once", async () => {
  const first = await start("km-again", "1");
  await first.active;
  const { generation } = first.member;
  // What a kill leaves: the lease lives on, the copy is free.
  const owner = await first.etcd.range({ prefix: "/qkm/km-again/owner" });
  const etcd = cluster.client();
  const dead = await etcd.grant(600);
  const value = Buffer.from(JSON.stringify({ member: "1", lease: dead }));
  await first.stop();
  await etcd.transact({ when: [], steps: [{ op: "put", key: owner.found[0]?.key ?? "", value, lease: dead }] });
  const again = await start("km-again", "1", { dir: first.dir });
  expect(await again.active).toBe(true);
  expect(again.member.generation).toBeGreaterThan(generation);
  etcd.close();
});
