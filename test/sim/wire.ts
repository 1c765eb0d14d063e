// The network between two key managers: dialling, delay, partition, broken connections, and a liar at either end.

import type { KmId } from "../../src/core/ids.ts";
import type { Channel } from "../../src/net/channel.ts";
import { type Carrier, SimChannel } from "./channel.ts";
import type { SimClock } from "./clock.ts";
import type { Dice } from "./dice.ts";

/** A KM as the network sees it. */
export interface RelayHop {
  readonly id: KmId;
  /** Whether a process listens there. */
  readonly isUp: boolean;
  /** Whether it stands still: its kernel takes a connection, and nothing comes of it. */
  readonly isPaused: boolean;
  /** An authenticated connection of `peer` comes in; false when it is not wanted. */
  accept(peer: KmId, channel: Channel): boolean;
}

/** Changes what one end writes, before TLS: what a lying KM could do. */
export type Lie = (bytes: Buffer) => readonly Buffer[];

const DIAL_TIMEOUT_MS = 10_000;
const LARGEST_CHUNK = 16_384;
/** What is on its way for longer when all is well again is lost. */
const LATE_MS = 10_000;

export class Wire implements Carrier {
  readonly ends: readonly [RelayHop, RelayHop];
  readonly #clock: SimClock;
  readonly #dice: Dice;
  readonly #channels = new Set<SimChannel>();
  /** When the last bytes to each end arrive: order is kept. */
  readonly #lastMs = new Map<SimChannel, number>();
  latencyMs = 2;
  /** Nothing passes before; what was sent arrives then. */
  blockedUntilMs = 0;
  /** How long a write stays unfinished. */
  slowMs = 0;
  /** Until when nothing of what this end sends arrives, while it hears all. */
  readonly mutedUntilMs = new Map<KmId, number>();
  readonly lies = new Map<KmId, Lie>();
  /** Bytes of the last write of each end. */
  readonly heard = new Map<KmId, Buffer>();

  constructor(clock: SimClock, dice: Dice, ends: readonly [RelayHop, RelayHop]) {
    this.#clock = clock;
    this.#dice = dice;
    this.ends = ends;
  }

  /** @throws Error when nobody answers */
  dial(from: KmId, signal: AbortSignal, serverName = ""): Promise<Channel> {
    const { promise, resolve, reject } = Promise.withResolvers<Channel>();
    const isMuted = [...this.mutedUntilMs.values()].some((untilMs) => untilMs > this.#clock.nowMs);
    const isBlocked = isMuted || this.blockedUntilMs > this.#clock.nowMs;
    const waitMs = isBlocked ? DIAL_TIMEOUT_MS : 3 * this.latencyMs + this.#dice.fraction();
    const cancel = this.#clock.after(waitMs, from, "dials", () => {
      const [there] = this.ends.filter(({ id }) => id !== from);
      if (isBlocked || there === undefined || !there.isUp || there.isPaused) return reject(new Error("nobody answers"));
      const [here, far] = SimChannel.pair(from, there.id, this);
      far.serverName = serverName;
      this.#channels.add(here).add(far);
      if (!there.accept(from, far)) return reject(new Error("the dialler is not welcome"));
      resolve(here);
    });
    signal.addEventListener("abort", () => {
      cancel();
      reject(new Error("no longer wanted"));
    });
    return promise;
  }

  soon(end: SimChannel, ms: number, what: string, run: () => void): void {
    this.#clock.after(ms, end.here, what, () => {
      if (end.isOver) this.#channels.delete(end);
      else run();
    });
  }

  travel(from: SimChannel): { readonly ms: number; readonly chunkBytes: number } {
    const { nowMs } = this.#clock;
    const mutedUntilMs = this.mutedUntilMs.get(from.here as KmId) ?? 0;
    const freeMs = Math.max(nowMs, this.blockedUntilMs, mutedUntilMs) + this.latencyMs * (1 + this.#dice.fraction());
    const atMs = Math.max(freeMs, this.#lastMs.get(from) ?? 0);
    this.#lastMs.set(from, atMs);
    const chunkBytes = this.#dice.once(4) ? this.#dice.between(1, 700) : LARGEST_CHUNK;
    return { ms: atMs - nowMs, chunkBytes };
  }

  writeMs(): number {
    return this.slowMs;
  }

  changed(from: SimChannel, bytes: Buffer): readonly Buffer[] {
    const end = from.here as KmId;
    this.heard.set(end, bytes);
    return this.lies.get(end)?.(bytes) ?? [bytes];
  }

  #live(): readonly SimChannel[] {
    for (const channel of this.#channels) {
      if (!channel.isOver) continue;
      this.#channels.delete(channel);
      this.#lastMs.delete(channel);
    }
    return [...this.#channels];
  }

  /** Everything passes again, and quickly. */
  heal(): void {
    Object.assign(this, { blockedUntilMs: 0, slowMs: 0, latencyMs: 2 });
    this.mutedUntilMs.clear();
    this.lies.clear();
    // TCP repeats what was held up as soon as it passes; here it is on its way already, until long after. What it delays breaks.
    const isLate = (channel: SimChannel): boolean => (this.#lastMs.get(channel) ?? 0) > this.#clock.nowMs + LATE_MS;
    if (this.#live().some(isLate)) this.cut("too much was lost");
  }

  /** Whether a connection stands. */
  get isOpen(): boolean {
    return this.#live().length > 0;
  }

  /** Both ends learn that the connection is broken; what was on its way is lost. */
  cut(reason: string): void {
    for (const channel of this.#live()) this.soon(channel, this.#dice.fraction(), "is cut", () => channel.end(reason));
  }

  /** The process of one end is gone. `isTold`: its kernel tells the other end. */
  die(end: KmId, isTold: boolean): void {
    for (const channel of this.#live()) if (channel.here === end) channel.die(isTold);
  }

  /** Bytes appear to come from `end`, on the newest connection. */
  inject(end: KmId, bytes: Buffer): boolean {
    const channel = this.#live().findLast(({ here }) => here === end);
    channel?.inject(bytes);
    return channel !== undefined;
  }
}
