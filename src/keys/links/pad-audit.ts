// What the counters and the audit log are told of pads.

import type { EndReason } from "../../core/counters.ts";
import type { LinkId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { kmaSerial } from "../common/key-id.ts";
import type { RelayOffer } from "../ports/peers.ts";
import type { Segment } from "./own-pads.ts";

type Direction = "in" | "out";

/** Which bytes of which blocks protect which KMA-key. */
export function notePads(
  { audit }: Pick<Context, "audit">,
  direction: Direction,
  segments: readonly Segment[],
  { source, destination, keyId }: Pick<RelayOffer, "source" | "destination" | "keyId">,
): void {
  for (const { block, offset, length } of segments) {
    const { link, run, sequence } = block;
    const fields = { link, run, sequence, direction, source, destination, serial: kmaSerial(keyId) };
    audit.note("pads_used", fields, { first: offset, end: offset + length });
  }
}

/** Bytes that were to be pads and protect nothing. */
export function countPadsLost(
  { audit, meter }: Pick<Context, "audit" | "meter">,
  labels: { readonly link: LinkId; readonly direction: Direction; readonly reason: EndReason },
  bytes: number,
): void {
  meter.add("pad_bytes_lost", labels, bytes);
  audit.note("pads_lost", labels, { count: bytes });
}
