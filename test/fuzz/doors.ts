// Fires mutated requests at a door, connection after connection, and tells what became of them.

import type { Server } from "node:http";
import type { Socket } from "node:net";
import { duplexPair } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { AkConnection } from "../../src/ak/connection.ts";
import { etsi015Requests } from "../../src/control/etsi015/server.ts";
import type { KmReport } from "../../src/control/status.ts";
import type { AppId } from "../../src/core/ids.ts";
import type { Log, Meter } from "../../src/core/ports.ts";
import { Etsi004Connection } from "../../src/etsi004/connection.ts";
import { makeHandler as etsi014Handler } from "../../src/etsi014/handler.ts";
import { makeHandler as etsi020Handler } from "../../src/etsi020/handler.ts";
import type { Handler } from "../../src/http/connection.ts";
import { Service } from "../../src/http/service.ts";
import type { ChannelHandler } from "../../src/net/channel.ts";
import { makeHandler as skipHandler } from "../../src/skip/handler.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { SupplyRing } from "../../src/wire/ring.ts";
import { frame, keyRequest } from "../ak/fake-channel.ts";
import { node, stateOf } from "../control/controller/controller-kit.ts";
import { closeFrame, keyFrame, openFrame } from "../etsi004/client.ts";
import { fakeId } from "../etsi014/fake-door.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SEED } from "../support/seed.ts";
import { KSID, LeanDoor } from "./lean-door.ts";
import { Mutator } from "./mutate.ts";

/** What is left after so many requests, and what they caused. */
export interface Fired {
  /** Requests that the key manager was asked. */
  readonly asked: number;
  readonly openGrants: number;
  readonly openLines: number;
  /** Bytes of locked memory that are not zero. */
  readonly dirtyBytes: number;
  /** Timers that are armed, buffers that are lent. */
  readonly armed: number;
  readonly lent: number;
  readonly logLines: number;
  /** Of them those that say that something is wrong with us. */
  readonly errors: readonly string[];
  readonly connections: number;
}

/** A door, and what good requests look like. */
interface Range {
  readonly corpus: readonly Buffer[];
  /** Makes the length in the frame right again: half of the requests get so far. */
  mend?(bytes: Buffer): void;
  /** Sends requests on a connection of their own, and resolves when it is gone. */
  fire(requests: readonly Buffer[]): Promise<void>;
}

class Around {
  readonly door = new LeanDoor();
  readonly clock = new ManualClock();
  readonly memory = new Uint8Array(131_072);
  readonly buffers = new BufferPool(4);
  logLines = 0;
  readonly errors: string[] = [];
  readonly log: Log = {
    debug: () => {},
    info: () => void this.logLines++,
    warn: () => void this.logLines++,
    error: (fields, sentence) => void this.errors.push(`${sentence}: ${String(fields.err)}`),
  };
  readonly meter: Meter = { add: () => {} };
}

/** Requests on one connection: those behind one that ends it are not looked at. */
const EACH = 4;

async function fire(count: number, make: (around: Around) => Range): Promise<Fired> {
  const around = new Around();
  const range = make(around);
  const mutator = new Mutator(range.corpus, SEED);
  let connections = 0;
  for (let sent = 0; sent < count; sent += EACH) {
    const requests = Array.from({ length: EACH }, () => mutator.next());
    for (const bytes of requests) if (mutator.below(2) === 0) range.mend?.(bytes);
    await range.fire(requests);
    connections++;
    if (connections % 64 === 0) await turn();
  }
  const { asked, openGrants, openLines } = around.door;
  const dirtyBytes = around.memory.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);
  const { clock, buffers, logLines, errors } = around;
  return {
    asked,
    openGrants,
    openLines,
    dirtyBytes,
    armed: clock.waiting,
    lent: buffers.lent,
    logLines,
    errors,
    connections,
  };
}

/** A connection whose other end takes everything, and at once. */
function onChannel(
  begin: (channel: Sink) => void,
  between?: () => Promise<void>,
): (requests: readonly Buffer[]) => Promise<void> {
  return async (requests) => {
    const channel = new Sink();
    begin(channel);
    for (const request of requests) {
      channel.receive(request);
      // Some answers come in a later turn.
      await between?.();
      channel.drain();
    }
    channel.lose();
  };
}

