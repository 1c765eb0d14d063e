// Whether seals of an audit log were made by a token's key.

import { macMessage, type Seal } from "./format.ts";

/** Whether each of the seals has the MAC that `mac` makes. @throws what `mac` throws */
export async function checkSeals(
  km: string,
  mac: (message: Uint8Array) => Promise<Uint8Array>,
  seals: readonly Pick<Seal, "hash" | "mac">[],
): Promise<boolean[]> {
  const checked: boolean[] = [];
  for (const seal of seals)
    checked.push(Buffer.from(await mac(macMessage(km, Buffer.from(seal.hash, "hex")))).toString("hex") === seal.mac);
  return checked;
}
