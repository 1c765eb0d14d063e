// Results for the tests of the measurements.

import type { Aim, Result } from "./result.ts";

export const resultOf = (measured: readonly number[], reference?: readonly number[], ...aims: Aim[]): Result => ({
  name: "ak-supply",
  unit: "keys/s",
  measured: { of: "the KM", values: measured },
  ...(reference === undefined ? {} : { reference: { of: "bare TLS echo", values: reference } }),
  aims,
});
