// Applications that read key streams (ETSI GS QKD 004) in a network under test.

import { Client, type Dialect } from "../../etsi004/client.ts";
import type { Network } from "./network.ts";

/** A connection of an application to its KM's door. */
export async function connect004(network: Network, app: string, dialect: Dialect): Promise<Client> {
  const { km, tls } = network.app(app);
  const listen = network.km(km.id).config.etsi004?.listen;
  if (listen === undefined) throw new Error(`${km.id} has no [etsi004]`);
  const { certificate: cert, key, trust: ca } = tls;
  return await Client.connect(dialect, { ...listen, cert, key, ca });
}

/** The URI of an application. */
export const uriOf = (network: Network, app: string): string => `qkd://${app}@${network.app(app).km.id}`;
