// First boot from beginning to end, on a real SoftHSM token, and what a second run does.

import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { host } from "../../../boards/host.ts";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { requestsOf } from "../../../src/cli/appliance/certificates/identities.ts";
import { completeConfig, configIn } from "../../../src/cli/appliance/node-config.ts";
import { operatorsIn } from "../../../src/cli/appliance/operators.ts";
import { provisionAppliance } from "../../../src/cli/appliance/provision.ts";
import { checkPin } from "../../../src/core/pin-hash.ts";
import { keptLog } from "../../support/softhsm.ts";
import { qkm, start } from "../qkm.ts";
import { makeAppliance, makeProvisioned, NODE_TOML, OPERATORS_TOML, pinsOn, snapshot } from "./kit.ts";

const CONFIGURATION = "node.toml, on a config medium";

describe("without a config medium", () => {
  test("it says what to bring, and shows the PIN of one operator once", async () => {
    using appliance = makeAppliance();
    const { screen, missing, refused } = await appliance.provision();
    expect(missing.map(({ sentence }) => sentence)).toEqual([CONFIGURATION]);
    expect(refused).toBe(0);
    expect(screen).toContain("FAT volume labelled QKM-CONFIG");
    const [pin = "", ...others] = pinsOn(screen);
    expect(others).toEqual([]);
    expect(pin).toMatch(/^\d{10}$/);
    const [operator] = operatorsIn(appliance.places) ?? [];
    expect(operator).toMatchObject({ name: "operator", role: "operator" });
    expect(await checkPin(pin, operator?.pin ?? "")).toBe(true);

    const before = snapshot(appliance.dir);
    expect(pinsOn((await appliance.provision()).screen)).toEqual([]);
    expect(snapshot(appliance.dir)).toEqual(before);
    expect(existsSync(appliance.places.provisioned)).toBe(false);
  });

  test("the command ends with 0, also when the medium's folder is not there", async () => {
    using appliance = makeAppliance();
    const place = ["--board", "host", "--dir", appliance.dir];
    const first = await qkm("appliance", "provision", ...place, "--medium", join(appliance.root, "none"));
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toContain(CONFIGURATION);
    expect((await qkm("appliance", "provision", ...place)).code).toBe(0);
    expect((await qkm("appliance", "provision", "--board", "moon", "--dir", appliance.dir)).code).toBe(64);
  });
});

