// The software token of opencryptoki: no AES-GCM, no CKA_COPYABLE; its library talks to a daemon of the machine's.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { borrowLibrary } from "../../drivers/pkcs11/library.ts";
import { exerciseToken } from "../contracts/token.ts";
import { eventually } from "../system/support/eventually.ts";
import { libraryPath, need } from "./support/debian.ts";
import { makePlace, type Other, openOther, type Place } from "./support/open.ts";

const MODULE = libraryPath("pkcs11/libopencryptoki.so");
const DAEMON = "/usr/sbin/pkcsslotd";
const LABEL = "qkm opencryptoki";
/** As the package makes a token, and as a token wants them changed: it takes at most 8 characters. */
const PINS = { so: ["87654321", "11223344"], user: ["12345678", "55667788"] } as const;
const STATE = "/var/lib/opencryptoki/swtok";

let place: Place;
let daemon: ChildProcess | undefined;
let other: Other;

beforeAll(async () => {
  need(["opencryptoki"], [MODULE, DAEMON]);
  if (existsSync(`${STATE}/NVTOK.DAT`)) throw new Error(`${STATE} has a token: it is not touched`);
  place = makePlace(PINS.user[1]);
  daemon = spawn(DAEMON, ["-f"], { stdio: "ignore" });
  other = { module: MODULE, label: LABEL, pinFile: place.pinFile };
  await eventually("its daemon answers", initialise, 60_000, 200);
});
afterAll(async () => {
  place?.[Symbol.dispose]();
  if (daemon === undefined) return;
  daemon.kill("SIGTERM");
  await eventually("its daemon has ended", () => daemon?.exitCode !== null || daemon.signalCode !== null);
  // The folders are the package's.
  for (const file of readdirSync(STATE, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) rmSync(join(file.parentPath, file.name));
  }
});

/** Both PINs must be changed before the token can be used. @throws Error of the module until the daemon is there */
function initialise(): boolean {
  const lease = borrowLibrary(MODULE);
  const { pkcs11 } = lease;
  try {
    const [slot] = pkcs11.C_GetSlotList(true);
    if (slot === undefined) return false;
    pkcs11.C_InitToken(slot, PINS.so[0], LABEL.padEnd(32));
    const session = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    const as = (user: number, pin: string, job: () => void) => {
      pkcs11.C_Login(session, user, pin);
      job();
      pkcs11.C_Logout(session);
    };
    as(pkcs11js.CKU_SO, PINS.so[0], () => pkcs11.C_SetPIN(session, ...PINS.so));
    as(pkcs11js.CKU_SO, PINS.so[1], () => pkcs11.C_InitPIN(session, PINS.user[0]));
    as(pkcs11js.CKU_USER, PINS.user[0], () => pkcs11.C_SetPIN(session, ...PINS.user));
    pkcs11.C_CloseSession(session);
    return true;
  } finally {
    lease.release();
  }
}

exerciseToken("opencryptoki", () => openOther(other), { wholeBlocks: true });

test("it seals data keys only", async () => {
  await using token = await openOther(other);
  expect(token.info).toMatchObject({ envelopeOnly: true, suggests: "envelope" });
});
