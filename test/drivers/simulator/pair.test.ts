// The simulated module pair in memory: the contract of a key source, and each fault that it can be told.

import { expect, onTestFinished, test } from "vitest";
import { End } from "../../../drivers/simulator/end.ts";
import { seededKey, seededRandom } from "../../../drivers/simulator/material.ts";
import { noise } from "../../../drivers/simulator/noise.ts";
import { type Faults, NO_FAULTS } from "../../../drivers/simulator/options.ts";
import { ModulePair } from "../../../drivers/simulator/pair.ts";
import { linkId } from "../../../src/core/ids.ts";
import type { KeySource } from "../../../src/device/key-source.ts";
import { Host } from "../../../src/kq/host/host.ts";
import { exerciseKeySource, type KeySourceRig } from "../../contracts/key-source.ts";
import { CountedPool } from "../../kq/world.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { recorder } from "../../support/recorder.ts";

const BLOCK_BYTES = 4_096;
const SLOTS = 6;
const made = seededKey("contract");

/** A line in memory that one can pull out: what is on its way is lost. */
class MemoryLine {
  #plug = 0;
  readonly clock: ManualClock;
  readonly end: End;
  #host: Host | undefined;

  constructor(clock: ManualClock, faults: Faults, seed: string) {
    this.clock = clock;
    const random = seededRandom(seed);
    const hurt = () => noise(faults.flipBytes, faults.dropBytes, random);
    this.end = new End(
      (bytes) => this.#carry(Buffer.from(bytes), (piece) => this.#host?.received(piece)),
      hurt(),
      hurt(),
    );
  }

  plug(host: Host): void {
    this.#plug++;
    this.#host = host;
    host.attach((bytes) => this.#carry(Buffer.from(bytes), (piece) => this.end.received(piece)));
  }

  unplug(): void {
    this.#plug++;
    this.#host?.detach();
    this.#host = undefined;
  }

  #carry(bytes: Buffer, arrive: (piece: Buffer) => void): boolean {
    const plug = this.#plug;
    this.clock.after(1, () => plug === this.#plug && arrive(bytes));
    return true;
  }
}

class MemoryRig implements KeySourceRig {
  readonly blockBytes = BLOCK_BYTES;
  readonly slots = SLOTS;
  readonly made = (run: number, sequence: number) => made(run, sequence, BLOCK_BYTES);
  readonly clock = new ManualClock();
  readonly heard = recorder();
  readonly lines: { readonly a: MemoryLine; readonly b: MemoryLine };
  readonly pair: ModulePair;
  readonly #pool = new CountedPool(SLOTS, BLOCK_BYTES);
  #host: Host | undefined;
  #run = 0;

