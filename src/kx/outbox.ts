// The bounded queue of frames that wait for a channel, which takes one write at a time.

import type { Clock } from "../core/ports.ts";
import type { Channel } from "../net/channel.ts";
import type { KeyFrame } from "./payload/key-frame.ts";

/**
 * The most bytes written before reading has had a turn. Reading stands still while a write is unfinished; what both
 * ends may write meanwhile has to fit the sockets' own buffers, or each would wait for the other to read.
 */
const TURN_BYTES = 65_545;

/** Bytes that may wait. Answers have room beyond the requests', so that a full queue of requests delays none. */
export const OUTBOX_LIMITS = { request: 1 << 20, answer: 2 << 20 } as const;

/**
 * Frames go out in the order of `put`, all that are queued in one write. They are written when they leave, in memory that is
 * zeroed when `Channel.write` has encrypted it: before and after there is no byte of them here.
 */
export class Outbox {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #broken: (thrown: unknown) => void;
  #frames: KeyFrame[] = [];
  #bytes = 0;
  #writtenInOrder = 0;
  #cancelTurn: (() => void) | undefined;

  /** @param broken called when a write failed: mostly the channel is about to say that it is closed */
  constructor(channel: Channel, clock: Clock, broken: (thrown: unknown) => void) {
    this.#channel = channel;
    this.#clock = clock;
    this.#broken = broken;
  }

  /** False, and nothing queued, when the frame does not fit. */
  put(frame: KeyFrame, kind: keyof typeof OUTBOX_LIMITS): boolean {
    if (this.#bytes + frame.length > OUTBOX_LIMITS[kind]) return false;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    this.flush();
    return true;
  }

  /** Forgets a frame that has not left; harmless when it has. */
  drop(frame: KeyFrame): void {
    const index = this.#frames.indexOf(frame);
    if (index < 0) return;
    this.#frames.splice(index, 1);
    this.#bytes -= frame.length;
  }

  /** Writes what the channel takes now. */
  flush(): void {
    if (this.#channel.writing || this.#cancelTurn !== undefined) return;
    if (this.#frames.length === 0) {
      this.#writtenInOrder = 0;
      return;
    }
    const batch = this.#batch();
    if (batch.length === 0) this.#giveReadingATurn();
    else this.#write(batch);
  }

  /** Forgets all frames. */
  close(): void {
    this.#cancelTurn?.();
    this.#cancelTurn = undefined;
    this.#frames = [];
    this.#bytes = 0;
  }

  #write(batch: readonly KeyFrame[]): void {
    const bytes = new Uint8Array(batch.reduce((sum, { length }) => sum + length, 0));
    try {
      batch.reduce((at, frame) => frame.write(bytes, at), 0);
      this.#channel.write(bytes);
    } catch (thrown) {
      this.#broken(thrown);
    } finally {
      bytes.fill(0);
    }
  }

  #batch(): readonly KeyFrame[] {
    let count = 0;
    for (const frame of this.#frames) {
      if (this.#writtenInOrder + frame.length > TURN_BYTES) break;
      this.#writtenInOrder += frame.length;
      this.#bytes -= frame.length;
      count += 1;
    }
    return this.#frames.splice(0, count);
  }

  #giveReadingATurn(): void {
    this.#cancelTurn = this.#clock.after(0, () => {
      this.#cancelTurn = undefined;
      this.#writtenInOrder = 0;
      this.flush();
    });
  }
}
