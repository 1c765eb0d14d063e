// Places that several share: nobody keeps the others out, and one alone may have all.

import { expect, test } from "vitest";
import { FairShares } from "../../../src/keys/sessions/fair-shares.ts";

function takesAll(shares: FairShares<string>, party: string): number {
  let taken = 0;
  while (shares.mayTake(party)) {
    shares.take(party);
    taken++;
  }
  return taken;
}

test("issue 17, 4: whoever takes what it can leaves each of the others its share, and one alone may take all", () => {
  const shares = new FairShares<string>({ places: 100, parties: 5 });
  expect(takesAll(shares, "greedy")).toBe(60);
  expect(["b", "c", "d", "e"].map((party) => takesAll(shares, party))).toEqual([10, 10, 10, 10]);
  expect(takesAll(new FairShares<string>({ places: 100, parties: 1 }), "alone")).toBe(100);
});

test("what is given back may be taken again", () => {
  const shares = new FairShares<string>({ places: 4, parties: 2 });
  expect(takesAll(shares, "a")).toBe(3);
  shares.giveBack("a");
  expect(shares.mayTake("a")).toBe(true);
  expect([takesAll(shares, "b"), shares.mayTake("a")]).toEqual([2, false]);
});
