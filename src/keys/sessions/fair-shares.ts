// Places that several peers share: half of them are kept for those who have few, the other half are for whoever comes.

/** Asked each time, for both may change. */
interface Bounds {
  readonly places: number;
  /** How many there may be. */
  readonly parties: number;
}

/** Counts who has how many places. */
export class FairShares<Party> {
  readonly #bounds: Bounds;
  readonly #taken = new Map<Party, number>();

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Whether a party may take one more: within its share, or one that is kept for nobody. Changes nothing. */
  mayTake(party: Party): boolean {
    const { places } = this.#bounds;
    const parties = Math.max(1, this.#bounds.parties);
    const share = Math.max(1, Math.floor(places / (2 * parties)));
    const all = this.#taken.values().reduce((sum, count) => sum + count, 0);
    if (all >= places) return false;
    const own = this.#taken.get(party) ?? 0;
    if (own < share) return true;
    const others = [...this.#taken].filter(([other]) => other !== party);
    const absent = Math.max(0, parties - 1 - others.length);
    const kept = others.reduce((sum, [, count]) => sum + Math.max(0, share - count), absent * share);
    return all + kept < places;
  }

  take(party: Party): void {
    this.#taken.set(party, (this.#taken.get(party) ?? 0) + 1);
  }

  giveBack(party: Party): void {
    const left = (this.#taken.get(party) ?? 0) - 1;
    if (left > 0) this.#taken.set(party, left);
    else this.#taken.delete(party);
  }
}
