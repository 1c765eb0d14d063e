// An application's end of Ak: connects to its key manager, asks it for keys, opens sessions and takes part in them.

import { X509Certificate } from "node:crypto";
import { type FaultCode, isSuccess } from "../core/fault.ts";
import type { AppId, KmId } from "../core/ids.ts";
import type { Log } from "../core/ports.ts";
import type { Group } from "../core/tls-choices.ts";
import type { Provenance } from "../core/topology/provenance.ts";
import { type Address, dialAny } from "../net/dial.ts";
import { Refusal } from "../net/refusal.ts";
import { identityOf } from "../net/tls/identity.ts";
import type { TlsMaterial } from "../net/tls/options.ts";
import { type Answered, type Asking, Dialogue, type RequestName } from "./client/dialogue.ts";
import { AkRefusal, AkUnanswered, Interruption } from "./client/failures.ts";
import { type IncomingSession, IncomingSessions, type OnSession } from "./client/incoming.ts";
import { type ConnectionState, Reconnecting } from "./client/reconnect.ts";
import type { SuppliedKey } from "./client/supplied-key.ts";
import { extensionOf } from "./extension.ts";
import type { KeyResponse } from "./messages.ts";

export type { FaultCode } from "../core/fault.ts";
export { type AppId, appId, type KmId, kmId } from "../core/ids.ts";
export type { Secret } from "../core/memory/secret.ts";
export type { TlsMaterial } from "../net/tls/options.ts";
export { AkRefusal, AkUnanswered } from "./client/failures.ts";
export type { IncomingSession, OnSession, SessionOffer } from "./client/incoming.ts";
export type { PushedKey } from "./client/pushed-keys.ts";
export type { ConnectionState } from "./client/reconnect.ts";
export type { SuppliedKey } from "./client/supplied-key.ts";

/** Where the key manager listens and who the application is; certificates and keys in PEM, times in ms. */
export interface AkClientOptions {
  readonly host: string;
  readonly port: number;
  /** Where the key manager's other members listen, if it has several: tried in turn. */
  readonly further?: readonly { readonly host: string; readonly port: number }[];
  /** PEM texts: the application's certificate and key, and the trust anchor of key managers. */
  readonly tls: TlsMaterial;
  /** The key manager that is dialled: its certificate has to name it. */
  readonly km: KmId;
  /** Closes the client. */
  readonly signal?: AbortSignal;
  /** How long a request may take, the wait for a connection included. Default 30 s. */
  readonly timeoutMs?: number;
  /** Decides about sessions that other applications open with this one; without it they are refused. */
  readonly onSession?: OnSession;
  /**
   * Sessions that this application accepted before, perhaps as another process: their keys are kept from the first
   * moment on, and `resumeIncoming` gives them.
   */
  readonly accepted?: readonly string[];
  /** Keys of one session that wait to be taken; those beyond are refused as BUSY. Default 1024. */
  readonly maxWaitingKeys?: number;
  /** Sessions opened by others; offers beyond are refused as BUSY. Default 256. */
  readonly maxSessions?: number;
  /** Tells when a connection is open, has ended, or could not be made again. */
  readonly onConnection?: (state: ConnectionState) => void;
}

/** What 0x2101 asks for; what is left out is the key manager's default. */
export interface WantedKeys {
  readonly destination: AppId;
  readonly count?: number;
  readonly sizeBits?: number;
  /** Only keys that came so, and are so young; refused when there are none in stock. */
  readonly only?: Provenance;
  /** Such keys if they are in stock, others if not. */
  readonly rather?: Provenance;
}

/** What 0x2102 asks for: the keys that `initiator` was supplied with. */
export interface NamedKeys {
  readonly initiator: AppId;
  readonly keyIds: readonly string[];
}

/** What 0x2104 asks for. */
export interface WantedSession {
  readonly destination: AppId;
  /** The most keys that the session may have; what the key manager allows if left out. */
  readonly maxKeys?: number;
  /** For people; the other application is told. */
  readonly applicationName?: string;
}

/** What ends the wait for one request: then it rejects with the signal's reason. */
export interface RequestOptions {
  readonly signal?: AbortSignal;
}

/** A session that this application has opened. It is known by its ID and outlives connections and processes. */
export interface OpenSession {
  readonly sessionId: string;
  /**
   * 0x2108: keys that the other application has got and acknowledged, perhaps fewer than `count`; dispose each.
   * @throws AkRefusal; AkUnanswered
   */
  getKeys(wanted?: Pick<WantedKeys, "count" | "sizeBits">, options?: RequestOptions): Promise<readonly SuppliedKey[]>;
}

