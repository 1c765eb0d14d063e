// Places that several peers share: half of them are kept for those who have few, the other half are for whoever comes.

export class FairShares<Party> {
  readonly #places: number;
  readonly #parties: number;
  readonly #taken = new Map<Party, number>();

  /** `parties`: how many there may be. */
  constructor(places: number, parties: number) {
    this.#places = places;
    this.#parties = Math.max(1, parties);
  }

  /** Whether a party may take one more: within its share, or one that is kept for nobody. Changes nothing. */
  mayTake(party: Party): boolean {
    const share = Math.max(1, Math.floor(this.#places / (2 * this.#parties)));
    const all = this.#taken.values().reduce((sum, count) => sum + count, 0);
    if (all >= this.#places) return false;
    const own = this.#taken.get(party) ?? 0;
    if (own < share) return true;
    const others = [...this.#taken].filter(([other]) => other !== party);
    const absent = Math.max(0, this.#parties - 1 - others.length);
    const kept = others.reduce((sum, [, count]) => sum + Math.max(0, share - count), absent * share);
    return all + kept < this.#places;
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
