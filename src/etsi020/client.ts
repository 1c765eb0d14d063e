// Requests to the key manager of another network: dialled, examined, sent in one write, and what their answers mean.

import { isIP } from "node:net";
import type { KmId } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import type { Part, Parts } from "../http/parts.ts";
import type { BorderAck, BorderAnswer, BorderDeparture, BorderLine, BorderPath } from "../keys/ports/borders.ts";
import type { Channel } from "../net/channel.ts";
import { acksOf, acksText, urlOf, voidText } from "./bodies.ts";
import { Exchange, NoAnswer } from "./exchange.ts";
import { containerBytes, writeContainer } from "./key-body.ts";
import type { Reply } from "./reply.ts";

const PATH = "/kmapi/v1/ext_keys";
/** Connections to one key manager at a time; more requests wait. */
const MOST_CONNECTIONS = 4;
const ANSWER_MS = 10_000;
const IDLE_MS = 10_000;

/** Where a border is, and how it is reached. */
export interface ClientOptions {
  readonly border: KmId;
  /** Of its key manager, such as `https://kme.example:8443`; undefined where only its callbacks are known. */
  readonly url: string | undefined;
  /** Where this door takes acknowledgements. */
  readonly callback: string;
  /** Keys are sent in the synchronous mode. */
  readonly isSynchronous: boolean;
  /** Locked memory in which requests are written. */
  readonly parts: Parts;
  /** Opens a connection whose other end has proved to be that key manager. */
  dial(address: { readonly host: string; readonly port: number; readonly serverName?: string }): Promise<Channel>;
}

/** A request as it is written into locked memory; gives its number of bytes. */
type Write = (target: Uint8Array) => number;

/**
 * Requests to the key management system beyond a border, over one TLS connection that is made anew when it is lost.
 */
export class BorderClient implements BorderLine {
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  /** By host and port. */
  readonly #idle = new Map<string, Exchange[]>();
  readonly #open = new Set<Exchange>();
  readonly #waiting: (() => void)[] = [];
  #used = 0;
  #stopped = false;

  constructor(options: ClientOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Undefined in the synchronous mode, where the answer tells. */
  get #callback(): string | undefined {
    return this.#options.isSynchronous ? undefined : this.#options.callback;
  }

