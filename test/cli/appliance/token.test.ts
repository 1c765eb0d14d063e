// The token is made once, whole, with the PIN of the medium or a new one.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { host } from "../../../boards/host.ts";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { configIn } from "../../../src/cli/appliance/node-config.ts";
import { keptLog } from "../../support/softhsm.ts";
import { type Appliance, makeAppliance, NODE_TOML, pinsOn } from "./kit.ts";

const STORED = { ...host, token: { module: host.token.module, softhsm: false } };

function withConfig(): Appliance {
  const appliance = makeAppliance();
  appliance.put("node.toml", NODE_TOML);
  appliance.put("operators.toml", '[[operators]]\nname = "a"\nrole = "operator"\npin = "123456"\n');
  return appliance;
}

/** @throws Fault when the PIN kept is not the token's */
async function logIn({ places }: Appliance): Promise<void> {
  const config = configIn(places);
  if (config === undefined) throw new Error("there is no configuration");
  await using token = await openPkcs11Token(config.token, keptLog());
  await token.find("");
}

describe("the token", () => {
  test("gets the PIN of the medium, which is removed there and shown nowhere", async () => {
    using appliance = withConfig();
    appliance.put("pin", "one-Two.3\r\n");
    const { screen } = await appliance.provision();
    expect(readFileSync(appliance.places.pin, "utf8")).toBe("one-Two.3");
    expect(existsSync(join(appliance.medium, "pin"))).toBe(false);
    expect(screen).not.toContain("one-Two.3");
    expect(pinsOn(screen)).toEqual([]);
    await logIn(appliance);
  });

  test.each(["", "12345", "two words", "x".repeat(65)])("is not made with the PIN %j", async (pin) => {
    using appliance = withConfig();
    appliance.put("pin", pin);
    const { screen, missing } = await appliance.provision();
    expect(screen).toContain('! the medium\'s file "pin" is no PIN');
    expect(missing.map(({ kind }) => kind)).toContain("token");
    expect(existsSync(appliance.places.token)).toBe(false);
    appliance.put("pin", "123456");
    await appliance.provision();
    await logIn(appliance);
  });

  test("keeps its PIN when the medium has another one later", async () => {
    using appliance = withConfig();
    await appliance.provision();
    const pin = readFileSync(appliance.places.pin, "utf8");
    appliance.put("pin", "999999999");
    const { screen, refused } = await appliance.provision();
    expect(refused).toBe(1);
    expect(screen).toContain("! the medium's PIN is not that of the token");
    expect(readFileSync(appliance.places.pin, "utf8")).toBe(pin);
  });

  test("whose PIN file was lost takes it from the medium", async () => {
    using appliance = withConfig();
    await appliance.provision();
    const pin = readFileSync(appliance.places.pin, "utf8");
    rmSync(appliance.places.pin);
    const without = await appliance.provision();
    expect(without.missing.map(({ sentence }) => sentence)).toContain(
      'the PIN of the token "qkm km-a": file "pin" on the medium',
    );
    appliance.put("pin", pin);
    await appliance.provision();
    await logIn(appliance);
  });

  test("that was being made when the power went is made anew", async () => {
    using appliance = withConfig();
    const half = `${appliance.places.token}.new/tokens/0e1c`;
    mkdirSync(half, { recursive: true });
    writeFileSync(join(half, "token.object"), "half");
    writeFileSync(appliance.places.pin, "of the token that never was", { mode: 0o600 });
    const { screen } = await appliance.provision();
    expect(pinsOn(screen)).toEqual([readFileSync(appliance.places.pin, "utf8")]);
    expect(readdirSync(join(appliance.places.token, "tokens"))).toHaveLength(1);
    expect(existsSync(`${appliance.places.token}.new`)).toBe(false);
    await logIn(appliance);
  });

  test("that is gone is not made anew while its key store is there", async () => {
    using appliance = withConfig();
    await appliance.provision();
    rmSync(appliance.places.token, { recursive: true });
    mkdirSync(join(appliance.dir, "store"));
    const { screen, missing } = await appliance.provision();
    expect(screen).toContain('! the token "qkm km-a" is gone, but the key store that it opens is there');
    expect(missing.map(({ kind }) => kind)).toContain("token");
    rmSync(join(appliance.dir, "store"), { recursive: true });
    await appliance.provision();
    await logIn(appliance);
  });
});

describe("a token that is not the node's own", () => {
  test("because SoftHSM keeps it elsewhere is not made, and SoftHSM's file there is left as it is", async () => {
    using appliance = withConfig();
    const conf = join(appliance.root, "softhsm2.conf");
    writeFileSync(conf, "directories.tokendir = /nowhere\n");
    appliance.put("node.toml", `${NODE_TOML}[token]\nsofthsm_conf = "${conf}"\n`);
    appliance.put("pin", "123456");
    const { missing, refused } = await appliance.provision();
    expect(refused).toBe(0);
    expect(missing.map(({ kind }) => kind)).not.toContain("token");
    expect(readFileSync(conf, "utf8")).toBe("directories.tokendir = /nowhere\n");
    expect(readFileSync(appliance.places.pin, "utf8")).toBe("123456");
    expect(existsSync(appliance.places.token)).toBe(false);
  });

  test("because it is a device's is left to its maker's tools; its PIN comes from the medium and may be replaced", async () => {
    using appliance = withConfig();
    const first = await appliance.provision(STORED);
    expect(first.missing.map(({ sentence }) => sentence)).toContain(
      'the PIN of the token "qkm km-a": file "pin" on the medium',
    );
    expect(existsSync(appliance.places.token)).toBe(false);
    for (const pin of ["123456", "654321"]) {
      appliance.put("pin", pin);
      const { missing } = await appliance.provision(STORED);
      expect(missing.map(({ kind }) => kind)).not.toContain("token");
      expect(readFileSync(appliance.places.pin, "utf8")).toBe(pin);
    }
  });
});
