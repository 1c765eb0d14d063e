// An application's end of ETSI GS QKD 014, enough to test a KM; no key byte becomes a string.

import { Agent, type RequestOptions, request } from "node:https";
import type { SuppliedKey } from "../../ak/client.ts";
import { secretOf } from "../../core/memory/secret.ts";
import { refusalOfError } from "../../net/refusal.ts";
import { alertWords } from "../../net/tls/alert-words.ts";
import { decodeBase64 } from "../../wire/base64.ts";
import { parseKeyPayload } from "../../wire/key-payload.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import type { AppDoor, Caller } from "./connection.ts";

const OK = 200;
const TIMEOUT_MS = 15_000;

/** Requests go one after the other over one connection. */
export function etsiClient({ km, tls }: Caller): AppDoor {
  const agent = new Agent({ cert: tls.certificate, key: tls.key, ca: tls.trust, keepAlive: true, maxSockets: 1 });
  const post = (path: string, body: object) =>
    exchange(`${km.etsi014.url}/api/v1/keys/${path}`, { agent, method: "POST" }, JSON.stringify(body));
  return {
    supply: async (destination, number, size) =>
      keysIn(
        await post(`${encodeURIComponent(destination)}/enc_keys`, { number, ...(size === undefined ? {} : { size }) }),
      ),
    fetch: async (initiator, keyIds) => {
      const body = { key_IDs: keyIds.map((id) => ({ key_ID: id })) };
      return keysIn(await post(`${encodeURIComponent(initiator)}/dec_keys`, body));
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

function exchange(url: string, options: RequestOptions, body: string): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  const call = request(url, { ...options, headers, timeout: TIMEOUT_MS }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () => {
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) });
      for (const chunk of chunks) chunk.fill(0);
    });
  });
  call.on("timeout", () => call.destroy(new Error(`no answer from ${url} within ${TIMEOUT_MS} ms`)));
  call.on("error", (error) => reject(explained(error, url)));
  call.end(body);
  return promise;
}

/** In words that tell what to do, where the key manager has answered nothing. */
function explained(error: Error, url: string): Error {
  const code = "code" in error ? String(error.code) : "";
  const words = alertWords(error);
  if (words !== undefined) return new CommandError(EXIT.failed, `${url}: ${words}; nothing was served`, error);
  if (code.startsWith("HPE_")) {
    const sentence = `what listens at ${url} speaks no HTTP: compare the port with [etsi014] of the key manager.`;
    return new CommandError(EXIT.failed, sentence, error);
  }
  return code.startsWith("ERR_SSL") || code === "EPROTO" ? refusalOfError(error) : error;
}

/** The keys of a container; zeroes the body. @throws CommandError with what the KM said otherwise */
function keysIn({ status, body }: Reply): readonly SuppliedKey[] {
  if (status !== OK) {
    throw new CommandError(EXIT.failed, `ETSI 014 answers ${status}: ${body.toString("utf8").slice(0, 200)}`);
  }
  const { json, keys } = parseKeyPayload(body);
  const entries = (json as { keys: readonly { key_ID: string }[] }).keys;
  const supplied = keys.map((letters, at) => suppliedKey(entries[at]?.key_ID ?? "", letters));
  body.fill(0);
  return supplied;
}

function suppliedKey(keyId: string, letters: Uint8Array): SuppliedKey {
  const bytes = Buffer.alloc((letters.length / 4) * 3);
  const key = secretOf(bytes.subarray(0, decodeBase64(letters, bytes)));
  return { keyId, key, [Symbol.dispose]: () => key[Symbol.dispose]() };
}
