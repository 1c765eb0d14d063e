// The last hour of many figures: rings of equal length that all move on together.

/** One value every two seconds, for an hour. */
export const STEP_MS = 2000;

/** Steps that are kept: an hour of two seconds each. */
export const POINTS = 1800;

/** Figures by name; what was not set in a step is unknown there. Memory: 4 bytes a point, and so many names at most. */
export class Timeline {
  readonly #mostNames: number;
  readonly #rings = new Map<string, { readonly values: Float32Array; lastSet: number }>();
  readonly #times = new Float64Array(POINTS);
  /** Steps begun so far; the one under way is at `(#steps - 1) % POINTS`. */
  #steps = 0;

  constructor(mostNames = 8192) {
    this.#mostNames = mostNames;
  }

  /** Begins a step. Names that were not set for the whole hour are forgotten. */
  step(wallMs: number): void {
    const at = this.#steps % POINTS;
    this.#times[at] = wallMs;
    this.#steps += 1;
    for (const [name, ring] of this.#rings) {
      ring.values[at] = Number.NaN;
      if (this.#steps - ring.lastSet > POINTS) this.#rings.delete(name);
    }
  }

  /** Sets a figure of the step under way; null or a new name past the bound changes nothing. */
  set(name: string, value: number | null): void {
    if (value === null || this.#steps === 0) return;
    let ring = this.#rings.get(name);
    if (ring === undefined) {
      if (this.#rings.size >= this.#mostNames) return;
      ring = { values: new Float32Array(POINTS).fill(Number.NaN), lastSet: 0 };
      this.#rings.set(name, ring);
    }
    ring.values[(this.#steps - 1) % POINTS] = value;
    ring.lastSet = this.#steps;
  }

  /** When each step began, in seconds since 1970, oldest first. */
  get times(): readonly number[] {
    return this.#places.map((at) => (this.#times[at] ?? 0) / 1000);
  }

  /** The values of a name, one for each of `times`; all null when it is not known. */
  read(name: string): readonly (number | null)[] {
    const values = this.#rings.get(name)?.values;
    return this.#places.map((at) => {
      const value = values?.[at] ?? Number.NaN;
      return Number.isNaN(value) ? null : value;
    });
  }

  get #places(): readonly number[] {
    const count = Math.min(this.#steps, POINTS);
    return Array.from({ length: count }, (_, index) => (this.#steps - count + index) % POINTS);
  }
}
