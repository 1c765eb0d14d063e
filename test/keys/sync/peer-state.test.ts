// The state that two KMs exchange: written for random books, read back the same, in entries that fit any frame.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { formatRuns } from "../../../src/core/text/runs.ts";
import type { Context } from "../../../src/keys/common/context.ts";
import { Admission } from "../../../src/keys/common/queues/admission.ts";
import { Quotas } from "../../../src/keys/common/quota.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { ReceivedKey } from "../../../src/keys/fetch/received-key.ts";
import { LinkInventory } from "../../../src/keys/links/link-inventory.ts";
import { Peer, type PeerHost } from "../../../src/keys/peers/peer.ts";
import type { ExtensionEntry } from "../../../src/keys/ports/peers.ts";
import { SourceKey } from "../../../src/keys/supply/source-key.ts";
import { stateEntries } from "../../../src/keys/sync/peer-state.ts";
import { readMarks, StateReader } from "../../../src/keys/sync/state-reader.ts";
import type { BlockId, KeyIdKey } from "../../../src/vault/vault.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { processorMs } from "../../support/processor.ts";

const ID_KEY: KeyIdKey = { tag: () => {}, [Symbol.dispose]: () => {} };
const SELF = kmId("km-b");
const PEER = kmId("km-a");
const LINK = linkId("ab");
const LENGTH = 4096;

/** No route, no relay. */
const HOST: PeerHost = {
  admission: new Admission(new Quotas(new ManualClock(), () => ({ bitsPerS: 1, burstBits: 1 })), { maxWaiting: 1 }),
  sources: () => [],
  obstacle: () => undefined,
  drought: () => undefined,
  relayMore: () => {},
  announceSoon: () => {},
  statedRate: () => undefined,
};

interface KeyInventory {
  /** Places of copies, and their runs. */
  readonly copies: readonly (readonly [run: number, sequence: number])[];
  /** Serials held, with the witness of each. */
  readonly held: readonly (readonly [serial: number, witness: number])[];
  /** Serials of our own that are open, with the mark of each. */
  readonly open: readonly (readonly [serial: number, mark: number])[];
  readonly givenUp: readonly number[];
}

function neighbourOf({ copies, held, open, givenUp }: KeyInventory): Peer {
  const context = { self: SELF, ages: { nowOn: () => 60_000 } } as Context;
  const peer = new Peer(context, { id: PEER, links: [], isServed: true }, HOST);
  const link = new LinkInventory(SELF, { id: LINK, peer: PEER, blockBytes: LENGTH, share: [1, 1], keepBlocks: 9 });
  for (const [run, sequence] of copies) {
    link.enter({ link: LINK, run, sequence, own: false, id: linkBlock(LINK, run, sequence) });
    link.settled = { run, sequence };
  }
  peer.links.push(link);
  const block = "b" as BlockId;
  for (const [serial, witness] of held) {
    const row = { peer: PEER, serial, block, length: LENGTH, bornAt: 0, witness, fetched: new Uint8Array(64) };
    peer.held.add(new ReceivedKey(row, ID_KEY));
    peer.held.accept(serial);
  }
  for (const [serial, mark] of open) {
    const row = { peer: PEER, serial, block, length: LENGTH, state: "open", mark, bornAt: 0, exact: false } as const;
    peer.stock.restore(new SourceKey(row, ID_KEY), row);
    peer.stock.nextSerial = serial + 1;
  }
  for (const serial of givenUp) peer.stock.givenUp.add(serial);
  return peer;
}

/** As it arrives: through JSON. */
const carried = (entries: readonly ExtensionEntry[]): ExtensionEntry[] => JSON.parse(JSON.stringify(entries));

function read(entries: readonly ExtensionEntry[]) {
  const reader = new StateReader([LINK]);
  const states = carried(entries).map((entry) => reader.take(entry));
  expect(states.slice(0, -1).every((state) => state === undefined)).toBe(true);
  const state = states.at(-1);
  if (state === undefined) throw new Error("the state has no end");
  return state;
}

const serial = fc.integer({ min: 1, max: 300 });
const mark = fc.integer({ min: 12, max: LENGTH / 8 }).map((step) => step * 8);
const byFirst = ([a]: readonly [number, number], [b]: readonly [number, number]): number => a - b;
const marked = fc
  .uniqueArray(fc.tuple(serial, mark), { selector: ([of]) => of, maxLength: 60 })
  .map((sharedPeers) => sharedPeers.sort(byFirst));
