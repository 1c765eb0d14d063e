// A standby that falls behind always comes back: each way in which what follows etcd can be silent for ever, one by one.

import { expect, test } from "vitest";
import { catchUp } from "../../src/cluster/catch-up.ts";
import { EtcdError, type WatchBatch } from "../../src/cluster/etcd.ts";
import { Follower } from "../../src/cluster/follower.ts";
import { layoutOf } from "../../src/cluster/layout.ts";
import { LocalCopy } from "../../src/cluster/local-copy.ts";
import { Member } from "../../src/cluster/member.ts";
import { systemRandom } from "../../src/control/system.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { makeMemoryDisk } from "../support/memory-store.ts";
import { clientOf, MemoryEtcd, type Obstacle } from "./support/memory-etcd.ts";

const layout = layoutOf("km-b");
const never = (): Promise<void> => new Promise(() => {});

/** A standby on an etcd in memory, whose way to it a test can block, and what the active member writes. */
class Standby {
  readonly etcd = new MemoryEtcd();
  readonly clock = new ManualClock();
  readonly disk = makeMemoryDisk();
  readonly told: string[] = [];
  readonly way: { before?: Obstacle; after?: Obstacle } = {};
  #member: Member | undefined;
  readonly #end = new AbortController();
  #active: Promise<boolean> | undefined;

  constructor() {
    this.own("1");
    this.write("first");
  }

  /** Somebody else becomes the owner. */
  own(member: string): void {
    const lease = this.etcd.grant();
    const value = Buffer.from(JSON.stringify({ member, lease }));
    this.etcd.transact({ when: [], steps: [{ op: "put", key: layout.owner, value, lease }] });
  }

  write(id: string): void {
    const value = new Uint8Array(1);
    this.etcd.transact({
      when: [],
      steps: [
        { op: "put", key: layout.write, value },
        { op: "put", key: `${layout.rows}t/${id}`, value },
      ],
    });
  }

