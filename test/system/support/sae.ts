// An SAE: a client of ETSI GS QKD 014 over HTTPS with connections kept alive. What it is answered must be as docs/openapi-etsi014.json says.

import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { TLSSocket } from "node:tls";
import { checkExchange } from "./openapi.ts";

const DEADLINE_MS = 120_000;

/** A key as the KM supplied it. Tests may keep it as they like. */
export interface SaeKey {
  readonly id: string;
  readonly key: Buffer;
}

export interface SaeOptions {
  /** `https://host:port` of the KM's door. */
  readonly url: string;
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** A status other than 200. */
export class SaeRefusal extends Error {
  override readonly name = "SaeRefusal";
  readonly status: number;
  /** Of the error body; empty when there is none. */
  readonly body: string;

  constructor(status: number, body: string) {
    super(`${status} ${body}`);
    this.status = status;
    this.body = body;
  }
}

/** The connection was not made: nothing was sent. */
export class Unreached extends Error {
  override readonly name = "Unreached";
}

/** The body of Get key. */
export interface Wish {
  readonly number?: number;
  /** Bits. */
  readonly size?: number;
  readonly additional_slave_SAE_IDs?: readonly string[];
  readonly extension_mandatory?: readonly object[];
}

export class Sae implements Disposable {
  readonly #url: string;
  readonly #agent: Agent;

  constructor({ url, cert, key, ca }: SaeOptions) {
    this.#url = url;
    this.#agent = new Agent({ cert, key, ca, keepAlive: true, maxCachedSessions: 0 });
  }

  /** New keys with `destination` (6.2). @throws SaeRefusal; Error when the whole answer did not come */
  encKeys(destination: string, wish: Wish = {}): Promise<SaeKey[]> {
    return this.#keys(`${destination}/enc_keys`, wish);
  }

  /** The keys of these IDs, which `initiator` was supplied with (6.3). @throws like encKeys */
  decKeys(initiator: string, ids: readonly string[]): Promise<SaeKey[]> {
    return this.#keys(`${initiator}/dec_keys`, { key_IDs: ids.map((id) => ({ key_ID: id })) });
  }

  /** What the KM says of the keys with `other` (6.1). @throws like encKeys */
  async status(other: string): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse((await this.send("GET", `${other}/status`)).toString()) as Readonly<Record<string, unknown>>;
  }

  async #keys(path: string, body: object): Promise<SaeKey[]> {
    const answer = await this.send("POST", path, Buffer.from(JSON.stringify(body)));
    const { keys } = JSON.parse(answer.toString()) as { keys: { key_ID: string; key: string }[] };
    return keys.map(({ key_ID, key }) => ({ id: key_ID, key: Buffer.from(key, "base64") }));
  }

  /** Any request below /api/v1/keys/. @throws like encKeys */
  send(method: "GET" | "POST", path: string, body?: Buffer): Promise<Buffer> {
    const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": body.length };
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const sent = request(`${this.#url}/api/v1/keys/${path}`, { method, agent: this.#agent, headers }, (answer) => {
      const answered = whole(answer).then((text) => {
        const status = answer.statusCode ?? 0;
        checkExchange({ method, path, body: body?.toString(), status, answer: text.toString() });
        if (status === 200) resolve(text);
        else reject(new SaeRefusal(status, text.toString()));
      });
      answered.catch(reject);
    });
    sent.setTimeout(DEADLINE_MS, () => sent.destroy(new Error(`${path} was not answered in time`)));
    let isSent = false;
    sent.on("socket", (socket: TLSSocket) => {
      isSent = sent.reusedSocket;
      if (isSent) return;
      socket.once("secureConnect", () => {
        isSent = true;
      });
    });
    sent.on("error", (cause) => reject(isSent ? cause : new Unreached(cause.message, { cause })));
    sent.end(body);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** @throws Error when the connection ends before the announced end */
async function whole(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  if (!answer.complete) throw new Error("the answer was cut off");
  return Buffer.concat(chunks);
}