const books: fc.Arbitrary<KeyInventory> = fc.record({
  copies: fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(200)), { selector: String, maxLength: 80 })
    .map((places) => places.sort((a, b) => a[0] - b[0] || a[1] - b[1])),
  held: marked,
  open: marked,
  givenUp: fc.uniqueArray(serial, { maxLength: 40 }),
});

describe("key-protocol 5: what is written is what is read", () => {
  test("for random books", () => {
    fc.assert(
      fc.property(books, (of) => {
        const state = read(stateEntries(neighbourOf(of)));
        const link = state.links.get(LINK);
        expect([link?.share, link?.blockBytes]).toEqual(["1:1", LENGTH]);
        const last = of.copies.at(-1);
        expect(link?.highest).toEqual(last && { run: last[0], sequence: last[1] });
        for (let run = 1; run <= 3; run++) {
          for (let sequence = 0; sequence <= 200; sequence++) {
            const holds = of.copies.some(([of, at]) => of === run && at === sequence);
            expect(link?.holds({ run, sequence })).toBe(holds);
          }
        }
        expect(link?.held(1000)).toEqual(of.copies.map(([run, sequence]) => ({ run, sequence })));
        expect(link?.held(3)).toEqual(of.copies.slice(-3).map(([run, sequence]) => ({ run, sequence })));
        const held = new Map(of.held);
        for (let at = 0; at <= 301; at++) {
          expect([at, state.isHeld(at), state.isSpent(at)]).toEqual([at, held.has(at), held.get(at) === LENGTH]);
        }
        const asMarks = (sharedPeers: KeyInventory["held"]) =>
          sharedPeers.map(([serial, offset]) => ({ serial, offset }));
        expect(state.witnessed).toEqual(asMarks(of.held.filter(([, at]) => at > 96 && at < LENGTH)));
        expect(state.marks).toEqual(asMarks(of.open));
        expect(state.aged).toEqual(new Map(of.held.map(([serial]) => [serial, 60])));
        expect(state.accepted).toBe(Math.max(0, ...of.held.map(([serial]) => serial)));
        expect(state.given).toBe(of.open.at(-1)?.[0] ?? 0);
      }),
      { numRuns: 60 },
    );
  });

  test("for large books every entry is below 16 KiB", () => {
    const far = 2 ** 40 - 40_000;
    const every = (count: number, step: number): number[] =>
      Array.from({ length: count }, (_, index) => far + index * step);
    const entries = stateEntries(
      neighbourOf({
        copies: every(8000, 2).map((sequence) => [1, sequence]),
        held: every(8000, 3).map((serial, index) => [serial, index % 3 === 0 ? LENGTH : 1000]),
        open: every(3000, 2).map((serial) => [serial, 1000]),
        givenUp: every(5000, 2),
      }),
    );
    const sizes = entries.map((entry) => Buffer.byteLength(JSON.stringify(entry)));
    expect(Math.max(...sizes)).toBeLessThan(16_384);
    const state = read(entries);
    expect(state.isHeld(far + 3 * 7999)).toBe(true);
    expect([state.marks.length, state.witnessed.length]).toEqual([3000, 5333]);
  });
});

