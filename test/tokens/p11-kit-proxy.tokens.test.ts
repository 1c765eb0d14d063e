// SoftHSM by way of the proxy of p11-kit, as programs find it that are told of no library.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exerciseToken } from "../contracts/token.ts";
import { makeToken, type TestToken } from "../support/softhsm.ts";
import { libraryPath, need } from "./support/debian.ts";
import { makePlace, type Other, openOther, type Place } from "./support/open.ts";

const PROXY = libraryPath("p11-kit-proxy.so");

let place: Place;
let softhsm: TestToken;
let other: Other;
const home = process.env.XDG_CONFIG_HOME;
beforeAll(async () => {
  need(["p11-kit", "p11-kit-modules"], [PROXY]);
  place = makePlace("");
  softhsm = await makeToken(join(place.dir, "softhsm"), "proxied");
  // The user's modules, here in a folder of the test's own; the process of the token inherits where that is.
  const modules = join(place.dir, "config/pkcs11/modules");
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(modules, "qkm.module"), `module: ${softhsm.module}\n`);
  writeFileSync(join(place.dir, "config/pkcs11/pkcs11.conf"), "user-config: only\n");
  process.env.XDG_CONFIG_HOME = join(place.dir, "config");
  other = { module: PROXY, label: softhsm.label, pinFile: softhsm.pinFile, softhsmConf: softhsm.conf };
});
afterAll(() => {
  if (home === undefined) delete process.env.XDG_CONFIG_HOME;
  else process.env.XDG_CONFIG_HOME = home;
  place?.[Symbol.dispose]();
});

exerciseToken("SoftHSM behind the proxy of p11-kit", () => openOther(other));

test("it is the same token", async () => {
  await using token = await openOther(other);
  expect(token.info).toMatchObject({ label: "proxied", model: "SoftHSM v2", suggests: "direct" });
});
