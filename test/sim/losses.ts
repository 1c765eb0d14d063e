// What a source cannot know: that key is lost at the other end, before they have connected again; and of a strict peer, ever.

import type { SimClock } from "./clock.ts";
import type { Steps } from "./machine.ts";
import type { SimNode } from "./node.ts";
import type { Pair } from "./oracle.ts";

/** How many losses of another a node knew of when it first heard of the last one, and when that was. Or how many there were. */
interface Counted {
  readonly losses: number;
  readonly atMs: number;
}

const NONE: Counted = { losses: 0, atMs: Number.NEGATIVE_INFINITY };

/** When a whole key was reserved at its source, and stored at its destination. */
interface WholeKey {
  readonly madeMs: number;
  storedMs?: number;
}

/** Who knows of which losses: the only excuse for what is supplied, or not found. */
export class Losses {
  readonly #clock: SimClock;
  readonly #aware = new Map<string, Counted>();
  /** What a restored copy destroyed, for its peer had seen more of it. */
  readonly #destroyed = new Map<string, Counted>();
  readonly #whole = new Map<string, WholeKey>();

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  /** A node has a connection with another: with its first state it hears what that one has. */
  connected(at: SimNode, peer: SimNode): void {
    const { losses } = this.#of(at.id, peer);
    if (this.#aware.get(`${at.id} ${peer.id}`)?.losses === losses) return;
    this.#aware.set(`${at.id} ${peer.id}`, { losses, atMs: this.#clock.nowMs });
  }

  /** A node has found that it is a restored copy, and destroys what it shares with a peer. */
  destroyed(node: SimNode, peer: string): void {
    const { losses } = this.#destroyed.get(`${peer} ${node.id}`) ?? NONE;
    this.#destroyed.set(`${peer} ${node.id}`, { losses: losses + 1, atMs: this.#clock.nowMs });
  }

  /** What a node has lost of what it had from another. */
  #of(source: string, at: SimNode): Counted {
    const { losses, atMs } = this.#destroyed.get(`${source} ${at.id}`) ?? NONE;
    return { losses: losses + at.losses, atMs: Math.max(atMs, at.lostAtMs) };
  }

  /** When the other end last lost what it had of the source. */
  lostMs({ at, toAt }: Pair): number {
    return this.#of(at.id, toAt).atMs;
  }

  /** A commit reaches a disk: notes whole keys, which have no serial. */
  applied(steps: Steps): void {
    for (const step of steps) {
      if (step.op !== "put" || step.table !== "whole") continue;
      const { state, keys } = step.row;
      if (state === "gone" || state === "ready") continue;
      for (const [id] of JSON.parse(String(keys)) as readonly (readonly [string, number])[]) {
        const key = this.#whole.get(id) ?? { madeMs: this.#clock.nowMs };
        this.#whole.set(id, key);
        if (state === "held") key.storedMs ??= this.#clock.nowMs;
      }
    }
  }

  /** Whether a key granted then was, for its source, still where it had been: the other end has lost it since they last spoke. */
  isUnknown({ at, toAt }: Pair, grantedMs: number): boolean {
    const { losses, atMs } = this.#of(at.id, toAt);
    if (at === toAt || losses === 0) return grantedMs <= atMs;
    const known = this.#aware.get(`${at.id} ${toAt.id}`);
    return known?.losses !== losses || grantedMs <= known.atMs;
  }

  /** A strict peer tells nobody what it lost, nor that a key is too old there where the source's wall clock hid that. */
  mayLack({ at, toAt }: Pair, id: string): boolean {
    const { madeMs, storedMs } = this.#whole.get(id) ?? {};
    if (!at.isStrict(toAt.id) || madeMs === undefined || storedMs === undefined) return false;
    const { maxAgeMs, fetchWindowMs } = toAt.settings.policy;
    return storedMs <= toAt.lostAtMs || this.#clock.nowMs - madeMs > maxAgeMs + fetchWindowMs;
  }
}
