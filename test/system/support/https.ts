// One request of an app over ETSI GS QKD 014 with whatever method, headers and body, and the whole answer to it.

import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request } from "node:https";
import type { App } from "./app.ts";

export interface Asked {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text, or a value to be written as it. */
  readonly body?: string | object;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Of an answer with keys; else empty. */
  readonly keys: readonly { readonly id: string; readonly key: Buffer }[];
  /** Of an error body; else empty. */
  readonly message: string;
  /** The name/value pairs of `details`, all in one. */
  readonly details: Readonly<Record<string, string>>;
  /** The whole body. */
  readonly json: Readonly<Record<string, unknown>>;
}

interface Body {
  readonly keys?: readonly { readonly key_ID: string; readonly key: string }[];
  readonly message?: string;
  readonly details?: readonly Readonly<Record<string, string>>[];
}

/** `path` is below /api/v1/keys/. A body makes it a POST unless `method` says otherwise. @throws Error without an answer */
export async function ask(app: App, path: string, { method, headers = {}, body }: Asked = {}): Promise<Answered> {
  const { certificate: cert, key, trust: ca } = app.tls;
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  const about = { "content-type": "application/json", "content-length": Buffer.byteLength(text ?? "") };
  const all = text === undefined ? headers : { ...about, ...headers };
  const options = {
    method: method ?? (text === undefined ? "GET" : "POST"),
    cert,
    key,
    ca,
    agent: false,
    headers: all,
  };
  const sent = request(`${app.km.etsiUrl}/api/v1/keys/${path}`, options);
  sent.end(text);
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  return await read(answer);
}

async function read(answer: IncomingMessage): Promise<Answered> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const json = (text === "" ? {} : JSON.parse(text)) as Body & Answered["json"];
  const { keys = [], message = "", details = [] } = json;
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    keys: keys.map(({ key_ID, key }) => ({ id: key_ID, key: Buffer.from(key, "base64") })),
    message,
    details: Object.assign({}, ...details) as Record<string, string>,
    json,
  };
}
