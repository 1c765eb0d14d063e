// `qkm appliance sign` and `ports`: what is shown, signed, refused, and never overwritten.

import { X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { signRequests } from "../../../../src/cli/appliance/certificates/sign.ts";
import { requestCertificate } from "../../../../src/cli/provision/certificates.ts";
import { qkm } from "../../qkm.ts";
import { type Appliance, makeAppliance, NODE_TOML } from "../kit.ts";

const newKeys = () => crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);

async function withRequests(): Promise<Appliance & { readonly screen: string }> {
  const appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", NODE_TOML);
  const { screen } = await appliance.provision();
  return Object.assign(appliance, { screen });
}

describe("the signing of requests", () => {
  test("shows what is in each, signs it when told so, and overwrites nothing", async () => {
    using appliance = await withRequests();
    const { ca, medium, screen } = appliance;
    const request = join(medium, "requests/km-a-kx.csr");
    const out = join(medium, "certificates");
    const unasked = await qkm("appliance", "sign", "--ca", ca, "--out", out, request);
    expect(unasked.code).toBe(64);
    expect(unasked.stderr).toContain("--yes");

    const done = await qkm("appliance", "sign", "--ca", ca, "--out", out, "--yes", request);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    for (const shown of ["urn:qkm:km:km-a", "server and client"]) expect(done.stdout).toContain(shown);
    const [fingerprint = "none"] = /SHA-256 [0-9a-f]{64}/.exec(done.stdout) ?? [];
    expect(screen).toContain(fingerprint);
    const certificate = new X509Certificate(readFileSync(join(out, "km-a-kx.pem")));
    expect(certificate.checkIssued(new X509Certificate(readFileSync(join(ca, "kms.pem"))))).toBe(true);

    const again = await qkm("appliance", "sign", "--ca", ca, "--out", out, "--yes", request);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("is there already");
  });

  test("gives each kind to the authority that its door trusts", async () => {
    using appliance = await withRequests();
    const say: string[] = [];
    const make = async (uri: string, usages: readonly ("server" | "client")[], file: string) => {
      appliance.put(`requests/${file}`, await requestCertificate(await newKeys(), { uri, usages }));
      return join(appliance.medium, "requests", file);
    };
    const files = [
      await make("urn:qkm:app:app:1", ["client"], "a.csr"),
      await make("urn:qkm:controller:ctl", ["client"], "b.csr"),
      await make("urn:qkm:km:km-z", ["server"], "c.csr"),
    ];
    const out = join(appliance.root, "out");
    await signRequests(files, { ca: appliance.ca, out, yes: true }, (line) => say.push(line));
    expect(say.filter((line) => line.includes("by the authority"))).toEqual([
      "app-1.pem, by the authority apps:",
      "ctl.pem, by the authority controllers:",
      "km-z-server.pem, by the authority km_servers:",
    ]);
    expect(readdirSync(out).toSorted()).toEqual(["app-1.pem", "ctl.pem", "km-z-server.pem"]);
  });

  test("signs none of several when one is wrong, and makes no authority", async () => {
    using appliance = await withRequests();
    const right = join(appliance.medium, "requests/km-a-kx.csr");
    const pem = readFileSync(right, "utf8");
    const bad = async (text: string) => {
      const file = join(appliance.root, "bad.csr");
      writeFileSync(file, text);
      const out = join(appliance.root, "out");
      mkdirSync(out, { recursive: true });
      const refusal = await signRequests([right, file], { ca: appliance.ca, out, yes: true }, () => {}).catch(String);
      expect(readdirSync(out)).toEqual([]);
      return refusal;
    };
    expect(await bad("no request")).toContain("is no certificate request");
    const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
    const at = der.indexOf("urn:qkm:km:km-a");
    der.write("urn:qkm:km:km-b", at);
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(await bad(forged)).toContain("is not signed by its own key");
    const nameless = await requestCertificate(await newKeys(), { uri: "https://example", usages: ["client"] });
    expect(await bad(nameless)).toContain("asks for https://example, not one urn:qkm:<kind>:<id>");
    const useless = await requestCertificate(await newKeys(), { uri: "urn:qkm:km:km-b", usages: [] });
    expect(await bad(useless)).toContain("asks for no use");
    const nowhere = { ca: join(appliance.root, "none"), out: appliance.root, yes: true } as const;
    await expect(signRequests([right], nowhere, () => {})).rejects.toThrow("has no authority kms");
  });
});

describe("the ports of a node", () => {
  const TOML = '[node]\nid = "km-a"\n[ak]\nlisten = "0.0.0.0:5000"\n[etsi014]\nlisten = "[::]:443"\n[controller]\n';

  test("are those that others can reach, in order, each once", async () => {
    using appliance = makeAppliance();
    appliance.put("node.toml", TOML);
    await appliance.provision();
    const { code, stdout } = await qkm("appliance", "ports", "--config", appliance.places.config);
    expect(code).toBe(0);
    expect(stdout).toBe("443\n4163\n4164\n5000\n");
  });

  test("are none without a configuration, and the code says why", async () => {
    using appliance = makeAppliance();
    expect((await qkm("appliance", "ports", "--config", appliance.places.config)).code).toBe(69);
    appliance.put("node.toml", "[node]\n");
    expect((await qkm("appliance", "ports", "--config", join(appliance.medium, "node.toml"))).code).toBe(78);
  });
});
