// The one after the other of a link's pads: what leaves under them leaves in their order, for the receiver takes no other.

import { Fault } from "../../core/fault.ts";
import type { Clock } from "../../core/ports.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import type { BlockScheduler, Claim, Claimant } from "./block-scheduler.ts";
import type { LinkInventory } from "./link-inventory.ts";
import type { Segment } from "./own-pads.ts";

/** Frames that may wait for pads of one link. */
const MAX_WAITING = 64;

/** The second half of a job: waits until its pads are taken durably, and sends. */
export type Leave<T> = () => Promise<T>;

interface Waiting {
  readonly bytes: number;
  begin(segments: readonly Segment[]): void;
  fail(fault: Fault): void;
}

/** Queue for a link's one-time pads. Frames leave in pad order: the receiver rejects any other. */
export class PadChain implements Claimant {
  readonly #clock: Clock;
  readonly #link: LinkInventory;
  readonly #turns: BlockScheduler;
  readonly #waiting: Waiting[] = [];
  /** Bytes of pad that the job under way may take. */
  #inHand: number | undefined;
  readonly #departures = new SerialQueue();
  /** What waits until nobody has pads in hand. */
  readonly #between: (() => void)[] = [];

  constructor(clock: Clock, link: LinkInventory, turns: BlockScheduler) {
    this.#clock = clock;
    this.#link = link;
    this.#turns = turns;
    turns.join(this);
  }

  get link(): LinkInventory {
    return this.#link;
  }

  /**
   * Runs `job` with the next `bytes` of pad when its turn has come and they are there; the next waits until it has ended.
   * `job` takes them off the link's `pads`, or leaves them to the next. What it returns waits until that is durable, and
   * sends: in the order of the pads, while the next jobs are at work, so that several share one commit.
   * @throws Fault INSUFFICIENT_KEYS when there are none within `waitMs`, BUSY; what `job` and the sending throw
   */
  async use<T>(bytes: number, waitMs: number, job: (segments: readonly Segment[]) => Promise<Leave<T>>): Promise<T> {
    const leave = await this.#prepare(await this.#turn(bytes, waitMs), job);
    return await leave();
  }

  async #prepare<T>(
    segments: readonly Segment[],
    job: (segments: readonly Segment[]) => Promise<Leave<T>>,
  ): Promise<Leave<T>> {
    try {
      const departure = this.#departures.run(await job(segments));
      // Whoever awaits it meets its failure.
      departure.catch(() => {});
      return () => departure;
    } finally {
      this.#inHand = undefined;
      for (const work of this.#between.splice(0)) work();
      this.pump();
      this.#giveBack();
    }
  }

  /** Changes the link's pads while no job has any in hand: now, or when that has ended. */
  between(work: () => void): void {
    if (this.#inHand === undefined) work();
    else this.#between.push(work);
  }

  /** What nobody needs now goes back to the link, where it is used in time or makes room. */
  #giveBack(): void {
    if (this.#waiting.length > 0 || this.#inHand !== undefined) return;
    for (const block of this.#link.pads.giveBack()) this.#link.putBack(block);
  }

  #turn(bytes: number, waitMs: number): Promise<readonly Segment[]> {
    if (this.#waiting.length >= MAX_WAITING) throw busy(this.#link);
    return new Promise((resolve, reject) => {
      const stopTimer = this.#clock.after(waitMs, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(dry(this.#link));
      });
      const waiting: Waiting = {
        bytes,
        begin: (segments) => {
          stopTimer();
          resolve(segments);
        },
        fail: (fault) => {
          stopTimer();
          reject(fault);
        },
      };
      this.#waiting.push(waiting);
      this.pump();
    });
  }

  /** Begins the next job if there are pads for it. */
  pump(): void {
    if (this.#lacking > 0) this.#turns.dispense();
    const [next] = this.#waiting;
    const segments = next && this.#inHand === undefined ? this.#link.pads.next(next.bytes) : undefined;
    if (next === undefined || segments === undefined || this.#link.agreement !== "agreed") return;
    this.#waiting.shift();
    this.#inHand = next.bytes;
    next.begin(segments);
  }

  /** Bytes that the first in the queue lacks. */
  get #lacking(): number {
    const [next] = this.#waiting;
    return next === undefined ? 0 : next.bytes + (this.#inHand ?? 0) - this.#link.pads.bytes;
  }

  claim(): Claim | undefined {
    const block = this.#lacking > 0 ? this.#link.nextPad() : undefined;
    if (block === undefined) return undefined;
    const take = (): boolean => {
      this.#link.leave(block.id);
      this.#link.pads.grant(block);
      this.pump();
      return true;
    };
    return { urgency: "stock", take };
  }

  /** The other end is gone: nobody waits for it. */
  failAll(fault: Fault): void {
    for (const { fail } of this.#waiting.splice(0)) fail(fault);
  }
}

const dry = ({ settings }: LinkInventory): Fault =>
  new Fault("INSUFFICIENT_KEYS", { text: `the link ${settings.id} has no key left for pads`, failedAt: settings.peer });
const busy = ({ settings }: LinkInventory): Fault =>
  new Fault("BUSY", { text: `too many keys wait for pads of the link ${settings.id}`, failedAt: settings.peer });
