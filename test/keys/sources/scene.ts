// Two key managers whose link gets its key from a pair of model boxes: no I/O, time by hand.

import { Fault, type FaultCode } from "../../../src/core/fault.ts";
import { type Secret, secretOf } from "../../../src/core/memory/secret.ts";
import { BlockExchange, type KeyBox } from "../../../src/keys/sources/block-exchange.ts";
import type { ManualClock } from "../../support/manual-clock.ts";
import { Network, type Wanted } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";
import { seeded } from "../support/seeded.ts";

/** What goes wrong with one end's box. */
export interface EndFaults {
  /** Each call takes so long. */
  slowMs: number;
  /** Offers or fetches fail with this. */
  offer: FaultCode | undefined;
  fetch: FaultCode | undefined;
  /** What it fetches has another bit than what was offered. */
  wrong: boolean;
  /** It offers the first key that it ever gave. */
  repeats: boolean;
}

/** Two boxes with endless key. */
export class ModelBoxes {
  readonly #clock: ManualClock;
  readonly #seeded = seeded(3);
  readonly #known = new Map<string, Uint8Array>();
  readonly faults: readonly [EndFaults, EndFaults] = [fine(), fine()];
  /** Offers and fetches so far. */
  readonly count = { offers: 0, fetches: 0 };
  /** Secrets that were lent out. */
  taken = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  box(end: 0 | 1): KeyBox {
    const faults = this.faults[end];
    const work = async (code: () => FaultCode | undefined): Promise<void> => {
      if (faults.slowMs > 0) await new Promise<void>((resolve) => this.#clock.after(faults.slowMs, resolve));
      const failed = code();
      if (failed !== undefined) throw new Fault(failed);
    };
    return {
      offer: async (into) => {
        const number = ++this.count.offers;
        const name = `key-${faults.repeats ? 1 : number}`;
        await work(() => faults.offer);
        const key = this.#known.get(name) ?? new Uint8Array(into.length);
        if (!this.#known.has(name)) this.#seeded.fill(key);
        into.lend((bytes) => bytes.set(key));
        this.#known.set(name, key);
        return { names: [name], complete: async () => {} };
      },
      fetch: async ([name = ""], into) => {
        this.count.fetches++;
        await work(() => faults.fetch);
        const key = this.#known.get(name);
        if (key === undefined) throw new Fault("KEY_NOT_FOUND");
        into.lend((bytes) => bytes.set(key));
        if (faults.wrong) into.lend((bytes) => bytes.set([(bytes[0] ?? 0) ^ 1]));
      },
      [Symbol.asyncDispose]: async () => {},
    };
  }

  pool(slots: number, bytes: number) {
    let free = slots;
    return {
      take: (): Secret | undefined => {
        if (free === 0) return undefined;
        free--;
        this.taken++;
        return secretOf(new Uint8Array(bytes), () => {
          free++;
          this.taken--;
        });
      },
    };
  }
}

const fine = (): EndFaults => ({ slowMs: 0, offer: undefined, fetch: undefined, wrong: false, repeats: false });

export class Scene {
  readonly network: Network;
  readonly boxes: ModelBoxes;
  readonly #open = new Map<TestNode, BlockExchange>();

  constructor(wanted: Wanted = {}) {
    this.network = new Network(wanted);
    for (const node of [this.network.a, this.network.b]) node.attached.length = 0;
    this.boxes = new ModelBoxes(this.network.clock);
  }

  static async up(wanted: Wanted = {}): Promise<Scene> {
    const scene = new Scene(wanted);
    await scene.boot(scene.network.a);
    await scene.boot(scene.network.b);
    scene.network.wire.connect();
    return scene;
  }

  async boot(node: TestNode): Promise<void> {
    await node.boot();
    const link = this.link(node);
    const end = node === this.network.a ? 0 : 1;
    const pool = this.boxes.pool(6, link.settings.blockBytes);
    const exchange = node.km.openExchange("ab", (host) => new BlockExchange(host, this.boxes.box(end), pool));
    this.#open.set(node, exchange);
    void node.km.attach("ab", exchange, new AbortController().signal);
  }

  async end(node: TestNode): Promise<void> {
    await this.#open.get(node)?.[Symbol.asyncDispose]();
  }

  run(ms: number): Promise<void> {
    return this.network.run(ms);
  }

  /** Of the link at one node. */
  link(node: TestNode) {
    const link = node.parts.links.get("ab");
    if (link === undefined) throw new Error("no link");
    return link;
  }
}
