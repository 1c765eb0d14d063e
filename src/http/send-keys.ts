// Sends granted keys: written into locked memory, written to the socket as they lie there, zeroed.

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { forgetRegistersSoon } from "../core/memory/registers.ts";
import type { Clock } from "../core/ports.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { Head } from "./head.ts";
import type { Part, Parts } from "./parts.ts";

/** How the body of an answer with keys is written, key by key; what is around them belongs to the first and the last. */
export interface KeyFormat {
  /** Bytes of the whole body: its `Content-Length`. */
  totalBytes(grant: Grant): number;
  /** Bytes of key `index`, with what is before it and behind it. */
  keyBytes(grant: Grant, index: number): number;
  /** Lays key `index` at `at`: exactly `keyBytes`. Returns the position behind it. */
  writeEntry(grant: Grant, index: number, target: Uint8Array, at: number): number;
}

/** What all answers share. */
export interface Outlet {
  readonly parts: Parts;
  readonly head: Head;
  readonly clock: Clock;
  /** True when connections are to end with the answer under way. */
  readonly closing: () => boolean;
}

/** An answer that its client has not taken after this time ends the connection. */
export const WRITE_DEADLINE_MS = 10_000;

/** One answer under way. */
interface Sending {
  readonly response: ServerResponse;
  readonly socket: Socket;
  readonly grant: Grant;
  readonly layout: KeyFormat;
  readonly keepAlive: boolean;
  readonly failed: (thrown: unknown) => void;
  /** The key that is written next. */
  next: number;
  endDeadline: () => void;
}

/**
 * Sends the whole answer past `response`: node:http would join head and body in a copy that nobody zeroes.
 * Disposes the grant in every case. `failed` is called when nothing was written yet and something threw.
 */
export function sendKeys(
  outlet: Outlet,
  response: ServerResponse,
  { grant, layout }: Pick<Sending, "grant" | "layout">,
  failed: (thrown: unknown) => void,
): void {
  const { socket } = response;
  if (socket === null) {
    grant[Symbol.dispose]();
    return;
  }
  const keepAlive = response.shouldKeepAlive && !outlet.closing();
  sendPiece(outlet, { response, socket, grant, layout, keepAlive, failed, next: 0, endDeadline: () => {} });
}

/** All keys that fit one part of the memory; nearly always that is all of them. */
function sendPiece(outlet: Outlet, sending: Sending): void {
  outlet.parts.take((part) => {
    const { socket, grant } = sending;
    if (!socket.writable) {
      giveUp(sending, part);
      return;
    }
    const begins = sending.next === 0;
    let used: number;
    try {
      used = fillPart(outlet, sending, part.bytes);
    } catch (thrown) {
      giveUp(sending, part);
      if (begins) sending.failed(thrown);
      else socket.destroy();
      return;
    }
    if (sending.next === grant.count) grant[Symbol.dispose]();
    if (begins) sending.endDeadline = outlet.clock.after(WRITE_DEADLINE_MS, () => socket.destroy());
    writePiece(outlet, sending, part, used);
  });
}

function fillPart(outlet: Outlet, sending: Sending, target: Uint8Array): number {
  const { grant, layout } = sending;
  let end = sending.next === 0 ? outlet.head.write(target, layout.totalBytes(grant), sending.keepAlive) : 0;
  while (sending.next < grant.count && end + layout.keyBytes(grant, sending.next) <= target.length) {
    end = layout.writeEntry(grant, sending.next, target, end);
    sending.next += 1;
  }
  if (end === 0) throw new RangeError("a key does not fit the memory for answers");
  return end;
}

/** TLS has encrypted all of a write when it returns, unless an older one is unfinished: then the view is only referenced. */
function writePiece(outlet: Outlet, sending: Sending, part: Part, used: number): void {
  const { socket } = sending;
  const encryptsNow = "encrypted" in socket && socket.writableLength === 0 && socket.writableCorked === 0;
  socket.write(part.bytes.subarray(0, used), (error) => {
    if (!encryptsNow) part.release(used);
    if (error) giveUp(sending);
    else if (sending.next < sending.grant.count) sendPiece(outlet, sending);
    else end(sending);
  });
  if (encryptsNow) part.release(used);
  forgetRegistersSoon();
}

/** Tells node:http that this answer is out, so that it goes on to the connection's next request. */
function end(sending: Sending): void {
  sending.endDeadline();
  if (sending.keepAlive) sending.response.emit("finish");
  else sending.socket.destroySoon();
}

function giveUp(sending: Sending, part?: Part): void {
  sending.endDeadline();
  part?.release(part.bytes.length);
  sending.grant[Symbol.dispose]();
}
