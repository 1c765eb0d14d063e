// Key bytes as a type: hidden, lent, zero after dispose.

import { inspect } from "node:util";
import { expect, test } from "vitest";
import { secretOf } from "../../../src/core/memory/secret.ts";

const BYTES = [1, 2, 3, 250];

test("lends its bytes, and what the function gives", () => {
  using secret = secretOf(Uint8Array.from(BYTES));
  expect(secret.length).toBe(4);
  expect(secret.lend((bytes) => [...bytes])).toEqual(BYTES);
});

test("prints [secret] in every way", () => {
  using secret = secretOf(Uint8Array.from(BYTES));
  expect([String(secret), `${secret}`, inspect(secret), JSON.stringify({ secret })]).toEqual([
    "[secret]",
    "[secret]",
    "[secret]",
    '{"secret":"[secret]"}',
  ]);
  expect(inspect({ deep: { secret } }, { depth: 9, showHidden: true })).not.toContain("250");
  expect(Object.values(secret).some((value) => value instanceof Uint8Array)).toBe(false);
});

test("is zero after dispose, cannot be lent, and is given back once", () => {
  const bytes = Uint8Array.from(BYTES);
  let released = 0;
  const secret = secretOf(bytes, () => {
    expect([...bytes]).toEqual([0, 0, 0, 0]);
    released++;
  });
  secret[Symbol.dispose]();
  secret[Symbol.dispose]();
  expect(released).toBe(1);
  expect(() => secret.lend(() => {})).toThrow("disposed");
});
