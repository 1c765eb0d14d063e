// What a 0x2101 asks of its keys in `extension`, read by the key manager and written by the client.

import { describe, expect, test } from "vitest";
import { extensionOf, supplyOptionsOf } from "../../src/ak/extension.ts";
import { Fault } from "../../src/core/fault.ts";

const faultOf = (extension: Parameters<typeof supplyOptionsOf>[0]): string | undefined => {
  try {
    supplyOptionsOf(extension);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : "no fault";
  }
};

describe("Q.4161 8.1.1: the extension of a key request", () => {
  test("names a route and an age, as a demand or as a wish", () => {
    const extension = [
      { name: "qkm_route_type", value: "relayed", mandatory: true },
      { name: "qkm_max_age", value: 30_000 },
      { name: "abc_other", value: 1 },
    ];
    expect(supplyOptionsOf(extension)).toEqual({ only: { routeType: "relayed" }, rather: { maxAgeMs: 30_000 } });
  });

  test("that is absent, empty or of others asks nothing", () => {
    expect(supplyOptionsOf()).toEqual({});
    expect(supplyOptionsOf([])).toEqual({});
    expect(supplyOptionsOf([{ name: "abc" }, { value: 1 }])).toEqual({});
  });

  test.each([
    [[{ name: "abc", mandatory: true }], "EXTENSION_UNSUPPORTED"],
    [[{ mandatory: true }], "EXTENSION_UNSUPPORTED"],
    [[{ name: "qkm_route_type", value: "indirect" }], "MALFORMED_REQUEST"],
    [[{ name: "qkm_max_age", value: 1.5 }], "MALFORMED_REQUEST"],
    [
      [
        { name: "qkm_max_age", value: 1 },
        { name: "qkm_max_age", value: 2 },
      ],
      "MALFORMED_REQUEST",
    ],
  ])("%j is refused as %s", (extension, code) => {
    expect(faultOf(extension)).toBe(code);
  });

  test("the client writes what the key manager reads", () => {
    const wishes = { only: { routeType: "multipath", maxAgeMs: 5 }, rather: { maxAgeMs: 1 } } as const;
    expect(supplyOptionsOf(extensionOf(wishes))).toEqual(wishes);
    expect(extensionOf({})).toEqual([]);
  });
});
