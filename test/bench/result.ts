// Results: what was measured against what, in rounds, with medians as JSON for programs.

/** One side of a measurement: the values of its rounds. */
export interface Samples {
  /** What was measured. */
  readonly of: string;
  readonly values: readonly number[];
}

/** What the project aims at: of the value, or of its ratio to the reference. */
export interface Aim {
  readonly of: "value" | "ratio";
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly measured: Samples;
  readonly reference?: Samples;
  /** What bounded it: the server, the generator, a device; with the parts of a core that they used. */
  readonly bound?: string;
  /** Why there is no reference here, and how to get it. */
  readonly leftOut?: string;
  readonly aims?: readonly Aim[];
}

/** What `--json` writes: medians. */
export interface Line {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly reference: string | null;
  readonly referenceValue: number | null;
  readonly ratio: number | null;
  readonly bound: string | null;
}

/** The middle of the values in their order, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

/** Takes both sides in turn, `rounds` times. */
export async function alternate<One, Other>(
  rounds: number,
  one: () => Promise<One>,
  other: () => Promise<Other>,
): Promise<readonly [One[], Other[]]> {
  const sides: [One[], Other[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    sides[0].push(await one());
    sides[1].push(await other());
  }
  return sides;
}

export function lineOf({ name, unit, measured, reference, ...more }: Result): Line {
  const bound = more.bound ?? null;
  const value = median(measured.values);
  if (reference === undefined) return { name, value, unit, reference: null, referenceValue: null, ratio: null, bound };
  const referenceValue = median(reference.values);
  return { name, value, unit, reference: reference.of, referenceValue, ratio: value / referenceValue, bound };
}

/** The ratio of each round, whose sides were measured one after the other. */
export function ratios({ measured, reference }: Result): readonly number[] {
  return measured.values.flatMap((value, round) => {
    const other = reference?.values[round];
    return other === undefined ? [] : [value / other];
  });
}
