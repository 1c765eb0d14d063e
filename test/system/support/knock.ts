// Someone at a door of a KM: whether the KM speaks with him.

import { type ConnectionOptions, connect } from "node:tls";
import { AK } from "../../../src/ak/messages.ts";
import { KX } from "../../../src/kx/payload/messages.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import { encodePayload } from "../../../src/wire/payload.ts";
import type { Km } from "./km.ts";

export type DoorName = "ak" | "etsi014" | "kx";
export const DOORS: readonly DoorName[] = ["ak", "etsi014", "kx"];

const GREETINGS: Readonly<Record<DoorName, Uint8Array>> = {
  ak: encodeFrame(AK.keyRequest.code, 1, encodePayload({ application_destination_ID: "app-a2" })),
  etsi014: Buffer.from("GET /api/v1/keys/app-a2/enc_keys HTTP/1.1\r\nHost: km\r\n\r\n"),
  kx: encodeFrame(KX.keySupplyNotification.code, 1, encodePayload({ session_ID: "", number_of_keys: 0 })),
};
const PATIENCE_MS = 60_000;

/** How a KM answers who says the door's usual words: with bytes, or by ending the connection without any. */
export interface Reception {
  readonly bytes: number;
  /** Of the handshake, when it failed. */
  readonly alert: string | undefined;
}

/** `options` has the certificate, and what else is unusual. @throws Error when neither bytes nor an end come */
export function knock(km: Km, door: DoorName, options: ConnectionOptions): Promise<Reception> {
  const { host, port } = km.config[door].listen;
  const { promise, resolve, reject } = Promise.withResolvers<Reception>();
  const socket = connect({ host, port, rejectUnauthorized: false, ...options });
  let alert: string | undefined;
  socket.setTimeout(PATIENCE_MS, () => {
    socket.destroy();
    reject(new Error(`${km.id} neither answers at ${door} nor ends the connection`));
  });
  socket.on("secureConnect", () => socket.write(GREETINGS[door]));
  socket.on("error", (error: NodeJS.ErrnoException) => {
    alert = error.code;
  });
  socket.on("data", (chunk: Buffer) => {
    resolve({ bytes: chunk.length, alert });
    socket.destroy();
  });
  socket.on("close", () => resolve({ bytes: 0, alert }));
  return promise;
}