class Sink {
  readonly id = "app-a1";
  readonly certificate = "CN=app-a1";
  readonly group = "X25519MLKEM768";
  readonly serverName = "";
  readonly writing = false;
  #handler: ChannelHandler | undefined;
  #isTaken = false;
  #held: Uint8Array[] | undefined;

  start(handler: ChannelHandler): void {
    this.#handler = handler;
  }

  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const bytes of held) this.receive(bytes);
  }

  write(): void {
    this.#isTaken = true;
  }

  receive(bytes: Uint8Array): void {
    if (this.#held === undefined) this.#handler?.received(bytes);
    else this.#held.push(bytes);
    this.#handler?.drained();
    this.drain();
  }

  /** Tells of what was written since: it is taken at once. */
  drain(): void {
    while (this.#isTaken) {
      this.#isTaken = false;
      this.#handler?.drained();
    }
  }

  close(reason: string): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(reason);
  }

  lose(): void {
    this.close("lost");
  }
}

/** An HTTP connection in memory, for a server of node:http. */
function onHttp(begin: (near: Socket) => void): (requests: readonly Buffer[]) => Promise<void> {
  return async (requests) => {
    const [near, far] = duplexPair();
    Object.assign(near, { destroySoon: () => near.end(() => near.destroy()) });
    const gone = new Promise<void>((resolve) => near.once("close", resolve));
    near.on("error", () => {});
    far.on("error", () => {});
    begin(near as unknown as Socket);
    far.resume();
    for (const request of requests) {
      if (near.destroyed) break;
      far.write(request);
      // A body is read, and answered, in a later turn: unless the next request has broken the connection.
      await turn();
    }
    far.end();
    await gone;
    far.destroy();
  };
}

const LENGTH = "Content-Length: ";
/** As many digits for every length, so that another one can be written over it. */
const digits = (length: number): string => String(length).padStart(5, "0");

/** The length of the body that is there. */
function mendHttp(bytes: Buffer): void {
  const [field, end] = [bytes.indexOf(LENGTH), bytes.indexOf("\r\n\r\n")];
  if (field < 0 || end < field + LENGTH.length + 5) return;
  bytes.write(digits((bytes.length - end - 4) % 100_000), field + LENGTH.length, "latin1");
}

const http = (line: string, body?: string): Buffer => {
  const more = body === undefined ? "" : `Content-Type: application/json\r\nContent-Length: ${digits(body.length)}\r\n`;
  return Buffer.from(`${line} HTTP/1.1\r\nHost: km-a\r\n${more}\r\n${body ?? ""}`, "latin1");
};

