// An application's end of Ak: connects to a key manager and asks it for keys.

import type { AppId, KmId } from "../core/ids.ts";
import type { Log } from "../core/ports.ts";
import { dial } from "../net/dial.ts";
import type { TlsMaterial } from "../net/options.ts";
import { Calls, type SuppliedKey } from "./calls.ts";
import { AK } from "./messages.ts";

export { AkRefusal, type SuppliedKey } from "./calls.ts";

export interface AkClientOptions {
  readonly host: string;
  readonly port: number;
  /** PEM texts: the application's certificate and key, and the trust anchor of key managers. */
  readonly tls: TlsMaterial;
  /** The key manager that is dialled: its certificate has to name it. */
  readonly km: KmId;
  readonly signal?: AbortSignal;
}

/** What 0x2101 asks for; what is left out is the key manager's default. */
export interface WantedKeys {
  readonly destination: AppId;
  readonly count?: number;
  readonly sizeBits?: number;
}

/** What 0x2102 asks for: the keys that `initiator` was supplied with. */
export interface NamedKeys {
  readonly initiator: AppId;
  readonly keyIds: readonly string[];
}

/** Requests may be made at any time; many are under way at once. Dispose ends the connection. */
export interface AkClient extends AsyncDisposable {
  /** The key exchange group of the connection. */
  readonly group: string;
  /** In the order asked; dispose each. @throws AkRefusal; Error when the connection ends first */
  getKeys(wanted: WantedKeys): Promise<readonly SuppliedKey[]>;
  /** In the order asked; dispose each. @throws AkRefusal; Error when the connection ends first */
  getKeysById(named: NamedKeys): Promise<readonly SuppliedKey[]>;
}

/** @throws Refusal when the other end is not that key manager; Error when there is nobody */
export async function connectAk(options: AkClientOptions): Promise<AkClient> {
  const { host, port, tls, km, signal } = options;
  const where = { door: "ak", host, port, tls, kind: "km", expect: km } as const;
  const channel = await dial(
    { ...where, groups: ["X25519MLKEM768", "X25519"], ...(signal === undefined ? {} : { signal }) },
    { log: SILENT, meter: { add: silent } },
  );
  const calls = new Calls(channel);
  return {
    group: channel.group,
    getKeys: ({ destination, count, sizeBits }) =>
      calls.ask(AK.keyRequest.code, {
        application_destination_ID: destination,
        number_of_keys: count,
        size_of_key: sizeBits,
      }),
    getKeysById: ({ initiator, keyIds }) =>
      calls.ask(AK.keyRequestWithId.code, {
        application_source_ID: initiator,
        key_IDs: keyIds.map((keyId) => ({ key_ID: keyId })),
      }),
    async [Symbol.asyncDispose]() {
      channel.close("the application is done");
      await calls.ended;
    },
  };
}

const silent = (): void => {};
const SILENT: Log = { debug: silent, info: silent, warn: silent, error: silent };
