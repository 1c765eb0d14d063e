// The tags on Kx (key-protocol 2): what a KMA-key's Poly1305 tags are computed over, before its bytes; and comparing them.

import { timingSafeEqual } from "node:crypto";
import { encodeT, strings, u32, u64 } from "../../core/text/encoding.ts";
import type { LinkProtection, LinkRange, RelayOffer } from "../ports/peers.ts";

type Route = Pick<RelayOffer, "keyId" | "source" | "destination" | "transit" | "requestId">;
type Named = Pick<LinkProtection, "link" | "run" | "sequence">;

/** Before bytes 32 … B, keyed with bytes 0–31: proves that both ends of this hop hold the same block. */
export function linkContext({ keyId, source, destination, transit, requestId }: Route, block: Named): Uint8Array {
  const { link, run, sequence } = block;
  return encodeT("qkm link", keyId, source, destination, strings(transit), requestId, link, u64(run), u64(sequence));
}

/** Before the masked key as it travels, keyed with the first 32 bytes of the pad. */
export function otpContext(route: Route, pads: readonly LinkRange[]): Uint8Array {
  const { keyId, source, destination, transit, requestId } = route;
  const segments = pads.map(({ link, run, sequence, offset, length }) => [
    link,
    u64(run),
    u64(sequence),
    u32(offset),
    u32(length),
  ]);
  return encodeT("qkm otp", keyId, source, destination, strings(transit), requestId, { list: segments });
}

/** Before bytes 64 … B, keyed with bytes 32–63: proves that source and destination hold the same KMA-key. */
export function endContext({ keyId, source, destination, requestId }: Omit<Route, "transit">): Uint8Array {
  return encodeT("qkm end", keyId, source, destination, requestId);
}

/** Whether two tags agree, in a time that does not tell where they differ. */
export const areSameTags = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
