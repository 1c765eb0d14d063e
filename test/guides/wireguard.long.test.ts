// docs/guides/wireguard.md: a WireGuard tunnel whose pre-shared key comes from two key managers, and changes while it is up.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../system/support/eventually.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { PAIR } from "../system/support/plan.ts";
import { Gateways, type Site, whyNoGateways } from "./support/gateways.ts";
import { guideFile, type Ran, run } from "./support/guide.ts";

const FILES = ["/usr/bin/wg", "/usr/bin/wireguard-go", "/usr/bin/curl"];
const why = whyNoGateways(["wireguard-tools", "wireguard-go", "curl"], FILES);
/** One for each, for all namespaces see the same sockets. */
const DEVICES = { a: `wga${process.pid}`, b: `wgb${process.pid}` } as const;

/** A network of key managers and two gateways begin and end, on a machine that does much else. */
const SETUP_MS = 300_000;

describe.skipIf(why !== undefined)(
  `two ends of a WireGuard tunnel${why === undefined ? "" : ` (left out: ${why})`}`,
  () => {
    let network: Network;
    let gateways: Gateways;

    const psk = (site: Site, ...args: readonly string[]): Promise<Ran> =>
      run(guideFile("wireguard/qkm-wg-psk"), args, { env: { ...process.env, QKM_WG_ENV: gateways.path(site, "env") } });
    /** Its device is asked over a socket, which is seen from here; so are the key managers. */
    const wg = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await run("wg", args);
      expect([code, stderr]).toEqual([0, ""]);
      return stdout.trim();
    };
    const pskOf = async (site: Site): Promise<string> =>
      (await wg("show", DEVICES[site], "preshared-keys")).split("\t")[1] ?? "";

    beforeAll(async () => {
      network = await startNetwork(PAIR);
      await network.stocked();
      gateways = new Gateways();
      const keys = { a: await wg("genkey"), b: await wg("genkey") };
      const ends = [
        ["a", "b", "app-a1", "app-b1"],
        ["b", "a", "app-b1", "app-a1"],
      ] as const;
      const publicKeys = new Map<Site, string>();
      for (const [site] of ends) {
        gateways.start(site, "wg.log", ["/usr/bin/wireguard-go", "-f", DEVICES[site]]);
        const key = gateways.write(site, "key", keys[site]);
        await eventually("the device is there", async () => (await run("wg", ["show", DEVICES[site]])).code === 0);
        await wg("set", DEVICES[site], "listen-port", "51820", "private-key", key);
        publicKeys.set(site, await wg("show", DEVICES[site], "public-key"));
      }
      const get = `env QKM_WG_ENV=${gateways.path("b", "env")} ${guideFile("wireguard/qkm-wg-psk")} get`;
      for (const [site, other, own, peer] of ends) {
        const theirs = publicKeys.get(other) ?? "";
        await wg("set", DEVICES[site], "peer", theirs, ...gateways.endpoint(site, 51820));
        await gateways.run(site, "ip", "link", "set", DEVICES[site], "up");
        gateways.route(site, "dev", DEVICES[site]);
        const lines = [
          ...gateways.keyManager(site, network.app(own), network.app(peer)),
          `DEVICE=${DEVICES[site]}`,
          `PEER='${theirs}'`,
          ...(site === "a" ? [`TELL="${get}"`] : []),
        ];
        gateways.write(site, "env", `${lines.join("\n")}\n`);
      }
      gateways.listen();
    }, SETUP_MS);
    afterAll(async () => {
      await gateways?.[Symbol.asyncDispose]();
      await network?.[Symbol.asyncDispose]();
    }, SETUP_MS);

    test("have the same key of the key managers, another each time, and traffic passes", async () => {
      await eventually("the tunnel carries traffic", () => gateways.reaches());
      const seen = new Set<string>();
      for (let round = 0; round < 3; round++) {
        const { code, stdout, stderr } = await psk("a", "new");
        expect([code, stderr, stdout]).toEqual([0, "", expect.stringMatching(/^new pre-shared key .{36}\n$/)]);
        expect(await pskOf("a")).toBe(await pskOf("b"));
        seen.add(await pskOf("a"));
        await eventually("the tunnel carries traffic", () => gateways.reaches());
      }
      expect(seen.size).toBe(3);
    });
  },
);
