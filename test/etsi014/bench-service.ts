// The service over plain HTTP for tests of what it says; TLS has its own tests.

import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { makeHandler } from "../../src/etsi014/handler.ts";
import { DRAIN_MS, Service } from "../../src/http/service.ts";
import { TlsChannel } from "../../src/net/tls-channel.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { FakeDoor } from "./fake-door.ts";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: () => Record<string, unknown>;
}

interface PendingRequest {
  readonly method?: string;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface BenchService extends AsyncDisposable {
  readonly port: number;
  readonly door: FakeDoor;
  readonly clock: ManualClock;
  readonly memory: Uint8Array;
  readonly recorder: Recorder;
  /** Path after `/api/v1/keys`. */
  ask(path: string, ask?: PendingRequest): Promise<Reply>;
  post(path: string, body: unknown): Promise<Reply>;
  raw(): Promise<RawClient>;
  stop(): Promise<void>;
}

/** A bare TCP client. */
export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** Everything received once `until` holds. */
  received(until: (text: string) => boolean): Promise<string>;
  /** Everything received when the connection has ended. */
  ended(): Promise<string>;
}

export async function openService(options: { memoryBytes?: number; mostSlaves?: number } = {}) {
  const door = new FakeDoor();
  const clock = new ManualClock();
  const memory = new Uint8Array(options.memoryBytes ?? 65_536);
  const told = recorder();
  const handle = makeHandler({ door, mostSlaves: options.mostSlaves ?? 0, log: told.log, meter: told.meter });
  const http = new Service({ door: "etsi014", memory }, { clock, meter: told.meter }, handle);
  const server = createServer((socket) => http.connected(plainChannel(socket)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const ask = (path: string, wish: PendingRequest = {}) => asked(port, `/api/v1/keys${path}`, wish);
  const service: BenchService = {
    port,
    door,
    clock,
    memory,
    recorder: told,
    ask,
    post: (path, body) =>
      ask(path, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    raw: () => rawClient(port),
    stop: () => http.stop(),
    async [Symbol.asyncDispose]() {
      server.close();
      const stopped = http.stop();
      clock.advance(DRAIN_MS);
      await stopped;
    },
  };
  return service;
}

/** A channel without TLS. TLS has encrypted what is written when `write` returns; here it is copied instead. */
function plainChannel(socket: Socket): TlsChannel {
  const write = socket.write.bind(socket);
  socket.write = ((bytes: Uint8Array, done: () => void) => write(Buffer.from(bytes), done)) as typeof socket.write;
  const peer = { id: "app-a1", certificate: "CN=app-a1", group: "X25519MLKEM768", serverName: "" };
  return new TlsChannel(socket as TLSSocket, peer, 60_000);
}

function asked(port: number, path: string, { method = "GET", body, headers = {} }: PendingRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      const chunks: Uint8Array[] = [];
      response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text) as Record<string, unknown>,
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function rawClient(port: number): Promise<RawClient> {
  const socket = connect(port, "127.0.0.1");
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  socket.on("error", () => {});
  return rawOn(socket);
}

/** A raw client on a connected socket of any kind. */
export function rawOn(socket: Socket): RawClient {
  let text = "";
  let closed = false;
  let look = () => {};
  socket.on("data", (chunk: Uint8Array) => {
    text += Buffer.from(chunk).toString("latin1");
    look();
  });
  socket.on("close", () => {
    closed = true;
    look();
  });
  const when = (holds: () => boolean) =>
    new Promise<string>((resolve, reject) => {
      look = () => {
        if (holds()) resolve(text);
        else if (closed) reject(new Error(`the connection ended after: ${text}`));
      };
      look();
    });
  return {
    socket,
    received: (until) => when(() => until(text)),
    ended: () => when(() => closed),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
