// The intakes of the links whose drivers deliver now.

import type { Context } from "../common/context.ts";
import { type BlockFeed, Intake } from "./intake.ts";
import type { LinkInventory } from "./link-inventory.ts";

/** Takes blocks in, one driver for each link at a time. */
export class Intakes {
  readonly #context: Context;
  readonly #arrived: (link: LinkInventory) => void;
  readonly #running = new Map<string, Intake>();

  /** `arrived` is called when a link has more blocks. */
  constructor(context: Context, arrived: (link: LinkInventory) => void) {
    this.#context = context;
    this.#arrived = arrived;
  }

  /** Takes a link's blocks until the signal ends it. */
  async run(link: LinkInventory, feed: BlockFeed, signal: AbortSignal): Promise<void> {
    const { id } = link.settings;
    const intake = new Intake(this.#context, link, () => this.#arrived(link));
    this.#running.set(id, intake);
    try {
      await intake.run(feed, signal);
    } finally {
      this.#running.delete(id);
    }
  }

  /** Blocks of a link taken in so far; undefined while none is at hand, or nothing can be done with it. */
  progress(link: string): number | undefined {
    return this.#running.get(link)?.progress();
  }

  /** Resolves when what has come of one link, or of all, is stored. */
  async idle(link?: string): Promise<void> {
    const running = [...this.#running].filter(([id]) => link === undefined || id === link);
    await Promise.all(running.map(([, intake]) => intake.idle()));
  }
}
