// The seed of everything in the tests that is drawn by chance.

/**
 * QKM_SEED, which vitest.config.ts sets: always the same in `npm test`, another in each `npm run test:long`, which prints
 * it as the name of its project. Set it to see a failure again.
 */
export const SEED = Number(process.env.QKM_SEED);
