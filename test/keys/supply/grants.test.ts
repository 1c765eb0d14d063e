// Grants: what was not written when they end is zeroed.

import { expect, test } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { grantKeys } from "../../../src/keys/supply/grants.ts";
import type { KeyIdKey, OpenBlock, Range } from "../../../src/vault/vault.ts";

const PARTIES = {
  source: kmId("km-a"),
  destination: kmId("km-b"),
  initiator: appId("app-a1"),
  target: appId("app-b1"),
};
const ID_KEY: KeyIdKey = { tag: () => {}, [Symbol.dispose]: () => {} };

function grantOf(count: number) {
  const wiped: Range[] = [];
  const ended: number[] = [];
  const open: Pick<OpenBlock, "emit" | "wipe"> = {
    emit: (_range, _target, at) => at + 4,
    wipe: (range) => wiped.push(range),
  };
  const keys = Array.from({ length: count }, (_, index) => ({
    serial: 1,
    idKey: ID_KEY,
    open: open as OpenBlock,
    offset: 96 + 32 * index,
    length: 32,
  }));
  return { grant: grantKeys(keys, PARTIES, (unwritten) => ended.push(unwritten)), wiped, ended };
}

test("design 8: a grant that ends early zeroes the keys that were not written, once", () => {
  const { grant, wiped, ended } = grantOf(3);
  grant.writeKey(0, new Uint8Array(64), 0);
  grant[Symbol.dispose]();
  grant[Symbol.dispose]();
  expect(wiped).toEqual([
    { offset: 128, length: 32 },
    { offset: 160, length: 32 },
  ]);
  expect(ended).toEqual([2]);
});

test("a grant that was written zeroes nothing more: each key did when it was written", () => {
  const { grant, wiped, ended } = grantOf(2);
  for (const index of [0, 1]) grant.writeKey(index, new Uint8Array(64), 0);
  grant[Symbol.dispose]();
  expect(wiped).toEqual([]);
  expect(ended).toEqual([0]);
});
