// Keys asked for and fetched one step after the other, where a test wants to know exactly what happened when.

import { expect } from "vitest";
import { EtsiDoor, Refused, type Wish } from "./doors.ts";
import type { Network } from "./network.ts";
import type { Oracle, Pair, Supplied } from "./oracle.ts";

/** 5 KiB: more than a KMA-key of 4 KiB in one answer, more than one of 16 KiB in five. */
const WISH: Wish = { number: 40, size: 1024 };
const ANSWERS = 5;
/** Keys that one fetch asks for. */
const BATCH = 20;

export class Traffic {
  readonly oracle: Oracle;
  readonly #network: Network;

  readonly #answers: number;

  /** `answers`: how many make one supply. */
  constructor(network: Network, oracle: Oracle, answers = ANSWERS) {
    this.#network = network;
    this.oracle = oracle;
    this.#answers = answers;
  }

  #pair(initiator: string, target: string): Pair {
    const [from, to] = [this.#network.app(initiator), this.#network.app(target)];
    return { source: from.km.id, destination: to.km.id, initiator, target };
  }

  /** Some 25 KiB of keys from one app to another, unless fewer answers are wanted. @throws Refused */
  async supply(initiator: string, target: string): Promise<Supplied[]> {
    const door = new EtsiDoor(this.#network.app(initiator));
    const supplied: Supplied[] = [];
    for (let answers = 0; answers < this.#answers; answers++) {
      supplied.push(...this.oracle.supplied(this.#pair(initiator, target), await door.supply(target, WISH)));
    }
    return supplied;
  }

  /** Every key can be fetched, with the same bytes. @throws Refused */
  async fetch(keys: readonly Supplied[]): Promise<void> {
    for (const batch of inBatches(keys)) {
      const [first] = batch;
      if (first === undefined) return;
      const door = new EtsiDoor(this.#network.app(first.pair.target));
      this.oracle.fetched(
        batch,
        await door.fetch(
          first.pair.initiator,
          batch.map(({ id }) => id),
        ),
      );
    }
  }

  /** None of the keys can be fetched, now or later; every fifth is tried. */
  async areGone(keys: readonly Supplied[]): Promise<void> {
    for (const { pair, id } of keys.filter((_, index) => index % 5 === 0)) {
      const door = new EtsiDoor(this.#network.app(pair.target));
      const why = await door.fetch(pair.initiator, [id]).catch((thrown: unknown) => thrown);
      expect(why, id).toBeInstanceOf(Refused);
      expect(why, id).toMatchObject({ again: false });
    }
  }

  /** Keys in both directions between two apps, the first half of each fetched at once. @returns the other halves */
  async bothWays(one: string, other: string): Promise<{ readonly toOne: Supplied[]; readonly toOther: Supplied[] }> {
    const halves = async (from: string, to: string) => {
      const keys = await this.supply(from, to);
      const middle = keys.length / 2;
      await this.fetch(keys.slice(0, middle));
      return keys.slice(middle);
    };
    return { toOther: await halves(one, other), toOne: await halves(other, one) };
  }
}

const inBatches = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / BATCH) }, (_, at) => items.slice(at * BATCH, (at + 1) * BATCH));
