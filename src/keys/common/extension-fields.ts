// The members of an extension entry that came from another KM, each read with its check.

import { Fault } from "../../core/fault.ts";
import { parseRuns } from "../../core/text/runs.ts";
import type { ExtensionEntry } from "../ports/peers.ts";

/** Items in groups of at most `size`, so that each group fits into one frame. */
export function inParts<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** A member that is a list of numbers in runs. @throws Fault MALFORMED_REQUEST */
export function runs(item: ExtensionEntry, member: string): ReturnType<typeof parseRuns> {
  try {
    return parseRuns(text(item, member));
  } catch (thrown) {
    if (thrown instanceof RangeError) throw malformed(item, member);
    throw thrown;
  }
}

/** A member that is a whole number from 0. @throws Fault MALFORMED_REQUEST */
export function integer(item: ExtensionEntry, member: string): number {
  const value = item[member];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed(item, member);
  return value;
}

/** A member that is a string. @throws Fault MALFORMED_REQUEST */
export function text(item: ExtensionEntry, member: string): string {
  const value = item[member];
  if (typeof value !== "string") throw malformed(item, member);
  return value;
}

/** The fault of an entry whose member is wrong or missing. */
export const malformed = (item: ExtensionEntry, member: string): Fault =>
  new Fault("MALFORMED_REQUEST", { text: `the extension ${item.name} has a wrong or missing "${member}"` });
