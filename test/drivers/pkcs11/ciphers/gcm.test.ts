// AES-GCM in the token, against the same cipher of node:crypto, on a key that both have.

import { createCipheriv, createDecipheriv } from "node:crypto";
import fc from "fast-check";
import type { Handle } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { open, seal } from "../../../../drivers/pkcs11/ciphers/gcm.ts";
import { reasonOf } from "../../../../drivers/pkcs11/refusal.ts";
import { SealBroken } from "../../../../src/device/token.ts";
import { jobOf } from "../../../contracts/token.ts";
import type { LoggedIn } from "../module.ts";
import { logInToModule } from "../module.ts";

const KEY = Buffer.from("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "hex");
let module: LoggedIn;
let key: Handle;

beforeAll(async () => {
  module = await logInToModule();
  key = module.pkcs11.C_CreateObject(module.session, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_TOKEN, value: false },
    { type: pkcs11js.CKA_VALUE, value: KEY },
    { type: pkcs11js.CKA_ENCRYPT, value: true },
    { type: pkcs11js.CKA_DECRYPT, value: true },
  ]);
});
afterAll(() => module.dispose());

describe.each([true, false])("with synchronous calls: %s", (synchronous) => {
  const bench = () => ({ pkcs11: module.pkcs11, session: module.session, key, synchronous });

  test("it seals and opens what AES-256-GCM says", async () => {
    const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
    await fc.assert(
      fc.asyncProperty(bytes(12, 12), bytes(1, 200), bytes(1, 2000), async (iv, aad, plain) => {
        const sealed = new Uint8Array(plain.length + 16);
        await seal(bench(), { iv, aad, plain, sealed });
        const cipher = createCipheriv("aes-256-gcm", KEY, iv).setAAD(aad);
        const expected = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
        expect(expected.equals(sealed)).toBe(true);
        const opened = new Uint8Array(plain.length + 20).fill(9);
        await open(bench(), { iv, aad, sealed, plain: opened });
        expect(Buffer.from(opened)).toEqual(Buffer.concat([plain, Buffer.alloc(16), Buffer.alloc(4, 9)]));
      }),
      { numRuns: 50 },
    );
  });

  test("any refusal of C_Decrypt is a SealBroken that names it, and the session works on", async () => {
    const job = jobOf(100);
    await seal(bench(), job);
    job.sealed[50] = (job.sealed[50] ?? 0) ^ 0x80;
    const plain = Buffer.alloc(116, 1);
    const thrown: unknown = await open(bench(), { ...job, plain }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(SealBroken);
    expect(reasonOf((thrown as SealBroken).cause)).toMatch(/^CKR_(GENERAL_ERROR|ENCRYPTED_DATA_INVALID)$/);
    expect(plain).toEqual(Buffer.alloc(116));
    await seal(bench(), jobOf(100));
  });
});

test("jobs beside the event loop keep hold of their memory while others collect garbage", async () => {
  const bench = { pkcs11: module.pkcs11, session: module.session, key, synchronous: false };
  for (let round = 0; round < 20; round += 1) {
    const { iv, aad, plain, sealed } = jobOf(262_144);
    const sealing = seal(bench, { iv, aad, plain: Buffer.from(plain), sealed });
    for (let litter = 0; litter < 50; litter += 1) Buffer.alloc(262_144, litter);
    await sealing;
    const decipher = createDecipheriv("aes-256-gcm", KEY, iv, { authTagLength: 16 }).setAAD(aad);
    decipher.setAuthTag(sealed.subarray(-16));
    expect(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]).equals(plain)).toBe(true);
  }
});

test("calls write straight into the caller's memory and take straight from it", () => {
  const { pkcs11, session } = module;
  const region = new ArrayBuffer(64);
  pkcs11.C_GenerateRandom(session, Buffer.from(region, 16, 32));
  const bytes = Buffer.from(region);
  expect(bytes.subarray(16, 48).equals(Buffer.alloc(32))).toBe(false);
  expect([bytes.subarray(0, 16), bytes.subarray(48)]).toEqual([Buffer.alloc(16), Buffer.alloc(16)]);
});
