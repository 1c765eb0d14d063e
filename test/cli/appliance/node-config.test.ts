// The medium's node.toml: what it may leave out, what is refused, and when it replaces the one before.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { virtX86 } from "../../../boards/virt-x86_64.ts";
import { configIn } from "../../../src/cli/appliance/node-config.ts";
import { makeAppliance, makeProvisioned, NODE_TOML } from "./kit.ts";

describe("the configuration of the medium", () => {
  test("may be no more than an ID: the board and the usual ports are the rest", async () => {
    using appliance = makeAppliance();
    appliance.put("node.toml", '[node]\nid = "km-a"\n');
    await appliance.provision(virtX86);
    const config = configIn(appliance.places);
    const tls = (name: string, trust: string) => ({
      certificate: join(appliance.dir, `tls/${name}.pem`),
      key: join(appliance.dir, `tls/${name}.key`),
      trust: join(appliance.dir, `trust/${trust}.pem`),
    });
    expect(config).toMatchObject({
      node: { id: "km-a", board: "virt-x86_64", controlSocket: "/run/qkm/control.sock" },
      token: { label: "qkm km-a", pinFile: appliance.places.pin, module: virtX86.token.module },
      ak: { listen: { host: "0.0.0.0", port: 4161 }, tls: tls("server", "apps") },
      etsi014: { listen: { host: "0.0.0.0", port: 4014 }, tls: tls("server", "apps") },
      kx: { listen: { host: "0.0.0.0", port: 4163 }, tls: tls("kx", "kms") },
      metrics: { listen: { host: "127.0.0.1", port: 9414 } },
      controller: undefined,
    });
  });

  test("says what differs, and an empty [controller] is a door for controllers", async () => {
    using appliance = makeAppliance();
    appliance.put("node.toml", `${NODE_TOML}[token]\nlabel = "mine"\nepoch_s = 60\n[controller]\n`);
    await appliance.provision();
    const config = configIn(appliance.places);
    expect(config?.token).toMatchObject({ label: "mine", epochMs: 60_000 });
    expect(config?.controller?.listen).toEqual({ host: "0.0.0.0", port: 4164 });
    expect(config?.controller?.tls.trust).toBe(appliance.places.trust("controllers"));
  });

  const BAD = [
    ["no TOML", "[node\n", "node.toml:1: "],
    ["an unknown name", `${NODE_TOML}quota = 1\n`, "node.toml:14: apps[0].quota: this name is not known"],
    ["a table that is none", `ak = 3\n${NODE_TOML.replace(/\[ak]\n.*\n/, "")}`, "node.toml:1: ak: must be a table"],
    ["no ID", "# nothing\n", "node.toml:1: node.id: is missing"],
    ["the home of an app wrong", NODE_TOML.replace('home = "km-a"', 'home = "km-z"'), "node.toml:13: apps[0].home:"],
    ["another board", NODE_TOML.replace("[node]", '[node]\nboard = "moon"'), "node.toml:2: node.board: this appliance"],
  ] as const;
  test.each(BAD)("with %s is refused with file and line, and nothing is made of it", async (_, text, complaint) => {
    using appliance = makeAppliance();
    appliance.put("node.toml", text);
    const { screen, refused, missing } = await appliance.provision();
    expect(screen).toContain(`! ${join(appliance.medium, complaint)}`);
    expect(refused).toBe(1);
    expect(missing.map(({ kind }) => kind)).toEqual(["configuration"]);
    expect(existsSync(appliance.places.candidate)).toBe(false);
    expect(existsSync(appliance.places.config)).toBe(false);
  });

  test("with a private key elsewhere makes no key there", async () => {
    using appliance = makeAppliance();
    const elsewhere = join(appliance.root, "other.key");
    appliance.put("node.toml", NODE_TOML.replace("[kx]", `[kx]\nkey = "${elsewhere}"`));
    const { screen } = await appliance.provision();
    expect(screen).toContain(`! node.toml wants the private key ${elsewhere}`);
    expect(existsSync(elsewhere)).toBe(false);
  });
});

describe("a new version", () => {
  test("replaces the one before, which is kept", async () => {
    using appliance = await makeProvisioned();
    const before = readFileSync(appliance.places.config, "utf8");
    appliance.put("node.toml", NODE_TOML.replace("[node]", '[node]\nlog_level = "debug"'));
    const { screen, missing } = await appliance.provision();
    expect(screen).toContain("the one before is node.toml.before");
    expect(missing).toEqual([]);
    expect(configIn(appliance.places)?.node.logLevel).toBe("debug");
    expect(readFileSync(appliance.places.before, "utf8")).toBe(before);
  });

  test("that stays on the medium does not undo what was changed here since", async () => {
    using appliance = await makeProvisioned();
    appendFileSync(appliance.places.config, "[supply]\nstock_high = 9\n");
    await appliance.provision();
    expect(configIn(appliance.places)?.supply.stockHigh).toBe(9);
  });

  const REFUSED = [
    [
      "lacks a file that a provisioned node has",
      `${NODE_TOML}[[links]]\nid = "ab"\npeer = "km-b"\nport = "/dev/ttyUSB0"\npairing_key_file = "pairing/ab.key"\n[[peers]]\nid = "km-b"\naddress = "192.0.2.8:4163"\n`,
      "node.toml:18: links[0].pairing_key_file: there is no file",
    ],
    [
      "is another node's",
      NODE_TOML.replaceAll("km-a", "km-b"),
      "this appliance is km-a, and the medium's node.toml is for km-b",
    ],
  ] as const;
  test.each(REFUSED)("that %s is refused, and the node goes on as it was", async (_, text, complaint) => {
    using appliance = await makeProvisioned();
    const before = readFileSync(appliance.places.config, "utf8");
    appliance.put("node.toml", text);
    const { screen, missing, refused } = await appliance.provision();
    expect(screen).toContain(complaint);
    expect(refused).toBe(1);
    expect(missing).toEqual([]);
    expect(readFileSync(appliance.places.config, "utf8")).toBe(before);
    expect(existsSync(appliance.places.candidate)).toBe(false);
    expect(existsSync(appliance.places.provisioned)).toBe(true);
  });

  test("mends a configuration here that is wrong", async () => {
    using appliance = await makeProvisioned();
    writeFileSync(appliance.places.config, "[node\n");
    const { missing, screen } = await appliance.provision();
    expect(missing).toEqual([]);
    expect(screen).toContain("node.toml.before");
  });
});
