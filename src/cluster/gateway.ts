// etcd's v3 API over TLS: JSON through the gateway that every etcd has (bytes as base64, 64-bit numbers as text).

import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { TIMERS } from "../core/pause.ts";
import { linesOf, textOf } from "./answer.ts";
import {
  type Etcd,
  EtcdError,
  type EtcdOp,
  type KeyValue,
  type RangeAnswer,
  type RangeQuery,
  type Standing,
  type Transaction,
  type TransactionAnswer,
  type WatchBatch,
  type WatchEvent,
  type WatchQuery,
} from "./etcd.ts";
import { Silence } from "./silence.ts";

/** Where etcd listens, and the certificates to show there. */
export interface GatewayOptions {
  /** Base URLs, tried in turn: `https://host:port`. */
  readonly endpoints: readonly string[];
  /** PEM texts: this member's certificate, and who signs etcd's. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly trust: string };
  /** How long etcd may take to begin its answer to a short question, and be silent in the middle of one. */
  readonly timeoutMs: number;
}

/** gRPC codes after which nothing has happened: invalid argument, not found, exhausted (no space), precondition, range. */
const REFUSALS: readonly unknown[] = [3, 5, 8, 9, 11];
const NOT_FOUND = 5;
const MAX_SOCKETS = 16;
/** A large transaction has so much longer. */
const LEAST_BYTES_PER_MS = 1024;

type Json = Readonly<Record<string, unknown>>;

/** etcd by its JSON gateway (`/v3/…`) over mutual TLS; the next endpoint is tried when one does not answer. */
export function openGateway({ endpoints, tls, timeoutMs }: GatewayOptions): Etcd {
  const agent = new Agent({
    cert: tls.certificate,
    key: tls.key,
    ca: tls.trust,
    minVersion: "TLSv1.3",
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
  });
  return new Gateway(endpoints, agent, timeoutMs);
}

class Gateway implements Etcd {
  readonly #endpoints: readonly string[];
  readonly #agent: Agent;
  readonly #timeoutMs: number;
  /** The endpoint that answered last. */
  #at = 0;

  constructor(endpoints: readonly string[], agent: Agent, timeoutMs: number) {
    this.#endpoints = endpoints;
    this.#agent = agent;
    this.#timeoutMs = timeoutMs;
  }

  async range({ prefix, after, limit = 0, revision = 0 }: RangeQuery): Promise<RangeAnswer> {
    const key = after === undefined ? encode(prefix) : encodeAfter(after);
    const answer = await this.#post("kv/range", { key, range_end: endOf(prefix), limit, revision });
    return { ...standingOf(answer), found: list(answer.kvs).map(keyValueOf), more: answer.more === true };
  }

