// A store is lost, zeroised, or comes back as an old copy: each at the end that the short tests leave out.

import { test } from "vitest";
import { loseAll, restoreCopy } from "./support/restores.ts";

test("key-protocol 5: the dialled KM loses its store", () => loseAll("km-b", "loses its store"));

test("key-protocol 5: the dialling KM is zeroised", () => loseAll("km-a", "is zeroised"));

test("design 7: an old copy of the dialling KM's store comes back", () => restoreCopy("km-a", ["store"]));

test("design 7: an old copy of the dialled KM's store and token comes back", () =>
  restoreCopy("km-b", ["store", "token"]));
