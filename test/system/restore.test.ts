// A store is lost, zeroised, or comes back as an old copy: each once, at one of the two ends.

import { test } from "vitest";
import { loseAll, restoreCopy } from "./support/restores.ts";

const TIMEOUT = { timeout: 120_000 };

test(
  "key-protocol 5: a KM that loses its store is supplied for with new key alone, and what it had supplied is still fetched",
  TIMEOUT,
  () => loseAll("km-a", "loses its store"),
);

test(
  "key-protocol 5: a KM that is zeroised ends, and is supplied for with new key alone when it starts again",
  TIMEOUT,
  () => loseAll("km-b", "is zeroised"),
);

test(
  "design 7: an old copy of the store raises an alarm by the token's counter, and nothing is used twice",
  TIMEOUT,
  () => restoreCopy("km-b", ["store"]),
);

test(
  "design 7: an old copy of store and token raises an alarm by what the peer has seen, and nothing is used twice",
  TIMEOUT,
  () => restoreCopy("km-a", ["store", "token"]),
);
