// A simulated vendor's box that gives key streams over ETSI GS QKD 004: one end of a pair.

import { randomUUID } from "node:crypto";
import { createServer, type TLSSocket } from "node:tls";
import { TIMERS } from "../../../src/core/pause.ts";
import { applicationIn, type Dialect, type Frame, FrameReader, SERVICES } from "../../../src/etsi004/frames.ts";
import {
  chunkFrameBytes,
  closeAnswer,
  getKeyRefusal,
  openAnswer,
  readClose,
  readGetKey,
  readOpen,
  STATUS,
  writeChunk,
} from "../../../src/etsi004/messages.ts";
import { type BoxPlace, type OneBox, type RunningBox, runningBox } from "./box.ts";
import type { SharedKeys } from "./shared-keys.ts";
import { SharedStream } from "./shared-stream.ts";

/** Larger chunks are answered with a counter-proposal. */
const MOST_CHUNK_BYTES = 8192;
const NOTHING = new Uint8Array(0);

/** Listens; dispose cuts all connections. @throws Error when it cannot */
export async function startEtsi004Box({ host, port }: BoxPlace, box: OneBox, keys: SharedKeys): Promise<RunningBox> {
  const { certificate: cert, key, trust: ca } = box.papers;
  const sockets = new Set<TLSSocket>();
  const service = new Service(box, keys);
  const server = createServer({ cert, key, ca, requestCert: true, minVersion: "TLSv1.2" }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(socket, service, keys);
  });
  server.on("tlsClientError", () => {});
  return await runningBox(server, { host, port }, () => {
    for (const socket of sockets) socket.destroy();
  });
}

function serve(socket: TLSSocket, service: Service, keys: SharedKeys): void {
  const caller = socket.getPeerCertificate().subject?.CN ?? "";
  const reader = new FrameReader();
  socket.on("data", (chunk: Buffer) => {
    try {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const answer = service.answer(frame, String(caller));
        TIMERS.after(keys.faults.slowMs, () => socket.write(answer));
      }
    } catch {
      socket.destroy();
    }
  });
}

class Service {
  readonly #box: OneBox;
  readonly #keys: SharedKeys;

  constructor(box: OneBox, keys: SharedKeys) {
    this.#box = box;
    this.#keys = keys;
  }

  answer({ dialect, service, payload }: Frame, caller: string): Uint8Array {
    const { saes, end } = this.#box;
    const isKnown = applicationIn(saes[end]) === caller;
    if (service === SERVICES.open) return this.#open(dialect, readOpen(payload, dialect), isKnown);
    if (service === SERVICES.getKey) return this.#getKey(dialect, readGetKey(payload, dialect), isKnown);
    const id = readClose(payload);
    this.#keys.streams.delete(id);
    return closeAnswer(dialect, STATUS.ok);
  }

  #open(dialect: Dialect, { qos, id }: ReturnType<typeof readOpen>, isKnown: boolean): Uint8Array {
    const known = id === undefined ? undefined : this.#keys.streams.get(id);
    if (!isKnown || (id !== undefined && known === undefined)) {
      return openAnswer(dialect, { status: STATUS.noConnection, qos, id });
    }
    const chunkBytes = known?.chunkBytes ?? qos.chunkBytes;
    if (chunkBytes > MOST_CHUNK_BYTES) {
      return openAnswer(dialect, { status: STATUS.qosNotMet, qos: { ...qos, chunkBytes: MOST_CHUNK_BYTES }, id });
    }
    const stream = known ?? new SharedStream(randomUUID().replaceAll("-", ""), chunkBytes, this.#keys);
    this.#keys.streams.set(stream.id, stream);
    stream.joined.add(this.#box.end);
    const status = stream.joined.size === 2 ? STATUS.ok : STATUS.alone;
    return openAnswer(dialect, { status, qos: { ...qos, chunkBytes }, id: stream.id });
  }

  #getKey(dialect: Dialect, { id, index }: ReturnType<typeof readGetKey>, isKnown: boolean): Uint8Array {
    const stream = this.#keys.streams.get(id);
    const refuse = (status: number): Uint8Array => getKeyRefusal(dialect, status, index);
    if (!isKnown || stream === undefined || stream.joined.size < 2) return refuse(STATUS.peerNotConnected);
    const key = stream.chunk(this.#box.end, index);
    if (key === undefined) return refuse(STATUS.insufficientKey);
    const answer = new Uint8Array(chunkFrameBytes(key.length, 0));
    writeChunk(answer, 0, { dialect, index, chunkBytes: key.length, metadata: NOTHING }, (at) => {
      answer.set(key, at);
      return at + key.length;
    });
    return answer;
  }
}