  async transact({ when, steps, otherwise = [] }: Transaction): Promise<TransactionAnswer> {
    const answer = await this.#post("kv/txn", {
      compare: when.map(({ key, of, revision }) => ({
        result: "EQUAL",
        target: of === "create" ? "CREATE" : "MOD",
        key: encode(key),
        [of === "create" ? "create_revision" : "mod_revision"]: String(revision),
      })),
      success: steps.map(requestOf),
      failure: otherwise.map((key) => ({ request_range: { key: encode(key) } })),
    });
    const succeeded = answer.succeeded === true;
    const ranges = list(answer.responses).map((response) => object(response.response_range));
    return { ...standingOf(answer), succeeded, found: ranges.flatMap(({ kvs }) => list(kvs).map(keyValueOf)) };
  }

  async grant(ttlS: number): Promise<string> {
    const { ID } = await this.#post("lease/grant", { TTL: String(ttlS) });
    if (typeof ID !== "string") throw new EtcdError("unknown", "etcd gave a lease without an ID");
    return ID;
  }

  async renew(lease: string): Promise<number> {
    const { result } = await this.#post("lease/keepalive", { ID: lease });
    return numberOf(object(result).TTL ?? "0");
  }

  async revoke(lease: string): Promise<void> {
    await this.#post("lease/revoke", { ID: lease }, NOT_FOUND);
  }

  async compact(revision: number): Promise<void> {
    await this.#post("kv/compaction", { revision: String(revision) });
  }

  async *watch({ prefix, fromRevision, heard }: WatchQuery, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const create = {
      key: encode(prefix),
      range_end: endOf(prefix),
      start_revision: String(fromRevision),
      fragment: true,
    };
    const endpoint = this.#endpoint;
    let response: IncomingMessage | undefined;
    try {
      response = await this.#begin("watch", JSON.stringify({ create_request: create }), signal);
      const events: WatchEvent[] = [];
      for await (const line of linesOf(response, heard)) {
        const result = watchedIn(parse(line));
        events.push(...list(result.events).map(eventOf));
        const whole = result.fragment === true ? wholeOf(events) : events.length;
        if (whole > 0) yield { ...standingOf(result), events: events.splice(0, whole) };
      }
      throw new Error("etcd ended the watch");
    } catch (thrown) {
      if (!signal.aborted) throw this.#failed(thrown, endpoint);
      if (signal.reason instanceof EtcdError) throw this.#failed(signal.reason, endpoint);
      throw new EtcdError("unknown", "the watch was given up", thrown);
    } finally {
      response?.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @param mayBe a gRPC code that is an answer too */
  async #post(path: string, body: object, mayBe?: number): Promise<Json> {
    const endpoint = this.#endpoint;
    const text = JSON.stringify(body);
    using silence = new Silence(TIMERS, this.#timeoutMs + Math.ceil(text.length / LEAST_BYTES_PER_MS));
    try {
      const response = await this.#ask(path, text, silence.signal);
      const answer = parse(await textOf(response, () => silence.heard()));
      if (response.statusCode === 200 || answer.code === mayBe) return answer;
      throw refusalOf(answer);
    } catch (thrown) {
      throw this.#failed(silence.signal.aborted ? silence.signal.reason : thrown, endpoint);
    }
  }

  /** Asks for what comes for ever; its beginning has to come in time. */
  async #begin(path: string, text: string, signal: AbortSignal): Promise<IncomingMessage> {
    using silence = new Silence(TIMERS, this.#timeoutMs);
    try {
      return await this.#ask(path, text, AbortSignal.any([signal, silence.signal]));
    } catch (thrown) {
      throw silence.signal.aborted ? silence.signal.reason : thrown;
    }
  }

  /** After no answer the next endpoint is asked, by the next question. */
  #failed(thrown: unknown, endpoint: string): EtcdError {
    if (thrown instanceof EtcdError && thrown.failure !== "unknown") return thrown;
    if (endpoint === this.#endpoint) this.#at = (this.#at + 1) % this.#endpoints.length;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new EtcdError("unknown", `etcd at ${endpoint} does not answer (${reason})`, thrown);
  }

  get #endpoint(): string {
    return this.#endpoints[this.#at] ?? "";
  }

  #ask(path: string, text: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
    const url = new URL(`/v3/${path}`, this.#endpoint);
    const call = request(url, { agent: this.#agent, method: "POST", headers, signal }, resolve);
    call.on("error", reject);
    call.end(text);
    return promise;
  }
}

function refusalOf({ code, error, message }: Json): EtcdError {
  const sentence = `etcd: ${String(message ?? error ?? "no reason given")}`;
  if (/compacted/.test(sentence)) return new EtcdError("compacted", sentence);
  return new EtcdError(REFUSALS.includes(code) ? "refused" : "unknown", sentence);
}

/** One answer of a watch. @throws EtcdError when etcd refused the watch, or has ended it */
function watchedIn({ error, result, ...refusal }: Json): Json {
  if (error !== undefined) throw refusalOf({ code: object(error).grpc_code, ...refusal, error, ...object(error) });
  const { canceled, compact_revision: compacted, cancel_reason: reason } = object(result);
  if (canceled !== true) return object(result);
  if (compacted !== undefined) throw new EtcdError("compacted", `etcd has forgotten what was before ${compacted}`);
  throw new EtcdError("unknown", `etcd ended the watch: ${String(reason ?? "no reason given")}`);
}

/** How many of the events make whole revisions, when more may come of the last one. */
function wholeOf(events: readonly WatchEvent[]): number {
  const last = events.at(-1)?.modRevision;
  return events.findIndex(({ modRevision }) => modRevision === last);
}

function requestOf(op: EtcdOp): Json {
  switch (op.op) {
    case "put": {
      const put = { key: encode(op.key), value: Buffer.from(op.value).toString("base64") };
      return { request_put: op.lease === undefined ? put : { ...put, lease: op.lease } };
    }
    case "get":
      return { request_range: { key: encode(op.key) } };
    case "delete":
      return { request_delete_range: { key: encode(op.key) } };
    case "delete-all":
      return { request_delete_range: { key: encode(op.prefix), range_end: endOf(op.prefix) } };
  }
}

const encode = (key: string): string => Buffer.from(key, "utf8").toString("base64");

/** The key right behind another. */
const encodeAfter = (key: string): string => Buffer.from(`${key}\0`, "utf8").toString("base64");

/** Where the keys that begin so end. */
function endOf(prefix: string): string {
  const bytes = Buffer.from(prefix, "utf8");
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) + 1;
  return bytes.toString("base64");
}

const bytesOf = (text: unknown): Buffer => Buffer.from(typeof text === "string" ? text : "", "base64");

const keyValueOf = (kv: Json): KeyValue => ({
  key: bytesOf(kv.key).toString("utf8"),
  value: bytesOf(kv.value),
  createRevision: numberOf(kv.create_revision),
  modRevision: numberOf(kv.mod_revision),
});

function eventOf({ type, kv }: Json): WatchEvent {
  const { key, value, modRevision } = keyValueOf(object(kv));
  return { key, value: type === "DELETE" ? undefined : value, modRevision };
}

function standingOf({ header }: Json): Standing {
  const { cluster_id: cluster, revision } = object(header);
  if (typeof cluster !== "string") throw new Error("the answer has no header");
  return { cluster, revision: numberOf(revision) };
}

/** Zeros are left out. @throws Error for a number that would not be exact */
function numberOf(text: unknown): number {
  const value = Number(text ?? 0);
  if (!Number.isSafeInteger(value)) throw new Error(`${String(text)} is no number that can be kept exactly`);
  return value;
}

function parse(text: string): Json {
  return object(JSON.parse(text));
}

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});

const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(object) : []);
