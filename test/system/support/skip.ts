// What encryptors ask over Cisco SKIP in a network under test.

import { readFileSync } from "node:fs";
import { pskFile } from "../../../src/cli/provision/more-doors.ts";
import { networkPlaces } from "../../../src/cli/provision/plan.ts";
import { asked, routerAsks } from "../../skip/kit.ts";
import type { Network } from "./network.ts";
import type { SaeKey } from "./sae.ts";

/** Sends a request with the certificate of `app`, or with its pre-shared key, and takes the key in the answer. @throws Error with the answer when it has none */
export async function skipKey(network: Network, app: string, path: string, by: "certificate" | "psk"): Promise<SaeKey> {
  const { km, tls } = network.app(app);
  const listen = network.km(km.id).config.skip?.listen;
  if (listen === undefined) throw new Error(`${km.id} has no [skip]`);
  const { certificate: cert, key, trust: ca } = tls;
  const text =
    by === "certificate"
      ? (await asked({ ...listen, path, cert, key, ca, agent: false })).text
      : await routerAsks(listen.port, path, app, pskOf(network, app));
  return keyIn(text.slice(text.indexOf("{")));
}

const pskOf = (network: Network, app: string): string =>
  readFileSync(pskFile(networkPlaces(network.dir).apps, app), "utf8").trim();

function keyIn(text: string): SaeKey {
  const { keyId, key } = JSON.parse(text) as { keyId?: string; key?: string };
  if (keyId === undefined || key === undefined) throw new Error(`no key but ${text}`);
  const id = keyId.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { id, key: Buffer.from(key, "hex") };
}

/** The ID as SKIP spells it. */
export const keyIdOf = (id: string): string => id.replaceAll("-", "");