describe("with a config medium", () => {
  test("it makes token, keys and requests, then takes the certificates, and is provisioned", async () => {
    using appliance = makeAppliance();
    const { places, medium } = appliance;
    await appliance.putTrust();
    appliance.put("node.toml", NODE_TOML);
    appliance.put("operators.toml", OPERATORS_TOML);
    appliance.put("hosts", "\uFEFF192.0.2.7\r\n# by name:\r\nkm-a.example\r\n2001:db8:0::7\r\n");
    const first = await appliance.provision();
    expect(first.refused).toBe(0);
    expect(first.missing.map(({ kind }) => kind)).toEqual(["certificate", "certificate"]);
    expect(existsSync(join(medium, "operators.toml"))).toBe(false);
    for (const file of [places.pin, places.soPin, places.server.key, places.kx.key, places.operators]) {
      expect(statSync(file).mode & 0o077).toBe(0);
    }
    expect(pinsOn(first.screen)).toEqual([readFileSync(places.pin, "utf8")]);
    const config = configIn(places);
    expect(config?.token.label).toBe("qkm km-a");
    if (config !== undefined) {
      await using token = await openPkcs11Token(config.token, keptLog());
      expect(await token.find("")).toEqual([]);
    }

    const requests = await requestsOf(appliance.dir);
    expect(requests.map(({ name, content }) => [name, content.uri, content.usages, content.hosts])).toEqual([
      ["server", "urn:qkm:km:km-a", ["server"], ["192.0.2.7", "km-a.example", "2001:db8::7"]],
      ["kx", "urn:qkm:km:km-a", ["server", "client"], []],
    ]);
    for (const { name, pem } of requests) {
      expect(readFileSync(join(medium, `requests/km-a-${name}.csr`), "utf8")).toBe(pem);
    }

    await appliance.sign();
    const second = await appliance.provision();
    expect(second.missing).toEqual([]);
    expect(second.screen).toContain("KM km-a is provisioned.");
    expect(statSync(places.provisioned).size).toBe(0);
    expect(completeConfig(places.config).node.id).toBe("km-a");
  });

  test("run again it changes nothing, here or on the medium", async () => {
    using appliance = await makeProvisioned();
    const before = [...snapshot(appliance.dir), ...snapshot(appliance.medium)];
    const { screen, refused } = await appliance.provision();
    expect(refused).toBe(0);
    expect(screen.split("\n")).toEqual([`  config medium at ${appliance.medium}`, "KM km-a is provisioned."]);
    expect([...snapshot(appliance.dir), ...snapshot(appliance.medium)]).toEqual(before);
  });

  test("the key manager runs with what was made", async () => {
    using appliance = await makeProvisioned();
    const km = start("run", appliance.places.config);
    let log = "";
    km.stderr.on("data", (chunk) => (log += chunk));
    const ended = new Promise((resolve) => km.once("exit", resolve));
    const ready = new Promise((resolve) => createInterface({ input: km.stdout }).once("line", resolve));
    try {
      expect(await Promise.race([ready, ended.then(() => log)])).toBe("ready");
    } finally {
      km.kill("SIGTERM");
      await ended;
    }
  });

  test("what is missing later takes the mark away until it is back", async () => {
    using appliance = await makeProvisioned();
    const { places } = appliance;
    const anchor = readFileSync(places.trust("kms"), "utf8");
    rmSync(places.trust("kms"));
    rmSync(join(appliance.medium, "trust/kms.pem"));
    const without = await appliance.provision();
    expect(without.missing.map(({ sentence }) => sentence)).toEqual(["trust anchor trust/kms.pem"]);
    expect(existsSync(places.provisioned)).toBe(false);
    appliance.put("trust/kms.pem", anchor);
    expect((await appliance.provision()).missing).toEqual([]);
    expect(existsSync(places.provisioned)).toBe(true);
  });

  test("one bad file of the medium is refused with what to do, and spoils no other", async () => {
    using appliance = makeAppliance();
    await appliance.putTrust();
    appliance.put("trust/friends.pem", "");
    appliance.put("trust/apps.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    appliance.put("hosts", "not a host\n");
    appliance.put("pairing/ab.key", "short");
    appliance.put("node.toml", NODE_TOML);
    const { screen, refused } = await appliance.provision();
    expect(refused).toBe(4);
    expect(screen).toContain("! the medium's trust/friends.pem is not one of km_servers.pem, apps.pem, kms.pem");
    expect(screen).toContain("! the medium's trust/apps.pem has a certificate that cannot be read");
    expect(screen).toContain('! the medium\'s "hosts" has "not a host"');
    expect(screen).toContain("! a pairing key file has 32 bytes");
    expect(existsSync(appliance.places.trust("kms"))).toBe(true);
    expect(existsSync(appliance.places.server.key)).toBe(true);
    const place = ["--board", "host", "--dir", appliance.dir, "--medium", appliance.medium];
    expect((await qkm("appliance", "provision", ...place)).code).toBe(1);
  });

  test("a pairing key is taken and removed, and a new one replaces it", async () => {
    using appliance = makeAppliance();
    const kept = join(appliance.places.pairing, "ab.key");
    for (const digit of ["5", "7"]) {
      appliance.put("pairing/ab.key", `${digit.repeat(64)}\n`);
      await appliance.provision();
      expect(readFileSync(kept, "hex")).toBe(digit.repeat(64));
      expect(existsSync(join(appliance.medium, "pairing/ab.key"))).toBe(false);
    }
    expect(statSync(kept).mode & 0o077).toBe(0);
  });
});

test("a screen that takes no line stops no node, but no PIN is used that nobody saw", async () => {
  using appliance = makeAppliance();
  appliance.put("node.toml", NODE_TOML);
  const gone = () => {
    throw Object.assign(new Error("write EIO"), { syscall: "write" });
  };
  const { refused, missing } = await provisionAppliance(appliance.dir, host, appliance.medium, gone);
  expect(refused).toBe(2);
  expect(missing.map(({ kind }) => kind)).toContain("token");
  expect(existsSync(appliance.places.pin)).toBe(false);
  expect(existsSync(appliance.places.operators)).toBe(false);
  expect(existsSync(appliance.places.server.key)).toBe(true);
  const { screen } = await appliance.provision();
  expect(pinsOn(screen)).toHaveLength(2);
});
