// Applications at work: they ask for keys of several sizes over both doors, and fetch them at the other end, at once or later.

import type { Seeded } from "../../keys/support/seeded.ts";
import { AkDoor, type Door, EtsiDoor, Refused, Unanswered, type Wish } from "./doors.ts";
import type { Network } from "./network.ts";
import type { Oracle, Pair, Supplied } from "./oracle.ts";

const ASKING = 5;
const FETCHING = 2;
/** Batches of keys that wait to be fetched at most; more are fetched at once. */
const MOST_WAITING = 200;
const SIZES = [64, 128, 256, 256, 512, 1000, 2048, 8192, 32_704] as const;
const LARGEST_ANSWER_BITS = 100_000;

const REST_MS = 20;

export interface LoadOptions {
  /** Of one key; less than usual where blocks are small. */
  readonly largestBits?: number;
  /** How long each worker rests at most before it asks again; longer where machines are slow. */
  readonly restMs?: number;
}

export class Load implements AsyncDisposable {
  readonly #oracle: Oracle;
  readonly #random: Seeded;
  readonly #network: Pick<Network, "apps">;
  readonly #doors = new Map<string, readonly Door[]>();
  readonly #waiting: Supplied[][] = [];
  readonly #workers: Promise<void>[] = [];
  /** Answers with keys, by source KM. */
  readonly answers = new Map<string, number>();
  /** Bytes asked for in requests that were not answered, by source and destination KM. */
  readonly unanswered = new Map<string, number>();
  readonly #refused: { readonly way: string; readonly bytes: number; readonly at: number }[] = [];
  readonly #sizes: readonly number[];
  readonly #restMs: number;
  #on = false;

  constructor(
    network: Pick<Network, "apps">,
    oracle: Oracle,
    random: Seeded,
    { largestBits = Number.POSITIVE_INFINITY, restMs = REST_MS }: LoadOptions = {},
  ) {
    this.#restMs = restMs;
    this.#sizes = SIZES.filter((size) => size <= largestBits);
    this.#network = network;
    this.#oracle = oracle;
    this.#random = random;
    for (const app of network.apps) this.#doors.set(app.id, [new AkDoor(app), new EtsiDoor(app)]);
  }

  start(): void {
    this.#on = true;
    for (let asking = 0; asking < ASKING; asking++) this.#workers.push(this.#keepOn(() => this.#askOnce()));
    for (let fetching = 0; fetching < FETCHING; fetching++) this.#workers.push(this.#keepOn(() => this.#fetchOne()));
  }

  /** Resolves when no request is under way. @throws Error of a worker that met what it should not */
  async stop(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#workers.splice(0));
  }

  async #keepOn(work: () => Promise<void>): Promise<void> {
    while (this.#on) {
      await work();
      await pause(this.#random.between(1, this.#restMs));
    }
  }

  async #askOnce(): Promise<void> {
    const pair = this.#somePair();
    const wish = this.#someWish();
    const keys = await this.#askFor(pair, wish);
    if (keys === undefined) return;
    const batches = this.#inBatches(this.#oracle.supplied(pair, keys));
    this.#count(this.answers, pair.source, 1);
    const later = this.#random.fraction() < 0.5 && this.#waiting.length < MOST_WAITING;
    if (later) this.#waiting.push(...batches);
    else for (const batch of batches) await this.fetch(batch);
  }

  #somePair(): Pair {
    const { apps } = this.#network;
    const from = this.#random.between(0, apps.length - 1);
    const to = (from + this.#random.between(1, apps.length - 1)) % apps.length;
    const [initiator, target] = [apps[from], apps[to]];
    if (initiator === undefined || target === undefined) throw new Error("a load needs two apps");
    return { source: initiator.km.id, destination: target.km.id, initiator: initiator.id, target: target.id };
  }

  #someWish(): Wish {
    const size = this.#sizes[this.#random.between(0, this.#sizes.length - 1)] ?? 256;
    const most = Math.max(1, Math.min(24, Math.floor(LARGEST_ANSWER_BITS / size)));
    return { number: this.#random.between(1, most), size };
  }

  async #askFor(pair: Pair, wish: Wish) {
    try {
      return await this.#door(pair.initiator).supply(pair.target, wish);
    } catch (thrown) {
      const way = `${pair.source} ${pair.destination}`;
      const bytes = wish.number * Math.ceil(wish.size / 64) * 8;
      if (thrown instanceof Unanswered) this.#count(this.unanswered, way, bytes);
      else if (thrown instanceof Refused && thrown.again) this.#refused.push({ way, bytes, at: performance.now() });
      else throw thrown;
      await pause(this.#restMs);
      return undefined;
    }
  }

  #door(app: string): Door {
    const door = this.#doors.get(app)?.[this.#random.between(0, 1)];
    if (door === undefined) throw new Error(`no door for ${app}`);
    return door;
  }

  #inBatches(keys: readonly Supplied[]): Supplied[][] {
    const batches: Supplied[][] = [];
    for (let at = 0; at < keys.length; ) {
      const size = this.#random.between(1, 8);
      batches.push(keys.slice(at, at + size));
      at += size;
    }
    return batches;
  }

  /** The most bytes that one request asked for which was refused since then: marks may have been moved for it, and stay. */
  mostRefused(source: string, destination: string, since: number): number {
    const refused = this.#refused.filter(({ way, at }) => way === `${source} ${destination}` && at > since);
    return Math.max(0, ...refused.map(({ bytes }) => bytes));
  }

  async #fetchOne(): Promise<void> {
    const [batch] = this.#waiting.splice(this.#random.between(0, this.#waiting.length - 1), 1);
    if (batch !== undefined) await this.fetch(batch);
  }

  /** Fetches keys of one pair; those that a KM cannot give now wait again. */
  async fetch(batch: readonly Supplied[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const { initiator, target } = first.pair;
    const ids = batch.map(({ id }) => id);
    try {
      this.#oracle.fetched(batch, await this.#door(target).fetch(initiator, ids));
    } catch (thrown) {
      if (thrown instanceof Refused && !thrown.again) return this.#oracle.notFound(batch, thrown.message);
      if (thrown instanceof Unanswered) for (const one of batch) one.state = "doubtful";
      else if (!(thrown instanceof Refused)) throw thrown;
      // What may be gone is asked for by itself.
      this.#waiting.push(
        ...(batch.some(({ state }) => state === "doubtful") ? batch.map((one) => [one]) : [[...batch]]),
      );
      await pause(this.#restMs);
    }
  }

  /** Fetches all that waits; after `stop`, with all KMs up. */
  async fetchAll(): Promise<void> {
    const one = async (): Promise<void> => {
      for (let batch = this.#waiting.shift(); batch !== undefined; batch = this.#waiting.shift())
        await this.fetch(batch);
    };
    await Promise.all(Array.from({ length: ASKING }, one));
  }

  /** True when fetching a key that was fetched before is refused for good. */
  async isGone({ pair, id }: Supplied): Promise<boolean> {
    try {
      await this.#door(pair.target).fetch(pair.initiator, [id]);
      return false;
    } catch (thrown) {
      if (thrown instanceof Refused) return !thrown.again;
      throw thrown;
    }
  }

  #count(counts: Map<string, number>, name: string, amount: number): void {
    counts.set(name, (counts.get(name) ?? 0) + amount);
  }

  /** Every app gives up its connections. */
  async disconnect(): Promise<void> {
    await Promise.all([...this.#doors.values()].flat().map((door) => door.disconnect()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.disconnect();
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
