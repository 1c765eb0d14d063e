// Comparing tags.

import { timingSafeEqual } from "node:crypto";

/** Whether two tags agree, in a time that does not tell where they differ. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
