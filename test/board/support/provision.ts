// A person brings an appliance to all it needs: certificate requests out, certificates in, over the console.

import type { Appliance } from "./appliance.ts";
import type { Site } from "./site.ts";

const REQUEST = /-----BEGIN CERTIFICATE REQUEST-----[\s\S]*?-----END CERTIFICATE REQUEST-----/g;

/** Somebody is logged in. Gives what the console says of each certificate. */
export async function certify(appliance: Appliance, site: Site): Promise<readonly string[]> {
  await appliance.command("set pager off");
  const requests = await appliance.command("certificate request");
  const said: string[] = [];
  for (const [request] of requests.matchAll(REQUEST)) {
    const certificate = await site.sign(`${request}\n`);
    appliance.console.type("certificate install\r");
    await appliance.console.shows("gives up.\n");
    said.push(await appliance.command(certificate.replaceAll("\n", "\r")));
  }
  return said;
}
