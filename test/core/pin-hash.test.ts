// Hashes of PINs: right ones match, everything else does not, and parameters in a file are bounded.

import { scryptSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkPin, hashPin, isPinHash } from "../../src/core/pin-hash.ts";

describe("the hash of a PIN", () => {
  test("is of this PIN and of no other", async () => {
    const hash = await hashPin("4711-0815");
    expect(isPinHash(hash)).toBe(true);
    expect(await checkPin("4711-0815", hash)).toBe(true);
    for (const other of ["", "4711-081", "4711-08155", "4711-0816"]) expect(await checkPin(other, hash)).toBe(false);
  });

  test("differs for the same PIN, and does not contain it", async () => {
    const [one, other] = await Promise.all([hashPin("1234567890"), hashPin("1234567890")]);
    expect(one).not.toBe(other);
    expect(one).not.toContain("1234567890");
  });

  test("RFC 7914: is what scrypt says for the parameters and the salt in the text", async () => {
    const salt = Buffer.alloc(16, 7);
    const hash = scryptSync("pin", salt, 32, { N: 1024, r: 4, p: 2 });
    const text = `scrypt$1024$4$2$${salt.toString("base64url")}$${hash.toString("base64url")}`;
    expect(await checkPin("pin", text)).toBe(true);
    expect(await checkPin("pim", text)).toBe(false);
  });

  test("that cannot be read, or asks for too much memory, is of no PIN", async () => {
    const good = await hashPin("pin");
    const tail = good.split("$").slice(4).join("$");
    const bad = ["", "pin", good.slice(0, -1), `scrypt$1048576$8$1$${tail}`, `scrypt$1000$8$1$${tail}`];
    bad.push(`scrypt$16384$0$1$${tail}`, `scrypt$1$8$1$${tail}`, `scrypt$16384$8$5$${tail}`, ` ${good}`);
    for (const hash of bad) {
      expect(isPinHash(hash)).toBe(false);
      expect(await checkPin("pin", hash)).toBe(false);
    }
  });
});