  async start(): Promise<Member> {
    const say = (_: object, sentence: string) => void this.told.push(sentence);
    const log = { debug() {}, info() {}, warn: say, error: say };
    this.#member = await Member.open(
      { km: "km-b", member: "2", leaseS: 3, holdBackMs: 0 },
      {
        etcd: clientOf(this.etcd, this.way),
        openCopy: () => this.disk.open(),
        clock: this.clock,
        random: systemRandom,
        log,
        restored: () => [],
      },
    );
    this.#active = this.#member.becomeActive(this.#end.signal);
    return this.#member;
  }

  get #ids(): readonly string[] {
    return [...this.disk.snapshot().rows.keys()];
  }

  /** Lets simulated time pass in small steps until the copy has that row. @throws Error when it has not come in time */
  async has(id: string, withinMs = 10_000): Promise<void> {
    for (let ms = 0; ms < withinMs; ms += 100) {
      if (this.#ids.includes(JSON.stringify(["t", id]))) return;
      await this.clock.run(100);
    }
    throw new Error(`${id} did not come: ${JSON.stringify(this.#member?.report())}; ${this.told.join("; ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    delete this.way.before;
    delete this.way.after;
    await this.clock.run(1_000);
    await this.#active;
    await this.#member?.[Symbol.asyncDispose]();
  }
}

/** Stops the first so many things that a watch does, for ever. */
function silentWatch(times: number): Obstacle {
  let left = times;
  return (what) => (what === "watch" && left-- > 0 ? never() : undefined);
}

test("an answer that was on its way while the copy went on is no sign of a restored etcd", async () => {
  await using standby = new Standby();
  await standby.start();
  await standby.has("first");
  const slow = Promise.withResolvers<void>();
  let held = 0;
  standby.way.after = (what, key) => {
    if (what !== "range" || key !== layout.owner) return undefined;
    held += 1;
    return slow.promise;
  };
  while (held === 0) await standby.clock.run(100);
  standby.write("second");
  await standby.has("second");
  slow.resolve();
  await standby.clock.run(100);
  standby.write("third");
  await standby.has("third");
  expect(standby.told).toEqual([]);
});

test.each([
  ["a watch that falls silent", 1],
  ["a watch that falls silent, and the next one while it catches up", 2],
  ["many silent watches, one after the other", 5],
])("%s: what is behind is begun anew until it is not", async (_, times) => {
  await using standby = new Standby();
  const member = await standby.start();
  await standby.has("first");
  standby.way.after = silentWatch(times);
  standby.write("second");
  await standby.has("second", 20_000);
  await standby.clock.run(2_000);
  expect(member.report()).toMatchObject({ state: "standby", lagMs: 0 });
});

test("a watch that is never answered is begun anew", async () => {
  await using standby = new Standby();
  await standby.start();
  await standby.has("first");
  standby.way.before = silentWatch(3);
  standby.way.after = silentWatch(1);
  standby.write("second");
  await standby.has("second", 20_000);
});

test("a watch that goes on slowly is not given up, however long a batch takes", async () => {
  const standby = new Standby();
  const copy = await LocalCopy.open(() => standby.disk.open());
  const { clock } = standby;
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  let watches = 0;
  const etcd = {
    ...clientOf(standby.etcd),
    async *watch({ heard }: { heard: () => void }, signal: AbortSignal): AsyncGenerator<WatchBatch> {
      watches += 1;
      const end = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(new EtcdError("unknown", "given up")), { once: true });
      });
      for (let n = 0; n < 40 && watches === 1; n++) {
        heard();
        await Promise.race([end, new Promise<void>((resolve) => void clock.after(500, resolve))]);
      }
      if (watches > 1) await end;
      yield {
        cluster: "1",
        revision: 1_000,
        events: [{ key: layout.write, value: new Uint8Array(1), modRevision: 1_000 }],
      };
    },
  };
  const follower = new Follower({ etcd, layout, copy, clock, log }, () => {});
  await copy.apply([], { cluster: "1", revision: 3 });
  const end = new AbortController();
  const running = follower.run(end.signal);
  const look = () => follower.see({ before: copy.at, now: { cluster: "1", revision: 1_000 }, lastWrite: 1_000 });
  for (let s = 0; s < 25; s++) {
    look();
    await clock.run(1_000);
  }
  expect(copy.at.revision).toBe(1_000);
  expect(watches).toBe(2);
  end.abort();
  await running;
  await copy.close();
});

test("a KM that is quiet while etcd forgets is followed on, without reading everything anew", async () => {
  await using standby = new Standby();
  const whole: string[] = [];
  await standby.start();
  await standby.has("first");
  standby.etcd.transact({ when: [], steps: [{ op: "put", key: "/qkm/other/row/t/a", value: new Uint8Array(1) }] });
  await standby.clock.run(2_000);
  standby.etcd.compact(standby.etcd.standing.revision);
  standby.way.before = (what, key) => {
    if (what === "range" && key === layout.rows) whole.push(key);
    return undefined;
  };
  standby.way.after = silentWatch(1);
  standby.write("second");
  await standby.has("second");
  expect(whole).toEqual([]);
});

test("a standby that comes when etcd has forgotten the last write reads everything as it is now", async () => {
  await using standby = new Standby();
  standby.etcd.transact({ when: [], steps: [{ op: "put", key: "/qkm/other/row/t/a", value: new Uint8Array(1) }] });
  standby.etcd.compact(standby.etcd.standing.revision);
  await standby.start();
  await standby.has("first");
});

test("a local store that refuses a change is told of, and what it lacks comes when it takes changes again", async () => {
  await using standby = new Standby();
  await standby.start();
  await standby.has("first");
  standby.disk.reject("lost");
  standby.write("second");
  await standby.has("second");
  expect(standby.told).toHaveLength(1);
});

test("a standby that catches up by a silent watch takes over all the same when the owner is gone", async () => {
  await using standby = new Standby();
  const member = await standby.start();
  await standby.has("first");
  standby.way.after = silentWatch(1_000);
  standby.write("second");
  await standby.clock.run(500);
  const owner = standby.etcd.range({ prefix: layout.owner }).found[0];
  standby.etcd.revoke(JSON.parse(Buffer.from(owner?.value ?? "").toString()).lease);
  await standby.clock.run(8_000);
  expect(member.report().state).toBe("active");
});

test("an owner that catches up by a silent watch gives up after two seconds, and may try again", async () => {
  const standby = new Standby();
  const { clock } = standby;
  const copy = await LocalCopy.open(() => standby.disk.open());
  await copy.apply([], { cluster: "1", revision: 2 });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const following = { etcd: clientOf(standby.etcd, { before: silentWatch(1) }), layout, copy, clock, log };
  const way = { from: 3, signal: new AbortController().signal, heard() {}, applied() {} };
  let outcome: unknown;
  catchUp(following, standby.etcd.standing, way).catch((thrown) => {
    outcome = thrown;
  });
  await clock.run(2_100);
  await settled();
  expect(outcome).toBeInstanceOf(EtcdError);
  await catchUp(following, standby.etcd.standing, way);
  expect(copy.at.revision).toBe(standby.etcd.standing.revision);
  expect(clock.waiting).toBe(0);
  await copy.close();
});