/**
 * Requests may be made at any time; many are under way at once. When the connection ends it is made again, with
 * back-off, and requests that were not sent wait for it; one that was sent fails, since it may have used keys up. Dispose
 * ends it all.
 */
export interface AkClient extends AsyncDisposable {
  /** The key exchange group of the newest connection. */
  readonly group: string;
  /** In the order asked; dispose each. @throws AkRefusal; AkUnanswered */
  getKeys(wanted: WantedKeys, options?: RequestOptions): Promise<readonly SuppliedKey[]>;
  /** In the order asked; dispose each. @throws AkRefusal; AkUnanswered */
  getKeysById(named: NamedKeys, options?: RequestOptions): Promise<readonly SuppliedKey[]>;
  /** Asked again by itself when the connection ends: it uses no key up. @throws AkRefusal; AkUnanswered */
  openSession(wanted: WantedSession, options?: RequestOptions): Promise<OpenSession>;
  /** A session that this application opened before, perhaps by another process. Asks the key manager nothing. */
  resumeSession(sessionId: string): OpenSession;
  /** A session that this application accepted before, perhaps by another process. @throws Error when there are too many */
  resumeIncoming(sessionId: string): IncomingSession;
}

/** Requests without an answer, sent or not; one more fails at once. */
const MAX_REQUESTS = 4096;
const TIMEOUT_MS = 30_000;
/** How a member that has lost its store refuses, while another may have become the active one. */
const LEFT_BY_STORE: FaultCode = "STORE_UNAVAILABLE";
/** How long the pause grows before a key manager with several members is dialled again. */
const MEMBERS_PAUSE_MS = 1_000;

/**
 * @throws Refusal when the other end is not that key manager, or the application's own certificate has expired; Error when there
 * is nobody
 */
export async function connectAk(options: AkClientOptions): Promise<AkClient> {
  const { onSession, maxWaitingKeys = 1024, maxSessions = 256, onConnection = silent } = options;
  const stop = new AbortController();
  const incoming = new IncomingSessions(onSession, { maxWaitingKeys, maxSessions });
  for (const sessionId of options.accepted ?? []) incoming.resume(sessionId);
  const { host, port, further = [] } = options;
  const members: readonly [Address, ...Address[]] = [{ host, port }, ...further];
  let reached: Address = members[0];
  const dialled = async (addresses: readonly Address[], signal: AbortSignal): Promise<Dialogue> => {
    const { channel, address } = await dialOneOf(addresses, options, signal);
    reached = address;
    return new Dialogue(channel, incoming);
  };
  const connect = (signal: AbortSignal): Promise<Dialogue> => dialled(members, signal);
  const elsewhere = (signal: AbortSignal): Promise<Dialogue> =>
    dialled(
      members.filter((member) => member !== reached),
      signal,
    );
  const first = await connect(options.signal ?? stop.signal);
  const longestPauseMs = further.length === 0 ? undefined : MEMBERS_PAUSE_MS;
  const line = new Reconnecting(first, {
    connect,
    elsewhere,
    changed: onConnection,
    stop: stop.signal,
    longestPauseMs,
  });
  return new Client(line, incoming, stop, options);
}

/** @throws Error when there is no address, and as `dialAny` does */
async function dialOneOf(addresses: readonly Address[], { tls, km }: AkClientOptions, signal: AbortSignal) {
  const [first, ...others] = addresses;
  if (first === undefined) throw new Error("the key manager has no other member");
  checkOwn(tls);
  const whom = { door: "ak", tls, kind: "km", expect: km, signal } as const;
  const options = { ...whom, groups: groupsHere() } as const;
  return await dialAny([first, ...others], options, { log: SILENT, meter: { add: silent } });
}

/** @throws Refusal for a certificate of which every key manager would say the same, but only after its handshake */
function checkOwn({ certificate }: TlsMaterial): void {
  const own = new X509Certificate(certificate);
  if (Date.parse(own.validTo) >= Date.now()) return;
  throw new Refusal("expired", `it is this application's own, and was valid until ${own.validTo}: have it renewed`);
}

/** Node 24 is the first that has X25519MLKEM768 in TLS and tells which group was negotiated. */
const FIRST_HYBRID_NODE = 24;

/** X25519MLKEM768 where this Node has it, and X25519; without it a warning says so, once. */
function groupsHere(): readonly [Group, ...Group[]] {
  if (Number.parseInt(process.versions.node, 10) >= FIRST_HYBRID_NODE) return ["X25519MLKEM768", "X25519"];
  if (!hasWarned) process.emitWarning(`Node ${process.version} has no X25519MLKEM768: keys travel under X25519 alone`);
  hasWarned = true;
  return ["X25519"];
}

let hasWarned = false;

