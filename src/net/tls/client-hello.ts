// What a TLS client offers, read from its first message before the handshake begins.

import type { Socket } from "node:net";
import type { Group } from "../../core/tls-choices.ts";
import { Refusal } from "../refusal.ts";

/** Groups that may be allowed; X25519MLKEM768 is the hybrid one. */
export const GROUPS: Readonly<Record<Group, number>> = {
  X25519MLKEM768: 0x11ec,
  X25519: 0x001d,
  "P-256": 0x0017,
  "P-384": 0x0018,
};

const RECORD_HEADER = 5;
const HANDSHAKE_RECORD = 22;
const MAX_RECORD = 0x4000;
const SUPPORTED_GROUPS = 10;

/** Codes of the key exchange groups and cipher suites that a client offers; none of what is broken or not there. */
export interface ClientHello {
  readonly groups: readonly number[];
  readonly suites: readonly number[];
}

/**
 * Reads the ClientHello of a fresh socket and puts it back, so that TLS can begin as if nothing had been read.
 * Node tells a server neither the group negotiated nor the groups offered; so the listener looks, chooses one, and
 * then allows only that one. Calls `then` once with what is offered, or with a Refusal when it is not TLS.
 */
export function peekHello(socket: Socket, then: (hello: ClientHello | Refusal) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const look = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const bytes = recordBytes(seen);
    if (bytes !== undefined && seen.length < bytes) return;
    socket.off("data", look).pause();
    if (bytes === undefined) {
      then(new Refusal("handshake", "what arrived is not TLS"));
      return;
    }
    socket.unshift(seen);
    then(helloOf(seen.subarray(RECORD_HEADER, bytes)));
  };
  socket.on("data", look);
}

/** Length of the first record, as far as it can be known; `undefined` when it is no handshake. */
function recordBytes(seen: Buffer): number | undefined {
  if (seen[0] !== HANDSHAKE_RECORD) return undefined;
  if (seen.length < RECORD_HEADER) return RECORD_HEADER;
  const length = seen.readUInt16BE(3);
  return length > MAX_RECORD ? undefined : RECORD_HEADER + length;
}

/** Reads a ClientHello; one that is cut or odd gives what could be read. */
export function helloOf(message: Buffer): ClientHello {
  let suites: readonly number[] = [];
  try {
    // Handshake header 4, version 2, random 32; then session ID, cipher suites, compression methods.
    let at = 38;
    at += 1 + message.readUInt8(at);
    const end = at + 2 + message.readUInt16BE(at);
    suites = uint16s(message.subarray(at + 2, end));
    return { suites, groups: groupsIn(message, end + 1 + message.readUInt8(end)) };
  } catch (thrown) {
    if (thrown instanceof RangeError) return { suites, groups: [] };
    throw thrown;
  }
}

/** The supported_groups (RFC 8446 4.2.7) among the extensions, whose length stands at `start`. @throws RangeError */
function groupsIn(message: Buffer, start: number): readonly number[] {
  let at = start + 2;
  while (at < message.length) {
    const body = at + 4;
    const end = body + message.readUInt16BE(at + 2);
    if (message.readUInt16BE(at) === SUPPORTED_GROUPS) return uint16s(message.subarray(body + 2, end));
    at = end;
  }
  return [];
}

const uint16s = (list: Buffer): readonly number[] =>
  Array.from({ length: list.length >> 1 }, (_, index) => list.readUInt16BE(index * 2));
