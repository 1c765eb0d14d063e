// NSS's software token (Firefox, LibreOffice): no data objects, no CKA_COPYABLE, and it denies having made its own keys.

import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exerciseToken } from "../contracts/token.ts";
import { keptLog } from "../support/softhsm.ts";
import { libraryPath, need } from "./support/debian.ts";
import { makePlace, type Other, openOther, type Place } from "./support/open.ts";

const MODULE = libraryPath("libsoftokn3.so");

let place: Place;
let other: Other;
beforeAll(() => {
  need(["libnss3", "libnss3-tools"], [MODULE, "/usr/bin/certutil"]);
  place = makePlace("a PIN for NSS 1");
  execFileSync("certutil", ["-N", "-d", `sql:${place.dir}`, "-f", place.pinFile]);
  const parameters = `configdir='sql:${place.dir}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=`;
  other = { module: MODULE, label: "NSS Certificate DB", pinFile: place.pinFile, parameters };
});
afterAll(() => place?.[Symbol.dispose]());

exerciseToken("NSS", () => openOther(other));

test("it is told apart by its parameters: without them there is no such token", async () => {
  const { parameters: _, ...without } = other;
  await expect(openOther(without)).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
});

test("what it does not know is left out, with a warning each", async () => {
  const log = keptLog();
  await using token = await openOther(other, log);
  await (await token.generate("warned")).destroy();
  const warnings = log.lines.filter(({ level }) => level === "warn").map(({ fields }) => fields);
  expect(warnings).toContainEqual(expect.objectContaining({ without: ["CKA_COPYABLE", "CKA_DESTROYABLE"] }));
});