  constructor(faults: Partial<Faults> = {}, bufferBlocks = 512) {
    const all = { ...NO_FAULTS, ...faults };
    const { clock } = this;
    this.lines = { a: new MemoryLine(clock, all, "a"), b: new MemoryLine(clock, all, "b") };
    const about = { link: linkId("ab"), blockBytes: BLOCK_BYTES, rateBitsPerS: 1_638_400, qber: 0.03 };
    const ports = { clock, random: seededRandom("nonces"), chance: seededRandom("chance"), log: this.heard.log };
    this.pair = new ModulePair(
      { ...about, bufferBlocks, faults: all },
      { a: this.lines.a.end, b: this.lines.b.end },
      { ...ports, makeKey: made, nextRun: () => ++this.#run },
    );
  }

  taken(): number {
    return this.#pool.taken;
  }

  async open(): Promise<KeySource> {
    const host = this.host("a", this.#pool);
    this.#host = host;
    return {
      blocks: () => host.blocks(),
      status: () => host.status(),
      [Symbol.asyncDispose]: async () => host.close(),
    };
  }

  host(end: "a" | "b", pool: CountedPool): Host {
    const { log, meter } = this.heard;
    const random = seededRandom(`${end} host`);
    const host = new Host(
      { link: linkId("ab"), blockBytes: BLOCK_BYTES },
      { clock: this.clock, random, log, meter, pool },
    );
    this.lines[end].plug(host);
    return host;
  }

  async unplug(): Promise<void> {
    this.lines.a.unplug();
  }

  async plug(): Promise<void> {
    if (this.#host) this.lines.a.plug(this.#host);
  }

  async restartModule(): Promise<void> {
    this.pair.powerUp();
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    let waits = true;
    const ended = promise.finally(() => {
      waits = false;
    });
    await this.until("a promise settles", () => !waits);
    return ended;
  }

  async until(what: string, done: () => boolean): Promise<void> {
    for (let passed = 0; passed < 30_000; passed += 2) {
      if (done()) return;
      this.clock.advance(2);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!done()) throw new Error(`waited in vain until ${what}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pair[Symbol.dispose]();
    this.clock.advance(5);
    expect(this.clock.waiting).toBe(0);
  }
}

exerciseKeySource("the simulated module", async () => new MemoryRig());

/** Both ends' blocks after `ms` of simulated time, by name. */
async function both(faults: Partial<Faults>, ms: number) {
  const rig = new MemoryRig(faults);
  const blocks = { a: new Map<string, string>(), b: new Map<string, string>() };
  const hosts = (["a", "b"] as const).map((end) => {
    const host = rig.host(end, new CountedPool(SLOTS, BLOCK_BYTES));
    void (async () => {
      for await (const { run, sequence, key, acknowledge } of host.blocks()) {
        expect(blocks[end].has(`${run}:${sequence}`)).toBe(false);
        blocks[end].set(
          `${run}:${sequence}`,
          key.lend((bytes) => Buffer.from(bytes).toString("latin1")),
        );
        acknowledge();
        key[Symbol.dispose]();
      }
    })();
    return host;
  });
  const start = rig.clock.monotonicMs();
  await rig.until("the time is over", () => rig.clock.monotonicMs() >= start + ms);
  for (const host of hosts) host.close();
  await rig[Symbol.asyncDispose]();
  return { ...blocks, names: [...new Set([...blocks.a.keys(), ...blocks.b.keys()])], rig };
}

test("both ends bring the same blocks, at the rate, and seeds repeat", async () => {
  const { a, b } = await both({}, 10_000);
  expect(a.size).toBeGreaterThan(480);
  expect(a.size).toBeLessThan(502);
  expect([...a].every(([name, key]) => (b.get(name) ?? key) === key)).toBe(true);
  expect(Math.abs(a.size - b.size)).toBeLessThan(3);
  expect(made(1, 2, 64)).toEqual(seededKey("contract")(1, 2, 64));
  expect(made(1, 2, 64)).not.toEqual(seededKey("other")(1, 2, 64));
});

test("jitter moves blocks but keeps the rate", async () => {
  const { a } = await both({ jitter: 1 }, 10_000);
  expect(a.size).toBeGreaterThan(430);
  expect(a.size).toBeLessThan(570);
});

test("lost blocks are missing at one end only", async () => {
  const { a, b, names } = await both({ loseBlocks: 0.3 }, 10_000);
  const missing = names.filter((name) => !a.has(name) || !b.has(name)).length;
  expect(missing / names.length).toBeGreaterThan(0.2);
  expect(missing / names.length).toBeLessThan(0.4);
});

test("disagreeing blocks differ in one bit", async () => {
  const { a, b, names } = await both({ disagree: 0.3 }, 10_000);
  const shared = names.filter((name) => a.has(name) && b.has(name));
  const differing = shared.filter((name) => a.get(name) !== b.get(name));
  expect(differing.length / shared.length).toBeGreaterThan(0.2);
  expect(differing.length / shared.length).toBeLessThan(0.4);
  for (const name of differing) {
    const [one, other] = [Buffer.from(a.get(name) ?? "", "latin1"), Buffer.from(b.get(name) ?? "", "latin1")];
    const changed = [...one].map((byte, at) => byte ^ (other[at] ?? 0)).filter((bits) => bits !== 0);
    expect(changed.length).toBe(1);
    expect(Math.log2(changed[0] ?? 0) % 1).toBe(0);
  }
});

test("flipped and dropped bytes, stalls and restarts deliver no wrong block", async () => {
  const bad = { flipBytes: 2e-5, dropBytes: 2e-5, stallEveryMs: 3_000, stallForMs: 700, restartEveryMs: 4_500 };
  const { a, b, rig } = await both(bad, 20_000);
  for (const end of [a, b]) {
    expect(end.size).toBeGreaterThan(500);
    for (const [name, key] of end) {
      const [run = 0, sequence = 0] = name.split(":").map(Number);
      expect(key === made(run, sequence, BLOCK_BYTES).toString("latin1")).toBe(true);
    }
  }
  expect(rig.heard.count("line_faults")).toBeGreaterThan(20);
  expect(new Set([...a.keys()].map((name) => name.split(":")[0])).size).toBe(5);
});

test("a pair without a KM holds what it may and no more", async () => {
  const rig = new MemoryRig({}, 16);
  onTestFinished(() => rig[Symbol.asyncDispose]());
  await rig.until("some time has passed", () => rig.clock.monotonicMs() > 2_000);
  expect(rig.lines.a.end.module?.held.blocks).toBe(16);
  expect(rig.lines.a.end.module?.held.dropped).toBeGreaterThan(70);
});

test("two modules that go by the clock agree on every block, whenever each was started", () => {
  const clock = new ManualClock();
  const sinceMs = clock.wallMs() + 500;
  const moduleOf = (): { readonly names: string[]; readonly pair: ModulePair } => {
    const names: string[] = [];
    const about = { link: linkId("ab"), blockBytes: BLOCK_BYTES, rateBitsPerS: 32_768, qber: 0.03 };
    const ports = { clock, random: seededRandom("nonces"), chance: seededRandom("chance"), log: recorder().log };
    const makeKey = (run: number, sequence: number): Buffer => {
      names.push(`${run}/${sequence} at ${clock.wallMs() - sinceMs}`);
      return made(run, sequence, BLOCK_BYTES);
    };
    const all = { ...ports, makeKey, nextRun: () => 1, sinceMs };
    return { names, pair: new ModulePair({ ...about, bufferBlocks: 4, faults: NO_FAULTS }, {}, all) };
  };
  const early = moduleOf();
  clock.advance(3_000);
  const late = moduleOf();
  clock.advance(2_500);
  late.pair[Symbol.dispose]();
  clock.advance(700);
  const again = moduleOf();
  clock.advance(1_300);
  expect(early.names).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => `1/${n} at ${(n + 1) * 1_000}`));
  expect([...late.names, ...again.names]).toEqual(early.names.slice(2));
  for (const { pair } of [early, again]) pair[Symbol.dispose]();
});
