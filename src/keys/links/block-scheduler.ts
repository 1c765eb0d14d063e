// Who gets the next own block of a link (design 4): first those for whom requests wait, then all others in turn.

import type { LinkInventory } from "./link-inventory.ts";

/** `waiting`: requests of applications wait for it. `stock`: pads for others' keys, or a stock below its low mark. */
export type Urgency = "waiting" | "stock";

/** What somebody wants a block for. */
export interface Claim {
  readonly urgency: Urgency;
  /** Takes one block out of the inventory, at once or never; false when it cannot after all. */
  take(): boolean;
}

/** Whoever uses own blocks of a link. */
export interface Claimant {
  /** Undefined when it wants none of this link now. The question changes nothing. */
  claim(link: LinkInventory): Claim | undefined;
}

interface Due {
  readonly claimant: Claimant;
  readonly claim: Claim;
}

/** Gives the next own block of one link to whoever is due. */
export class BlockScheduler {
  readonly #link: LinkInventory;
  readonly #mayUse: () => boolean;
  /** Whose turn is next comes first. */
  readonly #order: Claimant[] = [];
  #dispensing = false;

  /** `mayUse`: whether the state exchange with the other end has ended. */
  constructor(link: LinkInventory, mayUse: () => boolean) {
    this.#link = link;
    this.#mayUse = mayUse;
  }

  join(claimant: Claimant): void {
    this.#order.push(claimant);
  }

  /** Gives blocks away as long as there are some and somebody wants them. */
  dispense(): void {
    if (this.#dispensing) return;
    this.#dispensing = true;
    const passed = new Set<Claimant>();
    try {
      for (let next = this.#next(passed); next !== undefined; next = this.#next(passed)) {
        // First, so that one that throws is not asked first again.
        const { claimant, claim } = next;
        this.#order.splice(this.#order.indexOf(claimant), 1);
        this.#order.push(claimant);
        if (!claim.take()) passed.add(claimant);
      }
    } finally {
      this.#dispensing = false;
    }
  }

  #next(passed: ReadonlySet<Claimant>): Due | undefined {
    if (this.#link.usable === 0 || !this.#mayUse()) return undefined;
    let first: Due | undefined;
    for (const claimant of this.#order) {
      if (passed.has(claimant)) continue;
      const claim = claimant.claim(this.#link);
      if (claim?.urgency === "waiting") return { claimant, claim };
      if (claim !== undefined) first ??= { claimant, claim };
    }
    return first;
  }
}
