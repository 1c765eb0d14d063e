// Provisioning that is killed, and what must hold once a later run came to its end.

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { configIn } from "../../../src/cli/appliance/node-config.ts";
import { operatorsIn } from "../../../src/cli/appliance/operators.ts";
import { checkPin } from "../../../src/core/pin-hash.ts";
import { keptLog } from "../../support/softhsm.ts";
import { type Appliance, makeAppliance, NODE_TOML, pinsOn } from "./kit.ts";

const KILL_AT = new URL("./kill-at.ts", import.meta.url).href;
const QKM = fileURLToPath(new URL("../../../src/cli/qkm.ts", import.meta.url));

/** What the medium of these tests has: all but the token's PIN and the operators. */
export async function makeWaiting(): Promise<Appliance> {
  const appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", NODE_TOML);
  appliance.put("hosts", "192.0.2.7\n");
  appliance.put("pairing/ab.key", "5".repeat(64));
  return appliance;
}

/** The screen of a run that is killed at its n-th change, and whether it came to its end before. */
export function runKilledAt(appliance: Appliance, change: number): Promise<{ screen: string; ended: boolean }> {
  const place = ["--board", "host", "--dir", appliance.dir, "--medium", appliance.medium];
  const args = ["--import", KILL_AT, QKM, "appliance", "provision", ...place];
  const env = { ...process.env, QKM_TEST_KILL_AT: String(change) };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env, timeout: 120_000 }, (error, stdout, stderr) => {
      if (error !== null && error.signal !== "SIGKILL") reject(new Error(`${error.message}\n${stderr}`));
      else resolve({ screen: stdout, ended: error === null });
    });
  });
}

/** What was shown last is what opens token and console; nothing is half, no secret is left on the medium. */
export async function expectWhole({ places, dir, medium }: Appliance, screens: string): Promise<void> {
  const shown = pinsOn(screens);
  const config = configIn(places);
  if (config === undefined) throw new Error("there is no configuration");
  const pin = readFileSync(places.pin, "utf8");
  expect(shown.filter((one) => one === pin)).toHaveLength(1);
  await using token = await openPkcs11Token(config.token, keptLog());
  expect(await token.find("")).toEqual([]);
  const [operator] = operatorsIn(places) ?? [];
  expect(await checkPin(shown.at(-1) ?? "", operator?.pin ?? "")).toBe(true);
  expect(readdirSync(join(places.token, "tokens"))).toHaveLength(1);
  expect(readFileSync(join(places.pairing, "ab.key"), "hex")).toBe("5".repeat(64));
  expect(existsSync(join(medium, "pairing/ab.key"))).toBe(false);
  expect(readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".new"))).toEqual([]);
  expect(readdirSync(join(medium, "requests")).toSorted()).toEqual(["km-a-kx.csr", "km-a-server.csr"]);
}
