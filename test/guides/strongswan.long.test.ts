// docs/guides/strongswan-ppk.md: two stock strongSwan gateways build their tunnel with keys of two key managers.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../system/support/eventually.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { Gateways, type Site, whyNoGateways } from "./support/gateways.ts";
import { guideFile, type Ran, run } from "./support/guide.ts";

const PACKAGES = [
  "charon-systemd",
  "strongswan-swanctl",
  "libstrongswan-standard-plugins",
  "libcharon-extra-plugins",
  "curl",
];
const PLUGINS = "/usr/lib/ipsec/plugins/libstrongswan-";
const FILES = [
  "/usr/sbin/charon-systemd",
  "/usr/sbin/swanctl",
  `${PLUGINS}openssl.so`,
  `${PLUGINS}kernel-libipsec.so`,
  "/usr/bin/curl",
];
const why = whyNoGateways(PACKAGES, FILES);

/** strongSwan's own ESP, for not every kernel has it. */
const LOADED =
  "random nonce openssl pem pkcs1 pkcs8 x509 pubkey kdf hmac aes sha2 kernel-libipsec kernel-netlink socket-default vici updown";

/** A network of key managers and two gateways begin and end, on a machine that does much else. */
const SETUP_MS = 300_000;

describe.skipIf(why !== undefined)(`two strongSwan gateways${why === undefined ? "" : ` (left out: ${why})`}`, () => {
  let network: Network;
  let gateways: Gateways;

  const socket = (site: Site): string => `unix://${gateways.path(site, "vici")}`;
  const swanctl = (site: Site, ...args: readonly string[]): Promise<Ran> =>
    run("swanctl", [...args, "--uri", socket(site)], {
      env: { ...process.env, STRONGSWAN_CONF: gateways.path(site, "strongswan.conf") },
    });
  const ppk = (site: Site, ...args: readonly string[]): Promise<Ran> =>
    run(guideFile("strongswan/qkm-ppk"), args, { env: { ...process.env, QKM_PPK_ENV: gateways.path(site, "env") } });
  const tunnels = async (site: Site): Promise<readonly string[]> => {
    const { stdout } = await swanctl(site, "--list-sas");
    return stdout.split("\n").filter((line) => line.startsWith("sites: ") && line.includes("ESTABLISHED"));
  };
  const logOf = (site: Site): string => readFileSync(gateways.path(site, "charon.log"), "utf8");

  const prepare = (site: Site, own: string, other: string, more: readonly string[]): void => {
    const dir = gateways.path(site, "ppk");
    const conf = readFileSync(guideFile(`strongswan/gateway-${site}.conf`), "utf8").replaceAll("/run/qkm-ppk", dir);
    const lines = [
      ...gateways.keyManager(site, network.app(own), network.app(other)),
      ...["CONNECTION=sites", "CHILD=net", `DIR=${dir}`, `FILE=${gateways.write(site, "swanctl.conf", conf)}`],
      `URI=${socket(site)}`,
      ...more,
    ];
    gateways.write(site, "env", `${lines.join("\n")}\n`);
    const log = `filelog { all { path = ${gateways.path(site, "charon.log")}\n default = 1\n cfg = 2\n flush_line = yes } }`;
    const plugins = `plugins { vici { socket = ${socket(site)} } }`;
    const charon = gateways.write(
      site,
      "strongswan.conf",
      `charon-systemd {\n load = ${LOADED}\n ${plugins}\n ${log}\n}\nswanctl { load = random openssl pem pkcs1 pkcs8 x509 pubkey }\n`,
    );
    gateways.start(site, "charon.out", ["/usr/sbin/charon-systemd"], { STRONGSWAN_CONF: charon });
  };

  beforeAll(async () => {
    network = await startNetwork(PAIR);
    await network.stocked();
    gateways = new Gateways();
    prepare("b", "app-b1", "app-a1", []);
    const get = `env QKM_PPK_ENV=${gateways.path("b", "env")} ${guideFile("strongswan/qkm-ppk")} get`;
    prepare("a", "app-a1", "app-b1", [`TELL="${get}"`]);
    gateways.listen();
    for (const site of ["a", "b"] as const) {
      await eventually(`charon of ${site} answers`, async () => (await swanctl(site, "--stats")).code === 0);
    }
  }, SETUP_MS);
  afterAll(async () => {
    await gateways?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
  }, SETUP_MS);

  const renewed = async (): Promise<string> => {
    const { code, stdout, stderr } = await ppk("a", "new");
    expect([code, stderr]).toEqual([0, ""]);
    const id = /^new PPK (.{36})\n$/.exec(stdout)?.[1] ?? "";
    await eventually("both have one tunnel", async () => {
      const both = [await tunnels("a"), await tunnels("b")];
      return both.every(({ length }) => length === 1);
    });
    for (const site of ["a", "b"] as const) expect(logOf(site)).toContain(`using PPK for PPK_ID '${id}'`);
    return id;
  };

  test("build a tunnel whose keys hold a PPK of the key managers, and traffic passes", async () => {
    await renewed();
    expect((await swanctl("a", "--list-sas")).stdout).toMatch(/\/PPK$/m);
    await eventually("the tunnel carries traffic", () => gateways.reaches());
    const { stdout } = await swanctl("b", "--list-sas");
    expect(stdout).toMatch(/^ +in +[0-9a-f]+, +[1-9][0-9]* bytes/m);
  });

  test("make it anew with another key, and traffic goes on", async () => {
    const [first, second] = [await renewed(), await renewed()];
    expect(second).not.toBe(first);
    await eventually("the tunnel carries traffic", () => gateways.reaches());
  });

  test("keep the old one when no key can be had, or the other end does not take it", async () => {
    const [before] = await tunnels("a");
    const refused = await ppk("b", "get", "00000000-0000-8000-8000-000000000000");
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("no key")]);
    const env = readFileSync(gateways.path("a", "env"), "utf8");
    gateways.write("a", "env", `${env}TELL=false\n`);
    expect((await ppk("a", "new")).code).toBe(1);
    gateways.write("a", "env", env);
    expect((await tunnels("a"))[0]?.slice(0, 20)).toBe(before?.slice(0, 20));
    await eventually("the tunnel carries traffic", () => gateways.reaches());
  });

  test("build none with a PPK that is another", async () => {
    const id = await renewed();
    const path = gateways.path("a", "ppk", "secrets.conf");
    const wrong = readFileSync(path, "utf8").replaceAll(/0s[A-Za-z0-9+/]{8}/g, "0sAAAAAAAA");
    gateways.write("a", "ppk/secrets.conf", wrong);
    await swanctl("a", "--load-all", "--clear", "--noprompt", "--file", gateways.path("a", "swanctl.conf"));
    expect((await swanctl("a", "--terminate", "--ike", "sites")).code).toBe(0);
    expect((await swanctl("a", "--initiate", "--child", "net")).code).not.toBe(0);
    expect(logOf("a")).toContain(`using PPK for PPK_ID '${id}'`);
    expect(await tunnels("a")).toEqual([]);
  });
});
