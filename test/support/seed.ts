// The seed of everything in the tests that is drawn by chance.

import { keyStream } from "../keys/support/seeded.ts";

/**
 * QKM_SEED, which vitest.config.ts sets: always the same in `npm test`, another in each `npm run test:long`, which prints
 * it as the name of its project. Set it to see a failure again.
 */
export const SEED = Number(process.env.QKM_SEED);

const next = keyStream(SEED);

/** Bytes drawn from the seed: the same ones in each run, other ones at each call. */
export const drawBytes = (count: number): Buffer<ArrayBuffer> =>
  Buffer.from(Array.from({ length: count }, () => next() & 0xff));
