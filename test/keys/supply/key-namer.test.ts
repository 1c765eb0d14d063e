// The tag of a key ID, against BLAKE2b over the bytes written out by hand (key-protocol 3).

import { crypto_generichash } from "sodium-native";
import { describe, expect, test } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { parseKeyId } from "../../../src/keys/common/key-id.ts";
import { KeyNamer, type Parties } from "../../../src/keys/supply/key-namer.ts";
import { ModelIdKey } from "../../support/model-memory.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const idKey = new ModelIdKey(KEY, () => {});
const PARTIES: Parties = {
  source: kmId("km-a"),
  destination: kmId("km-b"),
  initiator: appId("app-a1"),
  target: appId("app-b1"),
};
const NAMED = { serial: 0x0102030405, idKey, offset: 96, length: 32 };

function nameOf(named: typeof NAMED, parties: Parties): string {
  const text = Buffer.alloc(36);
  new KeyNamer(parties).write(named, text, 0);
  return text.toString("latin1");
}

test('is the first 58 bits of BLAKE2b-128 over T("qkm key", …), keyed with the key-ID key', () => {
  const message = Buffer.from(
    "0007716b6d206b6579" + // qkm key
      "00046b6d2d61" + // km-a
      "00046b6d2d62" + // km-b
      "0000000102030405" + // serial
      "00000060" + // offset
      "00000020" + // length
      "00066170702d6131" + // app-a1
      "00066170702d6231", // app-b1
    "hex",
  );
  const expected = new Uint8Array(16);
  crypto_generichash(expected, message, KEY);
  const id = nameOf(NAMED, PARTIES);
  const bits = BigInt(`0x${Buffer.from(expected).toString("hex")}`) >> 70n;
  const tail = BigInt(`0x${id.replaceAll("-", "")}`) & ((1n << 58n) - 1n);
  expect(tail).toBe(bits);
});

describe("fits only", () => {
  const carried = parseKeyId(nameOf(NAMED, PARTIES))?.tag ?? new Uint8Array(8);

  test("the very same key and parties", () => {
    expect(new KeyNamer(PARTIES).fits(carried, NAMED)).toBe(true);
  });

  test.each([{ serial: 1 }, { serial: NAMED.serial + 2 ** 32 }, { offset: 104 }, { length: 40 }])("not %o", (more) => {
    expect(new KeyNamer(PARTIES).fits(carried, { ...NAMED, ...more })).toBe(false);
  });

  test.each([
    { source: kmId("km-b"), destination: kmId("km-a") },
    { initiator: appId("app-b1"), target: appId("app-a1") },
    { initiator: appId("app-a2") },
    { target: appId("app-b") },
  ])("not %o", (more) => {
    expect(new KeyNamer({ ...PARTIES, ...more }).fits(carried, NAMED)).toBe(false);
  });
});
