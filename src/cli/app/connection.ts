// An application of a running network, over Ak or ETSI GS QKD 014.

import { readFileSync } from "node:fs";
import { type AkClient, type AkClientOptions, connectAk, type SuppliedKey } from "../../ak/client.ts";
import { appId, kmId } from "../../core/ids.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { type NetworkApp, type NetworkFile, type NetworkKm, named } from "../common/network.ts";
import { etsiClient } from "./etsi-client.ts";

/** How an application gets keys, whatever the door. Whoever gets keys disposes them. */
export interface AppDoor extends AsyncDisposable {
  supply(destination: string, count: number, sizeBits?: number): Promise<readonly SuppliedKey[]>;
  fetch(initiator: string, keyIds: readonly string[]): Promise<readonly SuppliedKey[]>;
}

/** An application with its home KM and its files read. */
export interface Caller {
  readonly app: NetworkApp;
  readonly km: NetworkKm;
  /** PEM texts. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly trust: string };
}

/** @throws CommandError when there is no such application */
export function callerOf(network: NetworkFile, id: string): Caller {
  const app = named(network.apps, id, "application");
  const read = (path: string) => readFileSync(path, "utf8");
  const tls = { certificate: read(app.cert), key: read(app.key), trust: read(network.ca.km_servers) };
  return { app, km: named(network.kms, app.km, "KM"), tls };
}

/** @throws CommandError when nobody listens; Refusal when it is someone else */
export async function openAk(caller: Caller): Promise<AppDoor> {
  const client = await connectApp(caller);
  return {
    supply: (destination, count, sizeBits) =>
      client.getKeys({ destination: appId(destination), count, ...(sizeBits === undefined ? {} : { sizeBits }) }),
    fetch: (initiator, keyIds) => client.getKeysById({ initiator: appId(initiator), keyIds }),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** What a client may be told beside where its KM is. */
export type ClientOptions = Pick<AkClientOptions, "signal" | "accepted" | "onSession" | "onConnection">;

/** @throws CommandError when nobody listens; Refusal when it is someone else */
export async function connectApp({ km, tls }: Caller, options: ClientOptions = {}): Promise<AkClient> {
  try {
    const further = km.members?.map(({ ak }) => ak);
    return await connectAk({ ...km.ak, ...(further && { further }), tls, km: kmId(km.id), ...options });
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED")) throw cause;
    const sentence = `${km.id} does not listen on ${km.ak.host}:${km.ak.port}; is the network still running?`;
    throw new CommandError(EXIT.unavailable, sentence, cause);
  }
}

/** The door ETSI GS QKD 014 for one caller. */
export const openEtsi014 = (caller: Caller): AppDoor => etsiClient(caller);
