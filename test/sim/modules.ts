// The two QKD modules of a simulated link: they distil the same blocks at a rate, and do all that modules may do wrong.

import type { BlockFeed } from "../../src/keys/links/intake.ts";
import { type MadeBlock, ModuleEnd } from "../keys/support/module-end.ts";
import type { SimClock } from "./clock.ts";
import type { Dice } from "./dice.ts";

/** What may go wrong with the next block. */
export type Trouble = "lost" | "differs" | "repeated" | "wrong size" | "old number" | "restart";

/** What a module holds that was not acknowledged; the oldest is lost beyond it. */
const BUFFER = 32;

export class LinkModules {
  readonly link: string;
  readonly #clock: SimClock;
  readonly #dice: Dice;
  readonly #blockBytes: number;
  readonly #ends = [new ModuleEnd(BUFFER), new ModuleEnd(BUFFER)] as const;
  #run = 1;
  #sequence = 0;
  #last: MadeBlock | undefined;
  /** Mean time between blocks. */
  intervalMs: number;
  /** Nothing comes before. */
  stalledUntilMs = 0;
  readonly troubles: Trouble[] = [];
  /** Until when nobody reads at an end: what comes waits in the line. */
  readonly unreadUntilMs: [number, number] = [0, 0];
  made = 0;
  #stopped = false;
  #stopWaiting: () => void = () => {};

  constructor(link: string, blockBytes: number, intervalMs: number, { clock, dice }: { clock: SimClock; dice: Dice }) {
    this.link = link;
    this.#clock = clock;
    this.#dice = dice.branch(link);
    this.#blockBytes = blockBytes;
    this.intervalMs = intervalMs;
  }

  /** Blocks come again, whatever was stalled. */
  heal(): void {
    this.stalledUntilMs = 0;
    this.troubles.length = 0;
    this.#stopWaiting();
    this.start();
  }

  start(): void {
    const waitMs = Math.max(this.stalledUntilMs - this.#clock.nowMs, this.intervalMs * (0.5 + this.#dice.fraction()));
    this.#stopWaiting = this.#clock.after(waitMs, this.link, "distils", () => {
      if (this.#stopped) return;
      if (this.#clock.nowMs >= this.stalledUntilMs) this.#distil(this.troubles.shift());
      this.start();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Makes one block; for the beginning of a run. */
  distil(): void {
    this.#distil(undefined);
  }

  #distil(trouble: Trouble | undefined): void {
    if (trouble === "restart") {
      this.#run++;
      this.#sequence = 0;
    }
    const bytes = new Uint8Array(this.#blockBytes);
    this.#dice.fill(bytes);
    const block = { run: this.#run, sequence: this.#sequence++, bytes };
    this.made++;
    const victim = this.#dice.once(2) ? 0 : 1;
    for (const end of [0, 1] as const) {
      if (trouble === undefined || trouble === "restart" || end !== victim) this.#push(end, block);
      else for (const wrong of this.#wrong(block, trouble)) this.#push(end, wrong);
    }
    this.#last = block;
  }

  #push(end: 0 | 1, block: MadeBlock): void {
    const waitMs = this.unreadUntilMs[end] - this.#clock.nowMs;
    if (waitMs <= 0) this.#ends[end].push(block);
    else this.#clock.after(waitMs, this.link, "is read again", () => this.#ends[end].push(block));
  }

  #wrong(block: MadeBlock, trouble: Trouble): readonly MadeBlock[] {
    const { bytes } = block;
    if (trouble === "lost") return [];
    if (trouble === "repeated") return [block, { ...block }];
    if (trouble === "wrong size") return [{ ...block, bytes: bytes.slice(0, bytes.length / 2) }];
    if (trouble === "old number" && this.#last !== undefined) return [{ ...block, sequence: this.#last.sequence }];
    const other = Uint8Array.from(bytes);
    const at = this.#dice.between(0, other.length - 1);
    other[at] = (other[at] ?? 0) ^ (1 << this.#dice.between(0, 7));
    return [{ ...block, bytes: other }];
  }

  feed(end: 0 | 1): BlockFeed {
    return { blocks: () => this.#ends[end].read() };
  }

  /** Nobody reads at that end any more. */
  leave(end: 0 | 1): void {
    this.#ends[end].end();
  }
}