class Client implements AkClient {
  readonly #tls: TlsMaterial;
  readonly #line: Reconnecting;
  readonly #incoming: IncomingSessions;
  readonly #stop: AbortController;
  readonly #timeoutMs: number;
  #requests = 0;

  constructor(line: Reconnecting, incoming: IncomingSessions, stop: AbortController, options: AkClientOptions) {
    const { tls, signal, timeoutMs = TIMEOUT_MS } = options;
    this.#tls = tls;
    this.#line = line;
    this.#incoming = incoming;
    this.#stop = stop;
    this.#timeoutMs = timeoutMs;
    const close = (): void => this.#close();
    signal?.addEventListener("abort", close, { once: true });
    stop.signal.addEventListener("abort", () => signal?.removeEventListener("abort", close), { once: true });
    if (signal?.aborted) close();
  }

  get group(): string {
    return this.#line.group;
  }

  async getKeys({ destination, count, sizeBits, ...extras }: WantedKeys, options?: RequestOptions) {
    const extension = extensionOf(extras);
    const wanted = {
      application_destination_ID: destination,
      number_of_keys: count,
      size_of_key: sizeBits,
      extension: extension.length === 0 ? undefined : extension,
    };
    return keysIn(await this.#ask("keyRequest", wanted, options));
  }

  async getKeysById({ initiator, keyIds }: NamedKeys, options?: RequestOptions) {
    const named = { application_source_ID: initiator, key_IDs: keyIds.map((keyId) => ({ key_ID: keyId })) };
    return keysIn(await this.#ask("keyRequestWithId", named, options));
  }

  async openSession({ destination, maxKeys, applicationName }: WantedSession, options?: RequestOptions) {
    const wanted = {
      application_source_ID: ownId(this.#tls),
      application_destination_ID: destination,
      application_name: applicationName,
      number_of_keys: maxKeys,
    };
    const { message } = await this.#ask("sessionCreation", wanted, options);
    if (!isSuccess(message.response)) throw new AkRefusal(message);
    return this.resumeSession(message.session_ID);
  }

  resumeSession(sessionId: string): OpenSession {
    return {
      sessionId,
      getKeys: async ({ count, sizeBits } = {}, options) => {
        const wanted = { session_ID: sessionId, number_of_keys: count, size_of_key: sizeBits };
        const answer = await this.#ask("sessionKeyRequest", wanted, options);
        return keysIn(answer);
      },
    };
  }

  resumeIncoming(sessionId: string): IncomingSession {
    return this.#incoming.resume(sessionId);
  }

  async #ask<Name extends RequestName>(name: Name, payload: Asking<Name>, { signal }: RequestOptions = {}) {
    if (this.#requests >= MAX_REQUESTS)
      throw new AkUnanswered(`${MAX_REQUESTS} requests have no answer yet`, "not sent");
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Interruption(`there was no answer within ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    const limits = [late.signal, this.#stop.signal, ...(signal === undefined ? [] : [signal])];
    this.#requests += 1;
    try {
      return await this.#repeated(name, payload, AbortSignal.any(limits));
    } finally {
      this.#requests -= 1;
      clearTimeout(timer);
    }
  }

  /** Asks on the next connection what an ended one did not take, or what uses no key up. */
  async #repeated<Name extends RequestName>(
    name: Name,
    payload: Asking<Name>,
    limit: AbortSignal,
  ): Promise<Answered<Name>> {
    for (;;) {
      const dialogue = await this.#line.dialogue(limit);
      try {
        const answer = await dialogue.ask(name, payload, limit);
        if (answer.message.response.startsWith(LEFT_BY_STORE)) void this.#line.tryOthers();
        return answer;
      } catch (thrown) {
        if (!(thrown instanceof AkUnanswered) || limit.aborted) throw thrown;
        if (thrown.isRefused || (thrown.mayBeServed && name !== "sessionCreation")) throw thrown;
      }
    }
  }

  #close(): void {
    this.#incoming.close();
    this.#stop.abort(new Interruption("the client is closed"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#line.ended;
  }
}

/** The ID in an application's own certificate. @throws Refusal when it is no application's */
function ownId({ certificate }: TlsMaterial): string {
  const id = identityOf(new X509Certificate(certificate), "app");
  if (id instanceof Error) throw id;
  return id;
}

interface Supplied {
  readonly message: Pick<KeyResponse, "response" | "extension">;
  readonly keys: readonly SuppliedKey[];
}

/** @throws AkRefusal */
function keysIn({ message, keys }: Supplied): readonly SuppliedKey[] {
  if (isSuccess(message.response)) return keys;
  for (const key of keys) key[Symbol.dispose]();
  throw new AkRefusal(message);
}

const silent = (): void => {};
const SILENT: Log = { debug: silent, info: silent, warn: silent, error: silent };
