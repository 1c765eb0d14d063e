// UUIDs of KMs, links and applications, made of their IDs: the same at every KM, with nothing to keep (RFC 9562 5.5).

import { createHash } from "node:crypto";

/** The name space of qkm. */
const NAMESPACE = Buffer.from("6a1f4b0e5d0c4f5c9d5e3b7a2c81f094", "hex");

/** UUIDv5 of such a name as `km:km-a`, `link:ab`. */
export function uuidOf(kind: "km" | "link" | "virtual" | "app" | "session", ...ids: readonly string[]): string {
  const name = [kind, ...ids].join("\n");
  const bytes = createHash("sha1").update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
