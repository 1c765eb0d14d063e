// What a client that is refused sees: the distribution's openssl names the alert, or prints the door's words where TLS 1.2 has none left.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Credentials, forIdentity } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { hasOpenssl, openSkip, opensslAsks, type Papers, PSK, papers } from "./kit.ts";

let net: Papers;
let dir: string;
beforeAll(async () => {
  net = await papers();
  dir = mkdtempSync(join(tmpdir(), "qkm-refusals-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const URIS = ["urn:qkm:app:app-a1"];
const WHO: Readonly<Record<string, () => Promise<Credentials | undefined>>> = {
  "no certificate": async () => undefined,
  "one of another authority": () => net.servers.issue({ uris: URIS }),
  "one that has expired": () => net.apps.issue({ uris: URIS, untilMs: -1 }),
  "one of nobody here": () => forIdentity(net.apps, "app", "app-x9"),
  "one without an identity": () => net.apps.issue({}),
  "one whose home is another key manager": () => forIdentity(net.apps, "app", "app-c1"),
};

async function certificateOf(who: string): Promise<readonly string[]> {
  const made = await WHO[who]?.();
  if (made === undefined) return [];
  const [cert, key] = [join(dir, "client.pem"), join(dir, "client.key")];
  writeFileSync(cert, made.certificate);
  writeFileSync(key, made.key);
  return ["-cert", cert, "-key", key];
}

describe.skipIf(!hasOpenssl)("openssl s_client", () => {
  it.each([
    ["no certificate", 116, "no_certificate"],
    ["one of another authority", 48, "unknown_ca"],
    ["one that has expired", 45, "expired"],
    ["one of nobody here", 49, "not_admitted"],
    ["one without an identity", 46, "identity"],
  ])("RFC 8446 6.2: with %s sees the alert %i", async (who, alert, reason) => {
    await using skip = await openSkip(net);
    const said = await opensslAsks(skip.server.port, ["-tls1_3", ...(await certificateOf(who))]);
    expect(said).toContain(`SSL alert number ${alert}`);
    expect(said).not.toContain("HTTP/1.1");
    expect(skip.told.count("connections_refused", { door: "skip", reason })).toBe(1);
  });

  it.each([
    ["no certificate", "sent no certificate"],
    ["one of another authority", "not signed by the trust anchor"],
    ["one that has expired", "has expired"],
    ["one of nobody here", "not admitted here"],
    ["one without an identity", "exactly one identity"],
  ])("over TLS 1.2, with %s, is told why by the door, which does nothing that it asks", async (who, why) => {
    await using skip = await openSkip(net, { minTls: "1.2" });
    const args = ["-tls1_2", ...(await certificateOf(who))];
    const said = await opensslAsks(skip.server.port, args, "/key?remoteSystemID=km-b");
    expect(said).toContain("HTTP/1.1 401 ");
    expect(said).toContain(why);
    expect([skip.door.asked, skip.told.count("connections_refused", { door: "skip" })]).toEqual([[], 1]);
    await until("the door has let it go", () => skip.server.connections === 0);
  });

  it.each(["1.2", "1.3"] as const)("at a key manager that is not its home is told so, over TLS %s", async (version) => {
    await using skip = await openSkip(net, { minTls: "1.2" });
    const own = await certificateOf("one whose home is another key manager");
    const args = [version === "1.2" ? "-tls1_2" : "-tls1_3", ...own];
    const said = await opensslAsks(skip.server.port, args, "/key?remoteSystemID=km-b");
    expect(said).toMatch(/^HTTP\/1\.1 401 /m);
    expect(skip.door.asked).toEqual([]);
  });

  it.each([
    ["an unknown identity", "router 2", PSK, 115, "psk"],
    ["an identity whose application is not at home here", "router 9", PSK, 115, "not_admitted"],
    ["another key", "router 1", PSK.replace("0", "1"), 20, "handshake"],
  ])("with a pre-shared key and %s sees an alert", async (_, identity, psk, alert, reason) => {
    await using skip = await openSkip(net);
    const said = await opensslAsks(skip.server.port, ["-tls1_2", "-psk_identity", identity, "-psk", psk]);
    expect(said).toContain(`SSL alert number ${alert}`);
    expect(said).not.toContain("HTTP/1.1");
    await until("it is refused", () => skip.told.count("connections_refused", { door: "skip", reason }) === 1);
  });
});
