// A host and a module in memory, on a line that takes its time, cuts bytes as it likes and can be pulled out.

import { linkId } from "../../src/core/ids.ts";
import type { Arrived } from "../../src/kq/host/arrivals.ts";
import { Host, type HostOptions } from "../../src/kq/host/host.ts";
import type { Write } from "../../src/kq/line.ts";
import { Module, type ModuleOptions } from "../../src/kq/module/module.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";
import { CountedPool, keyOf, seededRandom } from "./world.ts";

/** What the line makes of a piece on its way: any number of pieces. */
export type Hurt = (bytes: Buffer, towards: "host" | "module") => readonly Buffer[];

const WHOLE: Hurt = (bytes) => [bytes];
const BLOCK_BYTES = 4_096;

export interface RigOptions {
  readonly slots?: number;
  readonly host?: Partial<HostOptions>;
  readonly module?: Partial<ModuleOptions>;
  readonly seed?: number;
}

export class Rig {
  readonly clock = new ManualClock();
  readonly heard = recorder();
  readonly moduleFaults: string[] = [];
  readonly pool: CountedPool;
  readonly delivered: { run: number; sequence: number; key: Buffer }[] = [];
  host: Host;
  module: Module;
  hurt: Hurt = WHOLE;
  /** What the host does with a block; by default it checks, acknowledges and releases it. */
  take: (block: Arrived) => void = (block) => this.keep(block);
  readonly #options: RigOptions;
  #random = seededRandom(1);
  #plugged = 0;

  constructor(options: RigOptions = {}) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
    this.pool = new CountedPool(options.slots ?? 4, BLOCK_BYTES);
    this.host = this.#newHost();
    this.module = this.#newModule(1);
  }

  /** Connects the two ends with a new line. */
  plug(): void {
    const plug = ++this.#plugged;
    const carry = (towards: "host" | "module"): Write => {
      const end = () => this[towards];
      return (bytes) => {
        const receiver = end();
        for (const piece of this.hurt(Buffer.from(bytes), towards)) {
          this.clock.after(1, () => {
            if (plug === this.#plugged && receiver === end()) receiver.received(piece);
          });
        }
        return true;
      };
    };
    this.module.attach(carry("host"));
    this.host.attach(carry("module"));
  }

  /** Pulls the line out: what is on its way is lost. */
  unplug(): void {
    this.#plugged++;
    this.host.detach();
    this.module.detach();
  }

  /** The module makes blocks `first` … of its run. */
  make(run: number, first: number, count: number): void {
    for (let sequence = first; sequence < first + count; sequence++) {
      this.module.offer({ run, sequence, key: keyOf(run, sequence, BLOCK_BYTES) });
    }
  }

  restartModule(run: number): void {
    this.#plugged++;
    this.host.detach();
    this.module.close();
    this.module = this.#newModule(run);
    this.plug();
  }

  restartHost(): void {
    this.#plugged++;
    this.module.detach();
    this.host.close();
    this.host = this.#newHost();
    this.plug();
  }

  /** Copies what came, for the test to compare; acknowledges and releases it. */
  keep(block: Arrived): void {
    const { run, sequence } = block;
    this.delivered.push({ run, sequence, key: block.key.lend((bytes) => Buffer.from(bytes)) });
    block.acknowledge();
    block.key[Symbol.dispose]();
  }

  /** Lets time pass, and blocks out, until `done` or `ms` are over; tells which. */
  async until(done: () => boolean, ms = 60_000): Promise<boolean> {
    for (let passed = 0; passed < ms; passed += 5) {
      if (done()) return true;
      this.clock.advance(5);
      await Promise.resolve();
      await Promise.resolve();
    }
    return done();
  }

  /** Everything that was delivered is what the module made under that name. */
  get allRight(): boolean {
    return this.delivered.every(({ run, sequence, key }) => key.equals(keyOf(run, sequence, BLOCK_BYTES)));
  }

  get names(): string[] {
    return this.delivered.map(({ run, sequence }) => `${run}:${sequence}`);
  }

  close(): void {
    this.host.close();
    this.module.close();
  }

  #newHost(): Host {
    const { clock, pool } = this;
    const { log, meter } = this.heard;
    const options = { link: linkId("ab"), blockBytes: BLOCK_BYTES, ...this.#options.host };
    const host = new Host(options, { clock, log, meter, pool, random: this.#random });
    void (async () => {
      for await (const block of host.blocks()) this.take(block);
    })();
    return host;
  }

  #newModule(run: number): Module {
    const about = {
      link: linkId("ab"),
      name: "Test Tx",
      role: "tx",
      blockBytes: BLOCK_BYTES,
      bufferBlocks: 64,
    } as const;
    const fault = (kind: string) => void this.moduleFaults.push(kind);
    const ports = { clock: this.clock, random: this.#random, log: this.heard.log, fault };
    return new Module({ ...about, run, ...this.#options.module }, ports);
  }
}
