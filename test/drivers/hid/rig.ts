// A module on a model of USB, the HID driver on the same, and time that stands still until it is moved.

import { expect } from "vitest";
import { hidDriver } from "../../../drivers/hid/source.ts";
import { End } from "../../../drivers/simulator/end.ts";
import { seededKey, seededRandom } from "../../../drivers/simulator/material.ts";
import { NO_FAULTS } from "../../../drivers/simulator/options.ts";
import { ModulePair } from "../../../drivers/simulator/pair.ts";
import { linkId } from "../../../src/core/ids.ts";
import type { Secret } from "../../../src/core/memory/secret.ts";
import type { KeySource } from "../../../src/device/key-source.ts";
import { REPORT_USAGE_PAGE, REPORTS } from "../../../src/kq/framing/reports.ts";
import type { KeySourceRig } from "../../contracts/key-source.ts";
import { CountedPool } from "../../kq/world.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { recorder } from "../../support/recorder.ts";
import { ModelDevice, ModelUsb } from "./model-usb.ts";

export const BLOCK_BYTES = 4_096;
export const PORT = "usb:1209:7a1b:QKD-0007";
export const IDS = { vendorId: 0x1209, productId: 0x7a1b, serialNumber: "QKD-0007", usagePage: REPORT_USAGE_PAGE };
const SLOTS = 6;
const keyOf = seededKey("hid");

export class HidRig implements KeySourceRig {
  readonly blockBytes = BLOCK_BYTES;
  readonly slots = SLOTS;
  readonly made = (run: number, sequence: number) => keyOf(run, sequence, BLOCK_BYTES);
  readonly clock = new ManualClock();
  readonly heard = recorder();
  readonly usb = new ModelUsb(this.clock);
  readonly module = new ModelDevice(IDS);
  readonly #pair: ModulePair;
  readonly #pool = new CountedPool(SLOTS, BLOCK_BYTES);
  readonly #pairingKey: Secret | undefined;
  #run = 0;

  constructor(pairingKey?: Secret) {
    this.#pairingKey = pairingKey;
    const end = new End(
      (bytes) => this.module.send(Buffer.from(bytes)),
      (bytes) => bytes,
      (bytes) => bytes,
    );
    this.module.received = (report) => end.received(report);
    this.module.drained = () => end.drained();
    const { clock } = this;
    const about = { link: linkId("ab"), blockBytes: BLOCK_BYTES, rateBitsPerS: 1_638_400, qber: 0.03 };
    this.#pair = new ModulePair(
      { ...about, bufferBlocks: 512, faults: NO_FAULTS, framing: REPORTS, pairingKey },
      { a: end },
      {
        clock,
        random: seededRandom("nonces"),
        chance: seededRandom("chance"),
        log: recorder().log,
        makeKey: keyOf,
        nextRun: () => ++this.#run,
      },
    );
  }

  taken(): number {
    return this.#pool.taken;
  }

  open(port = PORT): Promise<KeySource> {
    const { log, meter } = this.heard;
    const options = { link: linkId("ab"), port, blockBytes: BLOCK_BYTES, pairingKey: this.#pairingKey };
    const ports = { pool: this.#pool, clock: this.clock, random: seededRandom("host"), log, meter };
    return hidDriver(this.usb)(options, ports);
  }

  async unplug(): Promise<void> {
    this.usb.unplug(this.module);
  }

  async plug(): Promise<void> {
    this.usb.plug(this.module);
  }

  /** The cable is pulled out and put back at once: the device appears under another name. */
  async restartCable(): Promise<void> {
    await this.unplug();
    await this.plug();
  }

  /** As a device does that boots again: it vanishes from the bus and comes back. */
  async restartModule(): Promise<void> {
    await this.unplug();
    this.#pair.powerUp();
    await this.plug();
  }

  /** Takes `count` blocks, each of which must be what the module made; acknowledges them and gives their numbers. */
  async take(source: KeySource, count: number): Promise<number[]> {
    const iterator = source.blocks()[Symbol.asyncIterator]();
    const sequences: number[] = [];
    while (sequences.length < count) {
      const { value } = await this.wait(iterator.next());
      if (value === undefined) throw new Error("the source has ended");
      const { run, sequence, key, acknowledge } = value;
      expect(key.lend((bytes: Uint8Array) => Buffer.compare(bytes, this.made(run, sequence)))).toBe(0);
      acknowledge();
      key[Symbol.dispose]();
      sequences.push(sequence);
    }
    return sequences;
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
    for (let passed = 0; passed < 60_000; passed += 2) {
      if (done()) return;
      this.clock.advance(2);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!done()) throw new Error(`waited in vain until ${what}`);
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const start = this.clock.monotonicMs();
    await this.until("the time is over", () => this.clock.monotonicMs() >= start + ms);
  }

  /** What was warned of, each with its cause. */
  warnings(): string[] {
    return this.heard.lines
      .filter(({ level }) => level === "warn")
      .map(({ fields, sentence }) => `${sentence}${"cause" in fields ? `: ${fields.cause}` : ""}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#pair[Symbol.dispose]();
    this.clock.advance(5);
    expect(this.clock.waiting).toBe(0);
    expect(this.usb.opened).toBe(0);
  }
}
