// Who gets the next block of a link: those for whom requests wait, then all others in turn (design 4).

import { expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { BlockScheduler, type Claimant, type Urgency } from "../../../src/keys/links/block-scheduler.ts";
import { LinkInventory } from "../../../src/keys/links/link-inventory.ts";

const claiming = (wants: () => Urgency | undefined, take: () => boolean): Claimant => ({
  claim: () => {
    const urgency = wants();
    return urgency && { urgency, take };
  },
});

/** A link whose blocks are all own and confirmed, given by hand. */
function setUp() {
  const settings = { id: linkId("ab"), peer: kmId("km-b"), blockBytes: 64, share: [1, 0] as const, keepBlocks: 64 };
  const link = new LinkInventory(kmId("km-a"), settings);
  link.agreement = "agreed";
  let isUp = true;
  const turns = new BlockScheduler(link, () => isUp);
  let sequence = 0;
  const give = (count: number): void => {
    for (let index = 0; index < count; index++) {
      link.enter({
        id: linkBlock(settings.id, 1, sequence),
        link: settings.id,
        run: 1,
        sequence: sequence++,
        own: true,
      });
    }
    link.hear({ upTo: { run: 1, sequence }, covers: () => true, holds: () => true, held: () => [] });
  };
  const log: string[] = [];
  const join = (name: string, wants: () => Urgency | undefined, takes = true): void => {
    const take = (): boolean => {
      log.push(name);
      const block = takes ? link.nextOwn() : undefined;
      if (block !== undefined) link.leave(block.id);
      return block !== undefined;
    };
    turns.join(claiming(wants, take));
  };
  const down = (): void => {
    isUp = false;
  };
  return { link, turns, give, log, join, down };
}

test("whoever wants has a turn, nobody two before the others have had theirs", () => {
  const { turns, give, log, join } = setUp();
  for (const name of ["a", "b", "c"]) join(name, () => "stock");
  join("idle", () => undefined);
  for (let round = 0; round < 7; round++) {
    give(1);
    turns.dispense();
  }
  expect(log.join("")).toBe("abcabca");
});

test("those for whom requests wait go first, in turn among themselves", () => {
  const { turns, give, log, join } = setUp();
  const waits = (name: string, wanted: number) => () =>
    log.filter((one) => one === name).length < wanted ? ("waiting" as const) : undefined;
  join("s", () => "stock");
  join("x", waits("x", 2));
  join("y", waits("y", 3));
  give(7);
  turns.dispense();
  expect(log.join("")).toBe("xyxyyss");
});

test("who wants and cannot take is passed over, and does not hold up the others", () => {
  const { link, turns, give, log, join } = setUp();
  join("stuck", () => "stock", false);
  join("b", () => "stock");
  give(2);
  turns.dispense();
  expect([log, link.usable]).toEqual([["stuck", "b", "b"], 0]);
});

test("nothing is given away before the state exchange has ended", () => {
  const { link, turns, give, log, join, down } = setUp();
  join("a", () => "stock");
  down();
  give(2);
  turns.dispense();
  expect([log, link.usable]).toEqual([[], 2]);
});

test("whoever has no claim is not asked to take, and who has one is asked once for each block", () => {
  const { turns, give, join } = setUp();
  let asked = 0;
  join("a", () => {
    asked++;
    return "waiting";
  });
  give(3);
  turns.dispense();
  expect(asked).toBe(3);
});

test("a claimant that throws ends its turn, and not the giving", () => {
  const { turns, give, log, join } = setUp();
  let isBroken = true;
  const take = (): never => {
    isBroken = false;
    throw new Error("no block can be taken");
  };
  turns.join(claiming(() => (isBroken ? "stock" : undefined), take));
  join("a", () => "stock");
  give(2);
  expect(() => turns.dispense()).toThrow("no block can be taken");
  turns.dispense();
  expect(log).toEqual(["a", "a"]);
});
