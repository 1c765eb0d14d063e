// A failing seed loses faults until it no longer fails: what is left is what it takes.

import { FAULT_TABLE, type FaultName } from "../faults.ts";
import { INGREDIENT_NAMES, type Ingredient } from "../ingredients.ts";
import type { RunOptions } from "../run.ts";
import { type RunResult, resultOf } from "./result.ts";

const NAMES: readonly (FaultName | Ingredient)[] = [...(Object.keys(FAULT_TABLE) as FaultName[]), ...INGREDIENT_NAMES];
const HOUR_MS = 3_600_000;

/**
 * The smallest run found that breaks the same rule: as short as it can be, and with as few kinds of faults. Large groups of
 * faults are left out first, then smaller ones, as in delta debugging.
 */
export async function shrink({ options, violation, simulatedMs, reached }: RunResult): Promise<RunResult | undefined> {
  if (violation === undefined) return undefined;
  const again = async (candidate: RunOptions): Promise<RunResult | undefined> => {
    const result = await resultOf(candidate);
    return result.violation?.rule === violation.rule ? result : undefined;
  };
  const hours = shorter(options.hours, simulatedMs);
  const never = NAMES.filter((name) => reached[`fault ${name}`] === undefined && reached[`with ${name}`] === undefined);
  let least = (await again({ ...options, hours, without: never })) ?? (await again(options));
  let kept = NAMES.filter((name) => !never.includes(name));
  for (let size = kept.length >> 1; size >= 1 && least !== undefined; size >>= 1) {
    for (let at = 0; at < kept.length; ) {
      const fewer = kept.toSpliced(at, size);
      const result = await again({ ...least.options, without: NAMES.filter((name) => !fewer.includes(name)) });
      if (result === undefined) at += size;
      else [kept, least] = [fewer, result];
    }
  }
  return least && (await again({ ...least.options, hours: shorter(options.hours, least.simulatedMs) }));
}

/** Faults need not go on after the rule broke. */
const shorter = (hours: number, simulatedMs: number): number =>
  Math.min(hours, Math.ceil((simulatedMs / HOUR_MS) * 100) / 100);
