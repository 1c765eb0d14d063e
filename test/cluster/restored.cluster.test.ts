// A real etcd whose data of before is put back: it has the same cluster ID, and gives its revisions again.

import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Etcd } from "../../src/cluster/etcd.ts";
import { systemClock } from "../../src/control/system.ts";
import type { Store } from "../../src/vault/store/store.ts";
import { makeMemoryDisk } from "../support/memory-store.ts";
import { eventually } from "../system/support/eventually.ts";
import { type EtcdCluster, startEtcd } from "./support/etcd.ts";
import { asOwner, idsOf, type Owner, write } from "./support/owner.ts";

/** Does something with the data of all voters while none of them runs. */
async function whileOff({ voters }: EtcdCluster, work: (data: string, saved: string) => void): Promise<void> {
  await Promise.all(voters.map((voter) => voter.kill()));
  for (const { plan } of voters) work(join(plan.dir, "data"), join(plan.dir, "saved"));
  await Promise.all(voters.map((voter) => voter.start()));
}

/** As the owner, again while the voters choose a leader: it may have been in part. */
async function owning<T>(machine: Owner, work: (store: Store) => Promise<T> | T): Promise<T> {
  const results: { readonly value: T }[] = [];
  await eventually("etcd answers", async () => results.push({ value: await asOwner(machine, work) }) > 0);
  const [result] = results;
  if (result === undefined) throw new Error("the owner has done nothing");
  return result.value;
}

const machine = (etcd: Etcd): Owner => ({
  ...{ km: "km-b", etcd, disk: makeMemoryDisk(), clock: systemClock, lost: [] },
});

test("design 14: an etcd that was put back and has counted on is noticed, and no two pasts are mixed", async () => {
  await using cluster = await startEtcd();
  const etcd = cluster.client();
  const [first, second] = [machine(etcd), machine(etcd)];
  const standing = (owner: Owner) => owning(owner, () => etcd.range({ prefix: "/" }));
  await owning(first, (store) => write(store, "a"));
  await whileOff(cluster, (data, saved) => cpSync(data, saved, { recursive: true }));
  await owning(first, (store) => write(store, "b", "c"));
  const before = await standing(first);
  await whileOff(cluster, (data, saved) => {
    rmSync(data, { recursive: true });
    cpSync(saved, data, { recursive: true });
  });
  // From here on revisions are given again.
  let now = await standing(second);
  for (let n = 0; now.revision <= before.revision; n++) {
    await owning(second, (store) => write(store, `p${n}`));
    now = await standing(second);
  }
  expect(now.cluster).toBe(before.cluster);
  const ids = await owning(first, idsOf);
  expect(ids).toEqual(expect.arrayContaining(["a", "p0", "restored"]));
  expect(ids.filter((id) => id === "b" || id === "c")).toEqual([]);
  etcd.close();
});
