// How near a result is to what the project aims at.

import { type Aim, lineOf, type Result, ratios } from "./result.ts";

/** One aim of a result, judged. */
export interface Verdict {
  readonly aim: Aim;
  /** What the aim is about: the value, or the ratio to the reference; undefined when the reference was left out. */
  readonly seen: number | undefined;
  /** Of each round. */
  readonly rounds: readonly number[];
  /** 1 when the aim is just met, 2 when twice as good. */
  readonly share: (seen: number) => number;
}

export function verdicts(result: Result): readonly Verdict[] {
  const { value, ratio } = lineOf(result);
  return (result.aims ?? []).map((aim) => ({
    aim,
    seen: aim.of === "value" ? value : (ratio ?? undefined),
    rounds: aim.of === "value" ? result.measured.values : ratios(result),
    share: shareOf(aim),
  }));
}

function shareOf({ atLeast, atMost }: Aim): (seen: number) => number {
  if (atLeast !== undefined) return (seen) => seen / atLeast;
  if (atMost !== undefined) return (seen) => atMost / seen;
  throw new Error("an aim has a bound");
}

/** `≥ 0.9`, with its unit when it is about the value. */
export function boundText({ of, atLeast, atMost }: Aim, unit: string): string {
  const bound = atLeast === undefined ? `≤ ${atMost?.toLocaleString("en")}` : `≥ ${atLeast.toLocaleString("en")}`;
  return of === "ratio" ? bound : `${bound} ${unit}`;
}

export function verdictText({ seen, share }: Verdict): "met" | "MISSED" | "left out" {
  if (seen === undefined) return "left out";
  return share(seen) >= 1 ? "met" : "MISSED";
}

/** Three digits that count, or all of a whole number. */
export function numberText(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  return value.toLocaleString("en", {
    minimumFractionDigits: Math.min(digits, 3),
    maximumFractionDigits: Math.min(digits, 3),
  });
}
