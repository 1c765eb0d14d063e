// Clients that ask for much and read nothing of what comes.

import { connect } from "node:tls";
import { AK } from "../../../src/ak/messages.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import { encodePayload } from "../../../src/wire/payload.ts";
import type { App } from "./app.ts";

export interface Stalled extends Disposable {
  /** The KM has ended the connection. */
  readonly isClosed: boolean;
}

/** Answers of 64 KiB each: soon more than the system's buffers take. */
const KEYS = 900;
const SIZE_BITS = 64;
const AT_ONCE = 60;
/** One more now and then: nothing reads the socket, so its end is seen by writing. */
const NEXT_MS = 250;

/** Over Ak. */
export function stallAk(app: App, destination: string): Stalled {
  const wanted = { application_destination_ID: destination, number_of_keys: KEYS, size_of_key: SIZE_BITS };
  const payload = encodePayload(wanted);
  let id = 0;
  return stall(app, app.km.ak.port, () => encodeFrame(AK.keyRequest.code, ++id, payload));
}

/** Over ETSI GS QKD 014, pipelined. */
export function stallEtsi(app: App, destination: string): Stalled {
  const { host, port } = new URL(app.km.etsiUrl);
  const target = `/api/v1/keys/${destination}/enc_keys?number=${KEYS}&size=${SIZE_BITS}`;
  return stall(app, Number(port), () => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
}

function stall(app: App, port: number, request: () => Uint8Array | string): Stalled {
  const { certificate: cert, key, trust: ca } = app.tls;
  const socket = connect({ host: app.km.ak.host, port, cert, key, ca }, () => {
    for (let asked = 0; asked < AT_ONCE; asked++) socket.write(request());
  });
  const timer = setInterval(() => socket.write(request()), NEXT_MS);
  socket.on("error", () => {});
  socket.once("close", () => clearInterval(timer));
  return {
    get isClosed() {
      return socket.destroyed;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
