// Marks that move while others use up the KMA-keys they were meant for.

import { expect, test } from "vitest";
import { linkId } from "../../../src/core/ids.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { type MarkedKeys, Marks } from "../../../src/keys/supply/high-water-marks.ts";
import { SourceKey } from "../../../src/keys/supply/source-key.ts";
import type { Vault } from "../../../src/vault/vault.ts";
import { until } from "../../support/until.ts";

const BLOCK_BYTES = 4096;
const demand = { count: 4, step: 32 };

interface Opening {
  readonly blocks: readonly string[];
  open(): void;
  fail(why: Error): void;
}

/** Marks over some KMA-keys, with a vault that opens blocks when the test says so. */
function bench(serials: number) {
  const idKey = { tag: () => {}, [Symbol.dispose]: () => {} };
  const stock = Array.from({ length: serials }, (_, serial) => {
    const block = linkBlock(linkId("ab"), 1, serial);
    return new SourceKey({ serial, block, length: BLOCK_BYTES, bornAt: 0 }, idKey);
  });
  const openings: Opening[] = [];
  const keys: MarkedKeys = {
    keys: () => stock,
    open: [],
    enter: (key) => stock.includes(key),
    marked: (key) => stock.includes(key),
  };
  const vault = {
    change: () => ({ commit: async () => {} }),
    openJob: ({ blocks }: Parameters<Vault["openJob"]>[0]) =>
      new Promise((resolve, reject) => {
        const names = blocks.map(({ block }) => block);
        openings.push({ blocks: names, open: () => resolve({ [Symbol.dispose]: () => {} }), fail: reject });
      }),
  };
  return { stock, openings, marks: new Marks({ vault: vault as unknown as Vault }, keys) };
}

test("a KMA-key that was used up while memory was waited for is left out, and the next ones are aimed at", async () => {
  const { stock, openings, marks } = bench(6);
  const prepared = marks.prepare(demand);
  await until("blocks are opened", () => openings.length === 1);
  const [gone] = stock.splice(0, 1);
  openings[0]?.fail(new Error("it was destroyed while it was being opened"));
  await until("others are opened", () => openings.length === 2);
  expect(openings[1]?.blocks).not.toContain(gone?.block);
  openings[1]?.open();
  await prepared;
  expect(stock[0]?.durable).toBeGreaterThanOrEqual(demand.count * demand.step);
});

test("where memory does not reach for what will be asked next, what is asked now is opened alone", async () => {
  const { openings, marks } = bench(6);
  const prepared = marks.prepare(demand);
  await until("blocks are opened", () => openings.length === 1);
  openings[0]?.fail(new RangeError("there are 4 slots"));
  await until("fewer are opened", () => openings.length === 2);
  expect(openings[0]?.blocks.length).toBeGreaterThan(1);
  expect(openings[1]?.blocks).toHaveLength(1);
  openings[1]?.open();
  await prepared;
});

test("a fault of the vault is told when it concerns what is asked now", async () => {
  const { openings, marks } = bench(2);
  const prepared = marks.prepare(demand);
  const told = expect(prepared).rejects.toThrow("the token is away");
  for (const at of [0, 1]) {
    await until("blocks are opened", () => openings.length === at + 1);
    openings[at]?.fail(new Error("the token is away"));
  }
  await told;
  expect(openings).toHaveLength(2);
});
