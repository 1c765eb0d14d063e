// A simulated vendor's box that serves keys over ETSI GS QKD 014: one end of a pair.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { TIMERS } from "../../../src/core/pause.ts";
import { type BoxPlace, type OneBox, type RunningBox, runningBox } from "./box.ts";
import { type NamedKey, otherEnd, type SharedKeys } from "./shared-keys.ts";

/** In bits, as the box's status says. */
const SIZES = { key_size: 256, min_key_size: 64, max_key_size: 4096 };
const MOST_KEYS = 128;
const BODY_BYTES = 65_536;
const BURST_MS = 1000;

/** Listens; dispose cuts all connections. @throws Error when it cannot */
export async function startEtsi014Box({ host, port }: BoxPlace, box: OneBox, keys: SharedKeys): Promise<RunningBox> {
  const { certificate: cert, key, trust: ca } = box.papers;
  const service = new Service(box, keys);
  const server = createServer({ cert, key, ca, requestCert: true, minVersion: "TLSv1.2" }, (request, response) => {
    service.serve(request, response);
  });
  return await runningBox(server, { host, port }, () => server.closeAllConnections());
}

interface Reply {
  readonly status: number;
  readonly body: object;
  readonly retryAfterS?: number;
}

const refuse = (status: number, message: string): Reply => ({ status, body: { message } });

class Service {
  readonly #box: OneBox;
  readonly #keys: SharedKeys;
  #asked: number[] = [];

  constructor(box: OneBox, keys: SharedKeys) {
    this.#box = box;
    this.#keys = keys;
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { status, body, retryAfterS } = this.#answer(request, Buffer.concat(chunks).subarray(0, BODY_BYTES));
      const text = JSON.stringify(body);
      const again = retryAfterS === undefined ? {} : { "Retry-After": retryAfterS };
      TIMERS.after(this.#keys.faults.slowMs, () => {
        const headers = { "Content-Type": "application/json", "Content-Length": text.length, ...again };
        response.writeHead(status, headers).end(text);
      });
    });
  }

  #answer(request: IncomingMessage, body: Buffer): Reply {
    const { end, saes } = this.#box;
    const caller = (request.socket as TLSSocket).getPeerCertificate().subject?.CN;
    if (caller !== saes[end]) return refuse(401, `${caller} is not the SAE of this KME`);
    const [, sae, what] = /^\/api\/v1\/keys\/([^/?]+)\/(status|enc_keys|dec_keys)$/.exec(request.url ?? "") ?? [];
    if (sae === undefined) return refuse(400, "no such path");
    if (decodeURIComponent(sae) !== saes[otherEnd(end)]) return refuse(400, `the SAE ${sae} is not known`);
    if (this.#isTooOften()) return { ...refuse(429, "too many requests"), retryAfterS: 1 };
    const asked = objectIn(body);
    if (what === "status") return { status: 200, body: this.#status() };
    return what === "enc_keys" ? this.#give(asked) : this.#fetch(asked);
  }

  #isTooOften(): boolean {
    const { requestsPerS } = this.#keys.faults;
    const now = performance.now();
    this.#asked = this.#asked.filter((at) => at > now - BURST_MS);
    if (requestsPerS > 0 && this.#asked.length >= requestsPerS) return true;
    this.#asked.push(now);
    return false;
  }

  #status(): object {
    const { end, saes } = this.#box;
    const other = otherEnd(end);
    return {
      ...{ source_KME_ID: `box-${end}`, target_KME_ID: `box-${other}` },
      ...{ master_SAE_ID: saes[end], slave_SAE_ID: saes[other] },
      ...{ ...SIZES, stored_key_count: Math.floor(this.#keys.bits / SIZES.key_size), max_key_count: 100_000 },
      ...{ max_key_per_request: MOST_KEYS, max_SAE_ID_count: 0 },
    };
  }

  #give(asked: Readonly<Record<string, unknown>>): Reply {
    const { number = 1, size = SIZES.key_size } = asked;
    if (!isWithin(number, 1, MOST_KEYS)) return refuse(400, "number is out of bounds");
    if (!isWithin(size, SIZES.min_key_size, SIZES.max_key_size) || size % 8 !== 0) return refuse(400, "size is wrong");
    const keys = this.#keys.take(this.#box.end, number, size / 8);
    return keys === undefined ? refuse(503, "there is not enough key") : containerOf(keys);
  }

  #fetch({ key_IDs: named }: Readonly<Record<string, unknown>>): Reply {
    const ids = Array.isArray(named) ? named.map((one: unknown) => member(one, "key_ID")) : [];
    if (ids.length === 0 || ids.length > MOST_KEYS) return refuse(400, "key_IDs is missing, or too long");
    const keys = this.#keys.fetch(this.#box.end, ids.map(String));
    return keys === undefined ? refuse(400, "one or more keys specified are not found on KME") : containerOf(keys);
  }
}

const isWithin = (value: unknown, low: number, high: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;

const containerOf = (keys: readonly NamedKey[]): Reply => ({
  status: 200,
  body: { keys: keys.map(({ id, key }) => ({ key_ID: id, key: key.toString("base64") })) },
});

const member = (of: unknown, name: string): unknown =>
  typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;

function objectIn(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
