// A TPM 2.0 (swtpm) by tpm2-pkcs11 as Debian 12 has it (1.9.0): it lists CKM_AES_KEY_GEN, and makes no secret key.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../system/support/eventually.ts";
import { libraryPath, need } from "./support/debian.ts";
import { makePlace, type Other, openOther, type Place } from "./support/open.ts";

const MODULE = libraryPath("pkcs11/libtpm2_pkcs11.so");
const PACKAGES = ["swtpm", "dbus", "tpm2-abrmd", "libtss2-tcti-tabrmd0", "libtpm2-pkcs11-1", "libtpm2-pkcs11-tools"];
const PROGRAMS = ["/usr/bin/swtpm", "/usr/bin/dbus-daemon", "/usr/sbin/tpm2-abrmd", "/usr/bin/tpm2_ptool"];

let place: Place;
let other: Other;
const running: ChildProcess[] = [];
const inherited = { ...process.env };

const run = (program: string, ...args: string[]): void => {
  running.push(spawn(program, args, { stdio: "ignore" }));
};

beforeAll(async () => {
  need(PACKAGES, [MODULE, ...PROGRAMS]);
  place = makePlace("userpin1");
  const [tpm, bus, store] = ["tpm", "bus", "store"].map((name) => join(place.dir, name));
  if (tpm === undefined || bus === undefined || store === undefined) throw new Error("three names are three paths");
  for (const dir of [tpm, store]) mkdirSync(dir);
  const sockets = ["--server", `type=unixio,path=${tpm}/socket`, "--ctrl", `type=unixio,path=${tpm}/socket.ctrl`];
  run("swtpm", "socket", "--tpm2", "--tpmstate", `dir=${tpm}`, ...sockets, "--flags", "startup-clear");
  run("dbus-daemon", "--session", "--nofork", "--nopidfile", `--address=unix:path=${bus}`);
  await eventually("TPM and bus are there", () => [`${tpm}/socket`, bus].every((path) => existsSync(path)));
  // The library, and what the process of the token inherits.
  const tcti = "tabrmd:bus_type=session";
  Object.assign(process.env, {
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}`,
    TPM2_PKCS11_STORE: store,
    TPM2_PKCS11_TCTI: tcti,
    TPM2TOOLS_TCTI: tcti,
  });
  run("tpm2-abrmd", "--session", "--allow-root", `--tcti=swtpm:path=${tpm}/socket`);
  const ptool = (...args: string[]) => execFileSync("tpm2_ptool", [...args, "--path", store], { stdio: "pipe" });
  await eventually("the TPM answers", () => ptool("init").length >= 0, 60_000, 500);
  ptool("addtoken", "--pid=1", "--sopin=sopin123", "--userpin=userpin1", "--label=qkm tpm");
  other = { module: MODULE, label: "qkm tpm", pinFile: place.pinFile };
}, 600_000);
afterAll(async () => {
  process.env = inherited;
  for (const child of running.toReversed()) {
    child.kill("SIGTERM");
    await eventually("it has ended", () => child.exitCode !== null || child.signalCode !== null);
  }
  place?.[Symbol.dispose]();
});

test("it is refused for good, by what it refuses, and not taken for a token that is away", async () => {
  await expect(openOther(other)).rejects.toMatchObject({
    code: "TOKEN_UNSUITABLE",
    message: expect.stringMatching(/CKM_GENERIC_SECRET_KEY_GEN|CKR_FUNCTION_NOT_SUPPORTED/),
  });
});