const httpGet = (path: string): Buffer =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: km-a\r\nAccept: application/yang-data+json\r\n\r\n`, "latin1");

function httpRange(around: Around, name: string, handler: Handler, corpus: readonly Buffer[]): Range {
  const bringsKeys = name === "etsi020";
  const service = new Service({ door: name, memory: around.memory, bringsKeys }, around, handler);
  return { corpus, mend: mendHttp, fire: onChannel((channel) => service.connected(channel), turn) };
}

const KEYS = "/api/v1/keys/app-b1";
const [APP_A, APP_B] = ["qkd://app-a1@km-a", "qkd://app-b1@km-b"];
const SAES = '"initiator_sae_id":"app-x1","target_sae_ids":["app-a1"]';
const KEY_ID = fakeId(1).replaceAll("-", "");

export const DOORS: Readonly<Record<string, (count: number) => Promise<Fired>>> = {
  Ak: (count) =>
    fire(count, (around) => ({
      corpus: [
        keyRequest(1, { number_of_keys: 2, size_of_key: 256, extension: [{ name: "qkm_max_age", ms: 5 }] }),
        frame(0x2102, 2, { application_source_ID: "app-c1", key_IDs: [{ key_ID: fakeId(1) }] }),
        frame(0x2104, 3, { application_destination_ID: "app-b1", application_name: "x", number_of_keys: 5 }),
        frame(0x2108, 4, { session_ID: "s", number_of_keys: 1 }),
        frame(0x2107, 5, { session_ID: "s", response: "success" }),
        frame(0x210b, 6, { session_ID: "s", key_ID: fakeId(1), response: "success" }),
      ],
      mend: (bytes) => void (bytes.length >= 10 && bytes.writeUInt16BE((bytes.length - 10) & 0xffff, 8)),
      fire: onChannel((channel) => {
        const { door, clock, log, meter, buffers } = around;
        new AkConnection(channel, {
          door,
          sessions: door,
          clock,
          log,
          meter,
          buffers,
          ring: new SupplyRing(around.memory),
        });
      }),
    })),
  "ETSI 014": (count) =>
    fire(count, (around) =>
      httpRange(around, "etsi014", etsi014Handler({ ...around, mostSlaves: 4 }), [
        http(`GET ${KEYS}/status`),
        http(`GET ${KEYS}/enc_keys?number=2&size=256`),
        http(`GET ${KEYS}/dec_keys?key_ID=${fakeId(1)}`),
        http(`POST ${KEYS}/enc_keys`, '{"number":2,"size":128,"extension_mandatory":[{"qkm_max_age":1000}]}'),
        http(`POST ${KEYS}/enc_keys`, '{"additional_slave_SAE_IDs":["app-b2","app-a2"],"size":128}'),
        http(`POST ${KEYS}/dec_keys`, `{"key_IDs":[{"key_ID":"${fakeId(1)}"},{"key_ID":"${fakeId(2)}"}]}`),
      ]),
    ),
  "ETSI 020": (count) =>
    fire(count, (around) =>
      httpRange(around, "etsi020", etsi020Handler({ ...around, borders: around.door }), [
        http("GET /kmapi/versions"),
        http(
          "POST /kmapi/v1/ext_keys",
          `{"keys":[{"key_id":"${fakeId(1)}","value":"AAECAwQFBgc="},{"key_id":"${fakeId(2)}","value":"CAkKCwwNDg8="}],${SAES}}`,
        ),
        http(
          "POST /kmapi/v1/ext_keys",
          `{${SAES},"ack_callback_url":"https://x/","keys":[{"value":"AAECAwQFBgc=","key_id":"${fakeId(1)}"}]}`,
        ),
        http("POST /kmapi/v1/ext_keys/void", `{"key_ids":["${fakeId(1)}"],${SAES}}`),
        http("POST /kmapi/v1/ext_keys/void", `{"key_ids":[],"all_confirmation":true,${SAES}}`),
        http(
          "POST /kmapi/v1/ext_keys/ack",
          `[{"key_id_container":[{"key_id":"${fakeId(1)}"}],"ack_status":"relayed","message":"m",${SAES}}]`,
        ),
      ]),
    ),
  SKIP: (count) =>
    fire(count, (around) => {
      const systems = { local: "km-a", remotes: [{ system: "km-[a-c]*", app: "app-b1" as AppId }] };
      return httpRange(around, "skip", skipHandler(systems, around), [
        http("GET /capabilities"),
        http("GET /key?remoteSystemID=km-b&size=128"),
        http(`GET /key/${KEY_ID}?remoteSystemID=km-b`),
        http("GET /entropy?minentropy=256"),
      ]);
    }),
  "ETSI 015": async (count) => {
    const state = stateOf(await node());
    const requests: Server[] = [];
    const fired = await fire(count, (around) => {
      const report = (): KmReport => {
        around.door.asked++;
        return state.report();
      };
      const http = etsi015Requests({ state: { ...state, report }, log: around.log, meter: around.meter });
      requests.push(http);
      const data = "/restconf/data/etsi-qkd-sdn-node:qkd_node";
      const corpus = ["/.well-known/host-meta", data, `${data}/qkd_links`, `${data}/qkd_applications/qkd_app`].map(
        (path) => httpGet(path),
      );
      return { corpus, fire: onHttp((near) => void http.emit("connection", near)) };
    });
    for (const http of requests) http.close();
    return fired;
  },
  "ETSI 004": (count) =>
    fire(count, (around) => {
      const ring = new SupplyRing(around.memory);
      const { door, clock, log, meter } = around;
      return {
        corpus: (["A", "B"] as const).flatMap((dialect) => [
          openFrame(dialect, APP_A, APP_B, { chunk: 32, max: 1000, timeout: 100, ttl: 10 }),
          openFrame(dialect, APP_B, APP_A, {}, KSID),
          keyFrame(dialect, KSID, 7, 64),
          keyFrame(dialect, KSID, 7),
          closeFrame(dialect, KSID),
        ]),
        mend: (bytes) => void (bytes.length >= 8 && bytes.writeUInt32BE(bytes.length - 8, 4)),
        fire: onChannel((channel) => void new Etsi004Connection(channel, { streams: door, clock, log, meter, ring })),
      };
    }),
};
