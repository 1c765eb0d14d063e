// The rule that no mark on a disk goes back: what breaks it, and what only looks so.

import { describe, expect, test } from "vitest";
import type { BlockId, Row } from "../../src/vault/vault.ts";
import { Forward } from "./forward.ts";
import { SimMachine } from "./machine.ts";
import { Checks } from "./rules.ts";

/** A disk that is written row by row. */
function bench() {
  const machine = new SimMachine(1, () => {});
  const node = { id: "km-a", machine };
  const forward = new Forward(new Checks());
  const write = (table: string, row: Row, isKnown = true): void => {
    const steps = [{ op: "put", table, id: "x", row }] as const;
    forward.applied(node, steps, isKnown);
    machine.apply(steps);
  };
  return { write, reject: () => forward.rejected(node) };
}

const PAD = { ownRun: 1, ownSequence: 4, ownOffset: 96, seenRun: 2, seenSequence: 7, seenOffset: 32 };
const BLOCK = "link:ab:1:1" as BlockId;
const SOURCE = { block: BLOCK, state: "open", mark: 4096, exact: false };

describe("key-protocol 4: a row that is older than the disk's", () => {
  test.each([
    ["pad", PAD, { ...PAD, seenOffset: 0 }],
    ["pad", PAD, { ...PAD, ownRun: 0, ownSequence: 9 }],
    ["peer", { nextSerial: 5, proved: 4, accepted: 9 }, { nextSerial: 4, proved: 4, accepted: 9 }],
    ["source", SOURCE, { ...SOURCE, mark: 96 }],
    ["source", SOURCE, { ...SOURCE, state: "ready" }],
    ["held", { block: BLOCK, fetched: Uint8Array.of(3) }, { block: BLOCK, fetched: Uint8Array.of(5) }],
    ["whole", { block: BLOCK, state: "gone" }, { block: BLOCK, state: "held" }],
  ])("of %s breaks the rule", (table, row, older) => {
    const { write } = bench();
    write(table, row);
    write(table, row);
    expect(() => write(table, older)).toThrow(`km-a writes ${table} x with`);
  });

  test("is right after a rejected change, for what was to leave has not", () => {
    const { write, reject } = bench();
    write("pad", PAD);
    reject();
    write("pad", { ...PAD, seenOffset: 64 }, false);
    write("pad", PAD);
    expect(() => write("pad", { ...PAD, seenOffset: 0 })).toThrow("seen");
  });

  test("is right when it is of another block, or says where carving ended at a stop", () => {
    const { write } = bench();
    write("source", SOURCE);
    write("source", { ...SOURCE, mark: 1024, exact: true });
    write("source", { ...SOURCE, block: "link:ab:1:2", state: "reserved", mark: 0 });
  });
});
