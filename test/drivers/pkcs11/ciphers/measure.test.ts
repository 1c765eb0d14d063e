// What a token can do, on a real token that is told to do less.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { measure } from "../../../../drivers/pkcs11/ciphers/measure.ts";
import { findObjects } from "../../../../drivers/pkcs11/objects.ts";
import { openPkcs11Token } from "../../../../drivers/pkcs11/token.ts";
import type { TestToken } from "../../../support/softhsm.ts";
import { keptLog, makeToken } from "../../../support/softhsm.ts";
import { logInToModule } from "../module.ts";

let token: TestToken;
beforeAll(async () => {
  token = await makeToken();
});
afterAll(() => token.dispose());

test("a token without AES-GCM is refused with the mechanism's name, and its module is free again", async () => {
  const softhsmConf = join(dirname(token.conf), "less.conf");
  writeFileSync(softhsmConf, `${readFileSync(token.conf, "utf8")}slots.mechanisms = CKM_AES_KEY_GEN\n`);
  await expect(openPkcs11Token({ ...token, softhsmConf }, keptLog())).rejects.toMatchObject({
    code: "TOKEN_UNSUITABLE",
    message: expect.stringContaining("CKM_AES_GCM"),
  });
  await using open = await openPkcs11Token({ ...token, softhsmConf: token.conf }, keptLog());
  await open.check();
});

test("measuring gives the milliseconds of a seal and leaves no key behind", async () => {
  const module = await logInToModule();
  const { pkcs11, session } = module;
  const { sealMs, tellsLocal } = await measure(module, "gcm", 1);
  expect(tellsLocal).toBe(true);
  expect(sealMs).toBeGreaterThan(0);
  expect(sealMs).toBeLessThan(1000);
  expect(findObjects(pkcs11, session, [])).toEqual([]);
  await module.dispose();
});
