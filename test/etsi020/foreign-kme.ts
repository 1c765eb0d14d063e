// A key manager of another network, of another make: it speaks ETSI GS QKD 020 as the standard has it, over node:https.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Credentials } from "../support/certificates.ts";
import { type BodyName, complaintsOf } from "./schemas.ts";

export interface ForeignOptions {
  readonly own: Credentials;
  /** PEM: who signs the other end's certificates. */
  readonly ca: string;
  /** The URI in the certificate of the key manager that may come here. */
  readonly peer: string;
}

interface AckContainer {
  readonly key_id_container: readonly { readonly key_id: string }[];
  readonly ack_status: string;
  readonly initiator_sae_id: string;
  readonly target_sae_ids: readonly string[];
  readonly message?: string;
}

interface Container {
  readonly initiator_sae_id: string;
  readonly target_sae_ids: readonly string[];
  readonly ack_callback_url?: string;
}

interface KeyContainer extends Container {
  readonly keys: readonly { readonly key_id: string; readonly value: string }[];
}

interface VoidContainer extends Container {
  readonly key_ids: readonly string[];
}

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What goes wrong with a request that comes here: its answer, or none although it was done, or neither, or it hangs. */
export type Wrong = 400 | 401 | 408 | 503 | "done, no answer" | "cut off" | "silence";

interface Received {
  readonly path: string;
  readonly body: unknown;
}

export class ForeignKme implements AsyncDisposable {
  /** Base64 by ID. */
  readonly keys = new Map<string, string>();
  readonly voided = new Set<string>();
  readonly acks: AckContainer[] = [];
  readonly received: Received[] = [];
  /** Of what either end sent, what the standard's schemas do not allow. */
  readonly complaints: string[] = [];
  /** For the next requests that come here, in their order. */
  wrongs: Wrong[] = [];
  /** For all that come, until it is set back. */
  always: Wrong | undefined;
  /** Keys that came are acknowledged as this; undefined for not at all. */
  outcome: string | undefined = "relayed";
  /** Every answer is sent in chunks. */
  isChunked = false;
  readonly #options: ForeignOptions;
  readonly #server: Server;

  private constructor(options: ForeignOptions) {
    this.#options = options;
    const { own, ca } = options;
    this.#server = createServer(
      { cert: own.certificate, key: own.key, ca, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" },
      (asked, response) => {
        this.#serve(asked, response).catch((thrown: unknown) => {
          this.complaints.push(String(thrown));
          response.destroy();
        });
      },
    );
  }

  static async listening(options: ForeignOptions, port = 0): Promise<ForeignKme> {
    const kme = new ForeignKme(options);
    await kme.listen(port);
    return kme;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }

  /** Nobody is reached here until `listen`. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get callback(): string {
    return `${this.url}/kmapi/v1/ext_keys/ack?of=us`;
  }

  /** What came to a path. */
  to(path: string): readonly Received[] {
    return this.received.filter((one) => one.path === path);
  }

  #check(name: BodyName, body: unknown): void {
    this.complaints.push(...complaintsOf(name, body));
  }

  async #serve(asked: IncomingMessage, response: ServerResponse): Promise<void> {
    const peer = (asked.socket as TLSSocket).getPeerCertificate();
    if (!peer.subjectaltname?.includes(this.#options.peer)) {
      response.writeHead(401).end();
      return;
    }
    const text = await textOf(asked);
    const [path = ""] = (asked.url ?? "").split("?");
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    this.received.push({ path, body });
    const wrong = this.wrongs.shift() ?? this.always;
    if (wrong === "cut off") {
      asked.socket.destroy();
      return;
    }
    if (wrong === "silence") return;
    if (typeof wrong === "number") {
      this.#say(response, wrong, JSON.stringify({ title: "wrong", status: wrong }));
      return;
    }
    const acks = this.#do(path, body);
    if (wrong === "done, no answer") {
      asked.socket.destroy();
      return;
    }
    this.#answer(response, path, body as Container, acks);
  }

  #do(path: string, body: unknown): readonly AckContainer[] {
    if (path === "/kmapi/v1/ext_keys") return this.#take(body as KeyContainer);
    if (path === "/kmapi/v1/ext_keys/void") return this.#void(body as VoidContainer);
    this.#check("ack_containers", body);
    this.acks.push(...(body as AckContainer[]));
    return [];
  }

  #answer(response: ServerResponse, path: string, container: Container, acks: readonly AckContainer[]): void {
    if (path.endsWith("/ack")) {
      this.#say(response, 200, "");
      return;
    }
    const { ack_callback_url } = container;
    if (ack_callback_url === undefined) {
      this.#say(response, 200, JSON.stringify(acks));
      return;
    }
    this.#say(response, 202, "");
    if (acks.length > 0) void this.post(ack_callback_url, acks).catch(() => {});
  }

  #say(response: ServerResponse, status: number, text: string): void {
    const length = this.isChunked ? {} : { "Content-Length": Buffer.byteLength(text) };
    response.writeHead(status, { "Content-Type": "application/json; charset=UTF-8", ...length });
    if (this.isChunked) for (const letter of text) response.write(letter);
    response.end(this.isChunked ? undefined : text);
  }

  #take(container: KeyContainer): readonly AckContainer[] {
    this.#check("ext_key_container", container);
    for (const { key_id, value } of container.keys) if (!this.voided.has(key_id)) this.keys.set(key_id, value);
    const { outcome } = this;
    return outcome === undefined
      ? []
      : [
          ackOf(
            container,
            outcome,
            container.keys.map(({ key_id }) => key_id),
          ),
        ];
  }

  #void(container: VoidContainer): readonly AckContainer[] {
    this.#check("void_container", container);
    for (const id of container.key_ids) {
      this.voided.add(id);
      this.keys.delete(id);
    }
    return [ackOf(container, "voided", container.key_ids)];
  }

  /** Asks our door as its key manager would. */
  ask(method: string, url: string, body?: string, more: Readonly<Record<string, unknown>> = {}): Promise<Reply> {
    const { own, ca } = this.#options;
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { "Content-Type": "application/json; charset=UTF-8" };
      const options = { method, headers, cert: own.certificate, key: own.key, ca, agent: false as const, ...more };
      const asking = request(url, options, (response) => {
        textOf(response).then(
          (text) => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }),
          reject,
        );
      });
      asking.on("error", reject);
      asking.end(body);
    });
  }

  async post(url: string, body: unknown): Promise<Reply> {
    const reply = await this.ask("POST", url, JSON.stringify(body));
    if (reply.status >= 400) this.#check("problem", JSON.parse(reply.text));
    return reply;
  }
}

const ackOf = (
  { initiator_sae_id, target_sae_ids }: Container,
  ack_status: string,
  ids: readonly string[],
): AckContainer => ({
  key_id_container: ids.map((key_id) => ({ key_id })),
  ack_status,
  initiator_sae_id,
  target_sae_ids,
});

async function textOf(message: IncomingMessage): Promise<string> {
  message.setEncoding("utf8");
  let text = "";
  for await (const chunk of message) text += chunk;
  return text;
}

/** A transfer of keys of 32 bytes with new IDs. */
export const transferOf = (initiator: string, target: string, count: number, callback?: string): KeyContainer => ({
  keys: Array.from({ length: count }, (_, index) => ({
    key_id: randomUUID(),
    value: Buffer.alloc(32, index + 1).toString("base64"),
  })),
  initiator_sae_id: initiator,
  target_sae_ids: [target],
  ...(callback !== undefined && { ack_callback_url: callback }),
});
