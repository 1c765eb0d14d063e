// Grants: what was not written when they end is zeroed.

import { expect, test } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { type GrantedKeys, KeyGrant } from "../../../src/keys/supply/grants.ts";
import { Purpose } from "../../../src/keys/supply/purpose.ts";
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
    wipe: ({ offset, length }) => wiped.push({ offset, length }),
  };
  const piece: GrantedKeys = {
    key: { serial: 1, idKey: ID_KEY },
    open: open as OpenBlock,
    offset: 96,
    length: 32,
    count,
  };
  const purpose = new Purpose("ak", PARTIES.initiator, PARTIES, PARTIES.destination);
  return {
    grant: new KeyGrant([piece], purpose, { ended: (_grant, unwritten) => ended.push(unwritten) }),
    wiped,
    ended,
  };
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

test("keys of several KMA-keys are found in their order, whichever is looked at first", () => {
  const written: Range[] = [];
  const open: Pick<OpenBlock, "emit" | "wipe"> = {
    emit: ({ offset, length }, _target, at) => {
      written.push({ offset, length });
      return at + 4;
    },
    wipe: () => {},
  };
  const piece = (offset: number, count: number): GrantedKeys => ({
    ...{ key: { serial: 1, idKey: ID_KEY }, open: open as OpenBlock },
    ...{ offset, length: 12, count },
  });
  const purpose = new Purpose("ak", PARTIES.initiator, PARTIES, PARTIES.destination);
  using grant = new KeyGrant([piece(96, 2), piece(1000, 1), piece(2000, 2)], purpose, { ended: () => {} });
  for (const index of [4, 0, 2, 1, 3]) grant.writeKey(index, new Uint8Array(64), 0);
  expect(written.map(({ offset }) => offset)).toEqual([2016, 96, 1000, 112, 2000]);
  expect(() => grant.size(5)).toThrow(RangeError);
  expect(grant.size(0)).toBe(12);
});
