// What a member that was active can still do, and what a KM does without etcd: up to its durable marks, and no further.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AkClient, AkRefusal, appId, connectAk, kmId, type SuppliedKey } from "../../src/ak/client.ts";
import type { NetworkMember } from "../../src/cli/common/network.ts";
import { eventually } from "../system/support/eventually.ts";
import { Oracle } from "../system/support/oracle.ts";
import { Stage } from "./support/stage.ts";

const PAIR = { source: "km-b", destination: "km-c", initiator: "app-b1", target: "app-c1" } as const;
const STOPPED_MS = 5_000;
/** Durable marks run ahead by two chunks for each KMA-key that is open: a slow store has some of them open. */
const MOST_AHEAD_BYTES = 16 * 2 * 4_096;
let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start();
  await eventually("the standby is there", async () => (await stage.report(stage.active.id)).others.length > 0);
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

/** app-b1 at one member alone. */
function at({ ak }: NetworkMember, timeoutMs: number, further: readonly NetworkMember[] = []): Promise<AkClient> {
  const { apps, ca } = stage.network;
  const app = apps.find(({ id }) => id === PAIR.initiator);
  const read = (path = "") => readFileSync(path, "utf8");
  const tls = { certificate: read(app?.cert), key: read(app?.key), trust: read(ca.km_servers) };
  return connectAk({ ...ak, further: further.map((member) => member.ak), tls, km: kmId("km-b"), timeoutMs });
}

const asked = { destination: appId(PAIR.target), count: 1, sizeBits: 2_048 } as const;

const taken = (keys: readonly SuppliedKey[]) =>
  keys.map((one) => {
    using key = one;
    return { id: key.keyId, key: key.key.lend((bytes) => Buffer.from(bytes)) };
  });

test("design 14: a member paused in the middle of supply hands out what lies below its marks, then nothing, and stands by", async () => {
  const oracle = new Oracle();
  const old = stage.active;
  await using zombie = await at(old, 60_000);
  for (let n = 0; n < 20; n++) oracle.supplied(PAIR, taken(await zombie.getKeys(asked)));
  // Sent before it is stopped, and more behind: it finds them when it goes on.
  process.kill(old.pid, "SIGSTOP");
  const late = Array.from({ length: 1_000 }, () => zombie.getKeys(asked));
  const answers = Promise.allSettled(late);
  await eventually("another member is active", () => stage.active.id !== old.id);
  await using next = await at(stage.active, 5_000);
  const fresh = () => next.getKeys(asked).then(taken);
  await eventually("the new one supplies", async () => oracle.supplied(PAIR, await fresh()).length > 0);
  for (let n = 0; n < 100; n++) oracle.supplied(PAIR, await fresh());
  process.kill(old.pid, "SIGCONT");
  let fromZombie = 0;
  for (const answer of await answers) {
    if (answer.status === "rejected") continue;
    const keys = taken(answer.value);
    oracle.supplied(PAIR, keys);
    fromZombie += keys.reduce((sum, { key }) => sum + key.length, 0);
  }
  expect(oracle.violations).toEqual([]);
  expect(fromZombie).toBeLessThanOrEqual(MOST_AHEAD_BYTES);
  await eventually("it stands by", async () => (await stage.report(old.id)).state === "standby");
  // What it handed out is as good as any key.
  const target = stage.apps.find(({ id }) => id === PAIR.target);
  for (const one of oracle.inState("supplied")) {
    oracle.fetched([one], (await target?.decKeys(PAIR.initiator, [one.id])) ?? []);
  }
  expect(oracle.violations).toEqual([]);
});

test("design 14: without etcd's quorum supply goes on to the durable marks, is refused by name, and recovers by itself", async () => {
  const oracle = new Oracle();
  await using client = await at(stage.active, 10_000, stage.listed);
  const ask = async (): Promise<string> => {
    try {
      oracle.supplied(PAIR, taken(await client.getKeys(asked)));
      return "key";
    } catch (thrown) {
      if (!(thrown instanceof AkRefusal)) throw thrown;
      return thrown.code ?? "";
    }
  };
  expect(await ask()).toBe("key");
  const [, ...voters] = stage.network.etcd ?? [];
  for (const { pid } of voters) process.kill(pid, "SIGSTOP");
  const begun = performance.now();
  const outcomes: string[] = [];
  while (performance.now() - begun < STOPPED_MS) outcomes.push(await ask());
  for (const { pid } of voters) process.kill(pid, "SIGCONT");
  expect(outcomes[0]).toBe("key");
  expect(outcomes.filter((outcome) => outcome === "key").length).toBeLessThanOrEqual(MOST_AHEAD_BYTES / 256);
  expect(new Set(outcomes)).toEqual(new Set(["key", "STORE_UNAVAILABLE"]));
  // Its lease has ended meanwhile: whichever member takes over, by itself.
  await eventually("it supplies again", async () => (await ask()) === "key");
  expect(oracle.violations).toEqual([]);
});
