// What happens, in a list that remembers the last of it and numbers all.

/** Bounded; the oldest go. Numbers count from 1. */
export class Events<Event extends object> {
  readonly #most: number;
  readonly #kept: (Event & { readonly number: number })[] = [];
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get last(): number {
    return this.#count;
  }

  add(event: Event): void {
    this.#count += 1;
    this.#kept.push({ ...event, number: this.#count });
    if (this.#kept.length > this.#most) this.#kept.shift();
  }

  /** Those above a number, oldest first. */
  after(number: number): readonly (Event & { readonly number: number })[] {
    const first = this.#count - this.#kept.length + 1;
    return this.#kept.slice(Math.max(0, number + 1 - first));
  }
}
