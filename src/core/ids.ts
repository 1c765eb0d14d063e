// The names of the network's parts: key managers, links, applications.

import { Fault } from "./fault.ts";

/** What an ID looks like: 1 to 64 of these characters, compared bytewise. */
export const ID_PATTERN = /^[A-Za-z0-9._:@-]{1,64}$/;

declare const kind: unique symbol;
type Named<Kind extends string> = string & { readonly [kind]: Kind };

/** A key manager (its KMA and KSA share one ID). */
export type KmId = Named<"km">;
/** A QKD link between two neighbouring nodes; both ends use the same ID. */
export type LinkId = Named<"link">;
/** A cryptographic application (an SAE in the words of ETSI GS QKD 014). */
export type AppId = Named<"app">;

/** @throws Fault MALFORMED_REQUEST when `text` is not an ID */
function parse(text: string, what: string): string {
  if (ID_PATTERN.test(text)) return text;
  throw new Fault("MALFORMED_REQUEST", {
    text: `${what} must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -`,
  });
}

/** @throws Fault MALFORMED_REQUEST */
export const kmId = (text: string): KmId => parse(text, "a key manager's ID") as KmId;
/** @throws Fault MALFORMED_REQUEST */
export const linkId = (text: string): LinkId => parse(text, "a link's ID") as LinkId;
/** @throws Fault MALFORMED_REQUEST */
export const appId = (text: string): AppId => parse(text, "an application's ID") as AppId;

/** Bytewise order of two IDs (they are ASCII): negative when `a` sorts first. */
export const compareIds = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
