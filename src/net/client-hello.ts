// The key exchange groups that a TLS client offers, read from its first message before the handshake begins.

import type { Socket } from "node:net";
import { Refusal } from "./refusal.ts";

/** Groups that may be allowed; X25519MLKEM768 is the hybrid one. */
export const GROUPS = { X25519MLKEM768: 0x11ec, X25519: 0x001d } as const;
export type Group = keyof typeof GROUPS;

const RECORD_HEADER = 5;
const HANDSHAKE_RECORD = 22;
const MAX_RECORD = 0x4000;
const SUPPORTED_GROUPS = 10;

/**
 * Reads the ClientHello of a fresh socket and puts it back, so that TLS can begin as if nothing had been read.
 * Node tells a server neither the group negotiated nor the groups offered; so the listener looks, chooses one, and
 * then allows only that one. Calls `then` once with the group codes offered, or with a Refusal when it is not TLS.
 */
export function peekGroups(socket: Socket, then: (offered: readonly number[] | Refusal) => void): void {
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
    then(offeredGroups(seen.subarray(RECORD_HEADER, bytes)));
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

/** The supported_groups (RFC 8446 4.2.7) of a ClientHello; none when it has no such extension or is broken. */
export function offeredGroups(hello: Buffer): readonly number[] {
  try {
    return readGroups(hello);
  } catch (thrown) {
    if (thrown instanceof RangeError) return [];
    throw thrown;
  }
}

function readGroups(hello: Buffer): readonly number[] {
  // Handshake header 4, version 2, random 32; then session ID, cipher suites, compression methods.
  let at = 38;
  at += 1 + hello.readUInt8(at);
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello.readUInt8(at);
  at += 2;
  while (at < hello.length) {
    const body = at + 4;
    const end = body + hello.readUInt16BE(at + 2);
    if (hello.readUInt16BE(at) === SUPPORTED_GROUPS) return uint16s(hello.subarray(body + 2, end));
    at = end;
  }
  return [];
}

const uint16s = (list: Buffer): readonly number[] =>
  Array.from({ length: list.length >> 1 }, (_, index) => list.readUInt16BE(index * 2));
