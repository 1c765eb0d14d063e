// The intake by itself: blocks are durable before they are acknowledged, in order, and the link's row never goes back.

import { describe, expect, test } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { NO_AUDIT } from "../../../src/core/ports.ts";
import { AgeClock } from "../../../src/keys/common/age-clock.ts";
import type { Context } from "../../../src/keys/common/context.ts";
import { RelayLog } from "../../../src/keys/common/relay-log.ts";
import { type FedBlock, Intake } from "../../../src/keys/links/intake.ts";
import { LinkInventory } from "../../../src/keys/links/link-inventory.ts";
import type { Change, Row, Sealed, Vault } from "../../../src/vault/vault.ts";
import { ManualClock, settled } from "../../support/manual-clock.ts";
import { turnPace } from "../../support/pace.ts";
import { recorder } from "../../support/recorder.ts";
import { POLICY } from "../support/network.ts";
import { seeded } from "../support/seeded.ts";

/** A vault whose commits the test ends one by one, in any order. */
class ByHand {
  readonly commits: { readonly link: Row | undefined; readonly end: (thrown?: unknown) => void }[] = [];

  readonly vault: Pick<Vault, "seal" | "change" | "onHealth"> = {
    seal: async () => ({}) as Sealed,
    onHealth: () => () => {},
    change: () => this.#change(),
  };

  #change(): Change {
    let link: Row | undefined;
    const change: Change = {
      put: (table, _id, row) => {
        if (table === "link") link = row;
        return change;
      },
      remove: () => change,
      keep: () => change,
      destroy: () => change,
      commit: () =>
        new Promise((resolve, reject) => {
          this.commits.push({ link, end: (thrown) => (thrown === undefined ? resolve() : reject(thrown)) });
        }),
    };
    return change;
  }
}

function bench() {
  const hand = new ByHand();
  const clock = new ManualClock();
  const { log, meter, lines } = recorder();
  const link = { id: linkId("ab"), peer: kmId("km-b"), blockBytes: 8, share: [1, 1] as const, keepBlocks: 64 };
  const book = new LinkInventory(kmId("km-a"), link);
  const context: Context = {
    self: kmId("km-a"),
    policy: POLICY,
    vault: hand.vault as Vault,
    clock,
    boot: "first",
    generation: 0,
    ages: new AgeClock(clock, undefined),
    relayLog: new RelayLog(() => 0),
    random: seeded(1),
    pace: turnPace(),
    log,
    meter,
    audit: NO_AUDIT,
  };
  const intake = new Intake(context, book, () => {});
  return { hand, clock, book, intake, lines };
}

function blocks(count: number, acknowledged: number[] = [], bytes = 8): FedBlock[] {
  return Array.from({ length: count }, (_, sequence) => ({
    run: 1,
    sequence,
    key: secretOf(new Uint8Array(bytes)),
    acknowledge: () => void acknowledged.push(sequence),
  }));
}

async function* fed(list: readonly FedBlock[]): AsyncGenerator<FedBlock> {
  yield* list;
}

describe("blocks", () => {
  test("are acknowledged in order, however their commits end", async () => {
    const { hand, intake, book } = bench();
    const acknowledged: number[] = [];
    const run = intake.run({ blocks: () => fed(blocks(3, acknowledged)) }, new AbortController().signal);
    await settled();
    expect(hand.commits).toHaveLength(3);
    hand.commits[2]?.end();
    hand.commits[1]?.end();
    await settled();
    expect([acknowledged, book.settled]).toEqual([[], undefined]);
    hand.commits[0]?.end();
    await run;
    expect([acknowledged, book.settled]).toEqual([[0, 1, 2], { run: 1, sequence: 2 }]);
  });

  test("whose commit is repeated after a later one's never set the link's row back", async () => {
    const { hand, intake, clock } = bench();
    const run = intake.run({ blocks: () => fed(blocks(2)) }, new AbortController().signal);
    await settled();
    hand.commits[0]?.end(new Fault("STORE_UNAVAILABLE"));
    await clock.run(1000);
    expect(hand.commits.map(({ link }) => link?.highest)).toEqual([0, 1, 1]);
    for (const { end } of hand.commits) end();
    await run;
  });

  test("are not asked for without end while the store is slow", async () => {
    const { hand, intake } = bench();
    const stop = new AbortController();
    const run = intake.run({ blocks: () => fed(blocks(100)) }, stop.signal);
    await settled();
    expect(hand.commits).toHaveLength(32);
    hand.commits[0]?.end();
    await settled();
    expect(hand.commits).toHaveLength(33);
    stop.abort();
    for (const { end } of hand.commits) end();
    await run;
  });
});

test("a defect ends the intake with what was thrown, acknowledges nothing more, and is not thrown into the void", async () => {
  const { hand, intake } = bench();
  const acknowledged: number[] = [];
  const defect = new TypeError("a defect");
  const run = intake.run({ blocks: () => fed(blocks(1, acknowledged)) }, new AbortController().signal);
  await settled();
  hand.commits[0]?.end(defect);
  await expect(run).rejects.toBe(defect);
  await intake.idle();
  expect(acknowledged).toEqual([]);
});

test("the end of the signal ends a wait for the store", async () => {
  const { hand, intake, clock } = bench();
  const stop = new AbortController();
  const run = intake.run({ blocks: () => fed(blocks(1)) }, stop.signal);
  await settled();
  hand.commits[0]?.end(new Fault("STORE_UNAVAILABLE"));
  await settled();
  expect(clock.waiting).toBe(1);
  stop.abort();
  await run;
  await intake.idle();
  expect(clock.waiting).toBe(0);
});

test("the log says once why blocks wait, however many do, and once that they go on", async () => {
  const { hand, intake, clock, lines } = bench();
  const run = intake.run({ blocks: () => fed(blocks(20)) }, new AbortController().signal);
  for (let round = 0; round < 3; round++) {
    await settled();
    for (const { end } of hand.commits.splice(0)) end(new Fault("STORE_UNAVAILABLE"));
    await settled();
    clock.advance(1000);
  }
  await settled();
  for (const { end } of hand.commits.splice(0)) end();
  await run;
  const said = lines.filter(({ fields }) => "link" in fields).map(({ level, fields }) => [level, fields]);
  expect(said).toEqual([
    ["warn", { link: "ab", fault: "STORE_UNAVAILABLE" }],
    ["info", { link: "ab" }],
  ]);
});
