// The route as one KM on it sees it: its position, and a share of the time that lets the hop nearest to the trouble speak.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asFault, Fault } from "../../../src/core/fault.ts";
import { type KmId, kmId } from "../../../src/core/ids.ts";
import { answerMs, failedAt, padMs, partsMs, relayHopOf } from "../../../src/keys/routes/relay-route.ts";

const km = (letter: string): KmId => kmId(`km-${letter}`);
const offer = (route: string) => {
  const kms = [...route].map(km);
  const [source = km("x"), destination = km("x")] = [kms[0], kms.at(-1)];
  return {
    requestId: "",
    source,
    destination,
    transit: kms.slice(1, -1),
    keyId: "",
    key: new Uint8Array(0),
    givenUp: "",
  };
};

function placed(route: string, self: string, from: string): number | string {
  try {
    const whole = { ...offer(route), protection: { scheme: "otp", pads: [], tag: new Uint8Array(16) } } as const;
    return relayHopOf(whole, km(self), km(from)).at;
  } catch (thrown) {
    return asFault(thrown).code;
  }
}

test.each([
  ["ab", "b", "a", 1],
  ["abc", "b", "a", 1],
  ["abc", "c", "b", 2],
  ["abc", "c", "a", "NOT_ON_ROUTE"],
  ["abc", "a", "b", "NOT_ON_ROUTE"],
  ["abc", "d", "c", "NOT_ON_ROUTE"],
  ["abab", "b", "a", "NOT_ON_ROUTE"],
  ["abcb", "c", "b", "NOT_ON_ROUTE"],
  ["aabc", "b", "a", "NOT_ON_ROUTE"],
])("key-protocol 2: on the route %s, km-%s that hears from km-%s is %s", (route, self, from, outcome) => {
  expect(placed(route, self, from)).toBe(outcome);
});

describe("the time", () => {
  test("of each hop ends before that of the hop before it, waiting for pads and parts included", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 100, max: 600_000 }), (kms, timeoutMs) => {
        const path = Array.from({ length: kms }, (_, at) => kmId(`km-${at}`));
        for (let at = 1; at < kms - 1; at++) {
          const relayHop = { path, at };
          const before = at === 1 ? timeoutMs : answerMs({ path, at: at - 1 }, timeoutMs);
          expect(answerMs(relayHop, timeoutMs)).toBeLessThan(before);
          expect(padMs(relayHop, timeoutMs)).toBeLessThan(answerMs(relayHop, timeoutMs));
          expect(padMs(relayHop, timeoutMs) + answerMs({ path, at: at + 1 }, timeoutMs)).toBeLessThan(
            answerMs(relayHop, timeoutMs),
          );
        }
        const last = kms === 2 ? timeoutMs : answerMs({ path, at: kms - 2 }, timeoutMs);
        expect(partsMs({ path, at: kms - 1 }, timeoutMs)).toBeLessThan(last);
      }),
    );
  });
});

test("a fault keeps the hop that it names, and gets one when it names none", () => {
  const named = new Fault("BUSY", { failedAt: "km-c" });
  expect(failedAt(named, km("b"))).toBe(named);
  const given = failedAt(new Fault("BUSY", { text: "so busy", retryAfterMs: 7 }), km("b"));
  expect([given.code, given.message, given.retryAfterMs, given.failedAt]).toEqual(["BUSY", "so busy", 7, "km-b"]);
});
