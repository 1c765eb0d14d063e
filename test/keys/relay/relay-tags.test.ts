// The bytes under the tags of a relay, written out by hand from key-protocol 1 and 2.

import { expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { endContext, linkContext, otpContext } from "../../../src/keys/relay/relay-tags.ts";

const ROUTE = {
  keyId: "K",
  source: kmId("a"),
  destination: kmId("d"),
  transit: [kmId("b"), kmId("cc")],
  requestId: "r1",
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** Pieces of hexadecimal, with spaces for the reader. */
const joined = (...pieces: string[]): string => pieces.join("").replaceAll(" ", "");

const ENDS = "0001 4b 0001 61 0001 64";
const TRANSIT = "0002 0001 62 0002 6363";
const REQUEST = "0002 7231";

test("key-protocol 2: link", () => {
  const bytes = linkContext(ROUTE, { link: linkId("ab"), run: 1, sequence: 42 });
  const block = "0002 6162 0000000000000001 000000000000002a";
  expect(hex(bytes)).toBe(joined("0008 716b6d206c696e6b", ENDS, TRANSIT, REQUEST, block));
});

test("key-protocol 2: otp, over all segments", () => {
  const pads = [
    { link: linkId("bc"), run: 3, sequence: 7, offset: 32, length: 32_736 },
    { link: linkId("bc"), run: 3, sequence: 9, offset: 0, length: 64 },
  ];
  const first = "0002 6263 0000000000000003 0000000000000007 00000020 00007fe0";
  const second = "0002 6263 0000000000000003 0000000000000009 00000000 00000040";
  expect(hex(otpContext(ROUTE, pads))).toBe(
    joined("0007 716b6d206f7470", ENDS, TRANSIT, REQUEST, "0002", first, second),
  );
});

test("key-protocol 2: end to end, without the route", () => {
  expect(hex(endContext(ROUTE))).toBe(joined("0007 716b6d20656e64", ENDS, REQUEST));
});