describe("a state that is read", () => {
  const WHOLE = stateEntries(neighbourOf({ copies: [[1, 1]], held: [[2, 104]], open: [[3, 104]], givenUp: [] }));

  test("begins anew with each begin, so that what a broken exchange left counts no more", () => {
    const reader = new StateReader([LINK]);
    for (const entry of WHOLE.slice(0, -1)) expect(reader.take(entry)).toBeUndefined();
    const other = stateEntries(neighbourOf({ copies: [], held: [], open: [], givenUp: [] }));
    const state = other.map((entry) => reader.take(entry)).at(-1);
    expect([state?.isHeld(2), state?.marks]).toEqual([false, []]);
  });

  test.each([
    ["share", 5],
    ["block_bytes", "4096"],
    ["run", -1],
    ["highest", 1.5],
    ["blocks", "3-1"],
    ["given", null],
    ["proved", 2 ** 40],
    ["given_up", 7],
    ["accepted", undefined],
    ["serials", "a"],
    ["marks", { serial: 1 }],
    ["marks", [null]],
    ["marks", [{ serial: 1 }]],
    ["marks", [{ serial: 1, offset: -8 }]],
  ])("with the wrong %s %o is malformed", (member, value) => {
    const spoilt = WHOLE.map((entry) => (member in entry ? { ...entry, [member]: value } : entry));
    const reader = new StateReader([LINK]);
    expect(() => spoilt.map((entry) => reader.take(entry))).toThrow("qkm_state has a wrong or missing");
  });

  const flood = (entryOf: (index: number) => object, count = 20_000) => {
    const reader = new StateReader([LINK]);
    return () => {
      for (let index = 0; index < count; index++) reader.take({ name: "qkm_state", ...entryOf(index) });
    };
  };
  const LINK_ENTRY = { part: "link", link: LINK, share: "1:1", block_bytes: LENGTH };
  /** Some 4,000 runs. */
  const runsAt = (index: number): string =>
    formatRuns(Array.from({ length: 4000 }, (_, at) => (index * 4000 + at) * 2));

  test.each([
    ["entries", (index: number) => ({ part: "held", serials: `${index}` })],
    ["runs", (index: number) => ({ part: "held", serials: runsAt(index) })],
    ["bytes", () => ({ part: "begin", more: "x".repeat(40_000) })],
    ["links", (index: number) => ({ ...LINK_ENTRY, link: `none-${index}` })],
    [
      "runs of a module",
      (index: number) => (index === 0 ? LINK_ENTRY : { part: "holds", link: LINK, run: index, blocks: "0-9" }),
    ],
  ])("of more %s than any books give is beyond the bounds", (_what, entryOf) => {
    expect(flood(entryOf)).toThrow(expect.objectContaining({ code: "OUT_OF_BOUNDS" }));
  });

  test.each([
    ["link", () => LINK_ENTRY],
    ["given", () => ({ part: "given", given: 1, proved: 1, given_up: "" })],
    ["accepted", () => ({ part: "accepted", accepted: 1 })],
    ["serials", () => ({ part: "held", serials: "1" })],
    ["marks", () => ({ part: "marks", marks: [{ serial: 1, offset: 96 }] })],
    ["links that are none of ours", () => ({ ...LINK_ENTRY, link: "none" })],
  ])("that tells %s twice is malformed", (_what, entryOf) => {
    expect(flood(entryOf, 1)).not.toThrow();
    expect(flood(entryOf, 2)).toThrow(expect.objectContaining({ code: "MALFORMED_REQUEST" }));
  });

  test("issue 17, 1: 9,000 entries of one link in long runs cost what reading them once costs", () => {
    const hostile = (index: number) => {
      if (index === 0) return LINK_ENTRY;
      const first = Math.floor(index / 1_000) * 2 ** 40;
      return { part: "holds", link: LINK, run: index % 1_000, blocks: `${first}-${first + 2 ** 39}` };
    };
    const reader = new StateReader([LINK]);
    const ms = processorMs(() => {
      for (let index = 0; index < 9_000; index++) reader.take({ name: "qkm_state", ...hostile(index) });
      reader.take({ name: "qkm_state", part: "given", given: 1, proved: 1, given_up: "" });
      reader.take({ name: "qkm_state", part: "accepted", accepted: 1 });
      const link = reader.take({ name: "qkm_state", part: "end" })?.links.get(LINK);
      expect(link?.held(512).at(-1)).toEqual({ run: 999, sequence: 8 * 2 ** 40 + 2 ** 39 });
    });
    expect(ms).toBeLessThan(1_000);
  });

  test("says nothing of a link that is none of ours but that it was told of", () => {
    const reader = new StateReader([LINK]);
    const other = { ...LINK_ENTRY, link: "other" };
    const more = [other, { part: "holds", link: "other", run: 1, blocks: "1" }];
    const state = [...WHOLE.slice(0, -1), ...more, { part: "end" }]
      .map((entry) => reader.take({ name: "qkm_state", ...entry }))
      .at(-1);
    expect([state?.foreign, state?.links.has("other")]).toEqual([["other"], false]);
  });
});

test("marks are read with distrust", () => {
  expect(readMarks({ name: "qkm_marks", marks: [{ serial: 1, offset: 96 }] })).toEqual([{ serial: 1, offset: 96 }]);
  expect(() => readMarks({ name: "qkm_marks" })).toThrow("marks");
});