  async send(departure: BorderDeparture, signal: AbortSignal): Promise<BorderAnswer> {
    const url = this.#urlOf(PATH);
    if (url === undefined) return { kind: "unsent", why: "there is no url" };
    const head = headOf(url, containerBytes(departure, this.#callback));
    const fill = async (use: (write: Write) => void): Promise<void> =>
      departure.lend((writeKey) =>
        use((target) => {
          const at = put(head, target, 0);
          return writeContainer(departure, this.#callback, writeKey, { target, at });
        }),
      );
    return meaningOf(await this.#exchange(url, fill, signal));
  }

  async sendVoid({ initiator, target, keyIds }: BorderPath & { readonly keyIds: readonly string[] }) {
    const url = this.#urlOf(`${PATH}/void`);
    if (url === undefined) return { kind: "unsent", why: "there is no url" } as const;
    return meaningOf(await this.#text(url, voidText({ initiator, target }, keyIds, this.#callback)));
  }

  async sendAcks(callback: string, acks: readonly BorderAck[]): Promise<BorderAnswer> {
    const url = urlOf(callback);
    if (url === undefined) return { kind: "refused", why: `${callback} is no https URL` };
    const reply = await this.#text(url, acksText(acks));
    if ("status" in reply && reply.status >= 200 && reply.status < 300) return { kind: "accepted" };
    return meaningOf(reply);
  }

  #urlOf(path: string): URL | undefined {
    const { url } = this.#options;
    return url === undefined ? undefined : urlOf(`${url.replace(/\/+$/, "")}${path}`);
  }

  #text(url: URL, text: string): Promise<Reply | BorderAnswer> {
    const bytes = Buffer.from(text);
    const head = headOf(url, bytes.length);
    return this.#exchange(url, async (use) => use((target) => put(bytes, target, put(head, target, 0))));
  }

  /** @returns the answer, or why there is none */
  async #exchange(
    url: URL,
    fill: (use: (write: Write) => void) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<Reply | BorderAnswer> {
    await this.#turn();
    try {
      if (this.#stopped || signal?.aborted) return { kind: "unsent", why: "it is not wanted any more" };
      const exchange = await this.#connection(url);
      return await this.#ask(exchange, url, fill);
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      return { kind: thrown instanceof NoAnswer ? "unknown" : "unsent", why };
    } finally {
      this.#used--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    if (this.#used >= MOST_CONNECTIONS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#used++;
  }

  async #ask(exchange: Exchange, url: URL, fill: (use: (write: Write) => void) => Promise<void>): Promise<Reply> {
    const part = await new Promise<Part>((resolve) => this.#options.parts.take(resolve));
    let asked: Promise<Reply> | undefined;
    try {
      await fill((write) => {
        asked = exchange.ask(part.bytes.subarray(0, write(part.bytes)), ANSWER_MS);
      });
    } finally {
      part.release(part.bytes.length);
      if (asked === undefined) exchange.close("nothing was asked");
    }
    if (asked === undefined) throw new Error("nothing was asked");
    const reply = await asked;
    if (exchange.isOpen) this.#rest(exchange, url);
    return reply;
  }

  #rest(exchange: Exchange, { host }: URL): void {
    this.#idle.set(host, [...(this.#idle.get(host) ?? []), exchange]);
    exchange.rest(IDLE_MS);
  }

  async #connection({ host, hostname, port }: URL): Promise<Exchange> {
    for (let idle = this.#idle.get(host)?.pop(); idle !== undefined; idle = this.#idle.get(host)?.pop()) {
      if (idle.isOpen) return idle;
    }
    const name = hostname.replace(/^\[|\]$/g, "");
    const channel = await this.#options.dial({
      ...{ host: name, port: Number(port === "" ? 443 : port) },
      ...(isIP(name) === 0 && { serverName: name }),
    });
    const exchange: Exchange = new Exchange(channel, this.#clock, () => {
      this.#open.delete(exchange);
      const left = this.#idle.get(host)?.filter((one) => one !== exchange) ?? [];
      if (left.length > 0) this.#idle.set(host, left);
      else this.#idle.delete(host);
    });
    this.#open.add(exchange);
    if (this.#stopped) exchange.close("stopping");
    return exchange;
  }

  /** Closes all connections. */
  stop(): void {
    this.#stopped = true;
    for (const exchange of [...this.#open]) exchange.close("stopping");
  }
}

const headOf = ({ host, pathname, search }: URL, length: number): Uint8Array =>
  Buffer.from(
    [
      `POST ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      "Content-Type: application/json; charset=UTF-8",
      "Accept: application/json",
      `Content-Length: ${length}`,
      "",
      "",
    ].join("\r\n"),
    "latin1",
  );

function put(bytes: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  return at + bytes.length;
}

/** 400 and 401 promise that nothing was kept; nothing else does. */
function meaningOf(reply: Reply | BorderAnswer): BorderAnswer {
  if (!("status" in reply)) return reply;
  const { status, body } = reply;
  if (status === 202) return { kind: "accepted" };
  if (status === 200) return doneOf(body);
  return { kind: status === 400 || status === 401 ? "refused" : "unknown", why: whyOf(status, body) };
}

function doneOf(body: Buffer): BorderAnswer {
  try {
    const json: unknown = JSON.parse(body.toString());
    const list = typeof json === "object" && json !== null ? (Reflect.get(json, "ack_containers") ?? json) : json;
    return { kind: "done", acks: acksOf(list) };
  } catch {
    return { kind: "unknown", why: "the answer of status 200 has no acknowledgements" };
  }
}

const MOST_WHY = 300;
/** Letters, digits and punctuation: what another network says goes into our log. */
const UNPRINTABLE = /[^\x20-\x7e]/g;

const whyOf = (status: number, body: Buffer): string =>
  `${status} ${body.toString("latin1", 0, MOST_WHY).replace(UNPRINTABLE, "?")}`.trim();
