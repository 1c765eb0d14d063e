// The serial driver on real pseudo-terminals, with the module simulator as a process of its own.

import { readlinkSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSerialKeySource } from "../../../drivers/serial/source.ts";
import { seededKey } from "../../../drivers/simulator/material.ts";
import { systemClock, systemRandom } from "../../../src/control/system.ts";
import { linkId } from "../../../src/core/ids.ts";
import type { KeySource } from "../../../src/device/key-source.ts";
import { parsePairingKey } from "../../../src/kq/pairing.ts";
import { exerciseKeySource, type KeySourceRig } from "../../contracts/key-source.ts";
import { CountedPool } from "../../kq/world.ts";
import { Cable, ModuleProcess, scratchFolder, waitUntil } from "../../support/pty.ts";
import { recorder } from "../../support/recorder.ts";

const BLOCK_BYTES = 4_096;
const made = seededKey("serial test");

/** A simulator, a cable to its first port, and a source on the cable. */
class PtyRig implements KeySourceRig {
  readonly blockBytes = BLOCK_BYTES;
  readonly slots = 6;
  readonly made = (run: number, sequence: number) => made(run, sequence, BLOCK_BYTES);
  readonly heard = recorder();
  readonly #folder = scratchFolder();
  readonly #pool = new CountedPool(6, BLOCK_BYTES);
  #module: ModuleProcess | undefined;
  #cable: Cable | undefined;
  readonly #more: readonly string[];

  constructor(more: readonly string[] = []) {
    this.#more = more;
  }

  path(name: string): string {
    return join(this.#folder.path, name);
  }

  async begin(): Promise<this> {
    await this.powerUp();
    await this.plug();
    return this;
  }

  taken(): number {
    return this.#pool.taken;
  }

  async powerUp(): Promise<void> {
    const paths = ["--a", this.path("a"), "--b", this.path("b"), "--run-file", this.path("run")];
    const about = ["--link", "ab", "--block-bytes", String(BLOCK_BYTES), "--rate-bits-per-s", "3276800"];
    this.#module = await ModuleProcess.start([
      ...about,
      ...paths,
      "--seed",
      "serial test",
      "--buffer-blocks",
      "1024",
      ...this.#more,
    ]);
  }

  async powerCut(): Promise<void> {
    await this.#module?.kill("SIGKILL");
  }

  open(port = this.path("port"), pairing?: Uint8Array): Promise<KeySource> {
    const { log, meter } = this.heard;
    const pairingKey = pairing && parsePairingKey(pairing);
    const options = { link: linkId("ab"), port, blockBytes: BLOCK_BYTES, pairingKey };
    return openSerialKeySource(options, { pool: this.#pool, clock: systemClock, random: systemRandom, log, meter });
  }

  async unplug(): Promise<void> {
    await this.#cable?.[Symbol.asyncDispose]();
  }

  async plug(): Promise<void> {
    this.#cable = await Cable.plug(this.path("port"), this.path("a"));
  }

  /** The power goes without warning. */
  async restartModule(): Promise<void> {
    await this.powerCut();
    await this.unplug();
    await this.powerUp();
    await this.plug();
  }

  wait<T>(promise: Promise<T>): Promise<T> {
    return promise;
  }

  until(what: string, done: () => boolean): Promise<void> {
    return waitUntil(what, done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    await this.#module?.kill();
    this.#folder[Symbol.dispose]();
  }
}

async function rigOf(more: readonly string[] = []): Promise<PtyRig> {
  const rig = new PtyRig(more);
  onTestFinished(() => rig[Symbol.asyncDispose]());
  return rig;
}

/** Takes `count` blocks, each of which must be what the module made; gives their names. */
async function take(source: KeySource, count: number): Promise<string[]> {
  const names: string[] = [];
  for await (const { run, sequence, key, acknowledge } of source.blocks()) {
    expect(key.lend((bytes) => Buffer.compare(bytes, made(run, sequence, BLOCK_BYTES)))).toBe(0);
    acknowledge();
    key[Symbol.dispose]();
    names.push(`${run}:${sequence}`);
    if (names.length === count) break;
  }
  return names;
}

exerciseKeySource("the serial driver", () => new PtyRig().begin());

test("a source opens before its device is there, says so, and begins when it comes", async () => {
  const rig = await rigOf();
  await using source = await rig.open(rig.path("a"));
  expect(source.status()).toEqual({ line: "down", alarms: [] });
  await waitUntil("it was tried", () => rig.heard.lines.length > 0);
  expect(rig.heard.lines[0]?.fields).toMatchObject({ event: "line_not_opened" });
  await rig.powerUp();
  expect((await take(source, 2))[0]).toBe("1:0");
});

test("a simulator that is killed and started again has a higher run, and the same port", async () => {
  const rig = await rigOf();
  await rig.powerUp();
  await using source = await rig.open(rig.path("a"));
  expect((await take(source, 2))[0]).toBe("1:0");
  await rig.powerCut();
  await waitUntil("the line is down", () => source.status().line === "down");
  await rig.powerUp();
  const names = await take(source, 40);
  expect(names).toContain("2:0");
  expect(new Set(names).size).toBe(names.length);
});

test("the port outlives a KM that closes it: the next one gets what was not acknowledged", async () => {
  const rig = await rigOf();
  await rig.powerUp();
  const target = readlinkSync(rig.path("a"));
  for (let round = 0; round < 3; round++) {
    await using source = await rig.open(rig.path("a"));
    const first = await source.blocks()[Symbol.asyncIterator]().next();
    expect(first.value?.sequence).toBe(0);
    first.value?.key[Symbol.dispose]();
  }
  expect(readlinkSync(rig.path("a"))).toBe(target);
});

test("a bad line delivers every block, none wrong and none twice", async () => {
  const rig = await rigOf(["--flip-bytes", "1e-5", "--drop-bytes", "1e-5"]);
  await rig.powerUp();
  await using source = await rig.open(rig.path("a"));
  const names = await take(source, 60);
  expect(names).toEqual(Array.from({ length: 60 }, (_, sequence) => `1:${sequence}`));
});

test("with a pairing key on both ends blocks come; with another on one end none does", async () => {
  using folder = scratchFolder();
  const file = join(folder.path, "pairing");
  await writeFile(file, "5a".repeat(32));
  const paired = await rigOf(["--pairing-key-file", file]);
  await paired.powerUp();
  {
    await using source = await paired.open(paired.path("a"), Buffer.alloc(32, 0x5b));
    await waitUntil("it is refused", () => source.status().alarms.length > 0);
    expect(source.status()).toEqual({ line: "down", alarms: ["pairing-wrong"] });
  }
  await using source = await paired.open(paired.path("a"), Buffer.alloc(32, 0x5a));
  expect((await take(source, 5))[0]).toBe("1:0");
});
