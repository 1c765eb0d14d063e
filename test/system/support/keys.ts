// Keys on demand over either door, copied out of their secrets, for tests that compare them.

import type { AkClient } from "../../../src/ak/client.ts";
import { appId } from "../../../src/core/ids.ts";
import { parseKeyId } from "../../../src/keys/common/key-id.ts";
import type { SupplyRequest } from "../../../src/keys/ports/keys.ts";
import type { SaeKey } from "./sae.ts";

/** New keys over Ak, by default one of the KM's default size. @throws AkRefusal, Error */
export async function akSupply(
  client: AkClient,
  destination: string,
  count?: number,
  sizeBits?: number,
  options: Pick<SupplyRequest, "only"> = {},
) {
  const wanted = {
    destination: appId(destination),
    ...(count && { count }),
    ...(sizeBits && { sizeBits }),
    ...options,
  };
  return copies(await client.getKeys(wanted));
}

/** Keys by their IDs over Ak. @throws AkRefusal, Error */
export async function akFetch(client: AkClient, initiator: string, keyIds: readonly string[]): Promise<SaeKey[]> {
  return copies(await client.getKeysById({ initiator: appId(initiator), keyIds }));
}

const copies = (supplied: Awaited<ReturnType<AkClient["getKeys"]>>): SaeKey[] =>
  supplied.map((one) => {
    using key = one;
    return { id: key.keyId, key: key.key.lend((bytes) => Buffer.from(bytes)) };
  });

export const idsOf = (keys: readonly SaeKey[]): string[] => keys.map(({ id }) => id);

/** Which KMA-key a key was carved out of, and where. @throws Error when the ID is none of ours */
export function placeOf(keyId: string): { readonly serial: number; readonly offset: number; readonly length: number } {
  const parts = parseKeyId(keyId);
  if (parts === undefined) throw new Error(`${keyId} is no key ID`);
  return parts;
}
