// One request of the key manager of another network: routed, read, asked of the key manager, answered.

import { asFault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Log, Meter } from "../core/ports.ts";
import { BODY_BYTES, checkJson, jsonValue } from "../http/body.ts";
import type { Handler } from "../http/connection.ts";
import type { Exchange } from "../http/exchange.ts";
import { splitTarget } from "../http/target.ts";
import type { BorderAck, BorderArrival, BorderDoor } from "../keys/ports/borders.ts";
import { FrameError } from "../wire/frame.ts";
import { parseKeyPayload } from "../wire/key-payload.ts";
import { acksOf, acksText, arrivalOf, VERSIONS, voidOf } from "./bodies.ts";
import { Problem, type ProblemType, problemOf } from "./problems.ts";

/** What requests at this door need. */
export interface HandlerPorts {
  readonly borders: BorderDoor;
  readonly log: Log;
  readonly meter: Meter;
}

interface Call extends HandlerPorts {
  readonly exchange: Exchange;
  /** Who asks, by its certificate. */
  readonly border: KmId;
}

/** A path of this door: its method, and what it does. */
interface Route {
  readonly method: "GET" | "POST";
  serve(call: Call): void;
}

const TYPE = { "Content-Type": "application/json; charset=UTF-8" } as const;

const ROUTES: Readonly<Record<string, Route>> = {
  "/kmapi/versions": { method: "GET", serve: (call) => answer(call, 200, VERSIONS) },
  "/kmapi/v1/ext_keys": { method: "POST", serve: takeKeys },
  "/kmapi/v1/ext_keys/void": { method: "POST", serve: voidKeys },
  "/kmapi/v1/ext_keys/ack": { method: "POST", serve: takeAcks },
};

/** The handler of all requests of one connection's key manager. */
export const makeHandler =
  (ports: HandlerPorts): Handler =>
  (exchange) =>
    // The service takes whoever comes for an application.
    serve({ ...ports, exchange, border: exchange.app as string as KmId });

function serve(call: Call): void {
  const { exchange } = call;
  const { path } = splitTarget(exchange.head.target);
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (route === undefined) {
    const problem = new Problem(404, "invalid-parameter", { path: "there is no such path; see ETSI GS QKD 020" });
    exchange.sendText(404, problem.text, TYPE);
  } else if (exchange.head.method === route.method) {
    route.serve(call);
  } else {
    const problem = new Problem(405, "invalid-parameter", { method: `the method is ${route.method}` });
    exchange.sendText(405, problem.text, { ...TYPE, Allow: route.method });
  }
}

function takeKeys(call: Call): void {
  const { exchange, border, borders } = call;
  const body = exchange.takeBody();
  attempt(call, async () => {
    using _ = { [Symbol.dispose]: () => body?.release() };
    const arrival = arrivalIn(body === undefined ? NOTHING : body.bytes, exchange.head.contentType);
    outcome(call, arrival.callback, await borders.arrived(border, arrival));
  });
}

/** @throws Problem, Fault MALFORMED_REQUEST */
function arrivalIn(bytes: Uint8Array | undefined, contentType: string | undefined): BorderArrival {
  checkJson(contentType);
  if (bytes === undefined) throw new Problem(400, "invalid-parameter", { body: TOO_LONG });
  try {
    const { json, keys } = parseKeyPayload(bytes, "value");
    return arrivalOf(json, keys);
  } catch (thrown) {
    if (thrown instanceof FrameError) throw new Problem(400, "invalid-parameter", { body: thrown.message });
    throw thrown;
  }
}

const NOTHING = new Uint8Array(0);
const TOO_LONG = `must have at most ${BODY_BYTES} bytes`;

function voidKeys(call: Call): void {
  const { border, borders } = call;
  readJson(call, "void-request-not-understood", async (json) => {
    const request = voidOf(json);
    outcome(call, request.callback, await borders.voided(border, request));
  });
}

function takeAcks(call: Call): void {
  const { border, borders } = call;
  readJson(call, "ack-not-understood", async (json) => {
    await borders.acknowledged(border, acksOf(json));
    answer(call, 200, "");
  });
}

/** @param broken what a body is that is no JSON */
function readJson(call: Call, broken: ProblemType, then: (json: unknown) => Promise<void>): void {
  const { body, head } = call.exchange;
  attempt(call, () => then(jsonOf(body, head.contentType, broken)));
}

function jsonOf(bytes: Uint8Array | undefined, contentType: string | undefined, broken: ProblemType): unknown {
  try {
    return jsonValue(bytes, contentType);
  } catch (thrown) {
    throw new Problem(400, broken, { body: asFault(thrown).message });
  }
}

/** 202 when outcomes are told later, 200 with them in the synchronous mode. */
function outcome(call: Call, callback: string | undefined, acks: readonly BorderAck[]): void {
  if (callback === undefined) answer(call, 200, acksText(acks));
  else answer(call, 202, "");
}

const answer = ({ exchange }: Call, status: number, text: string): void =>
  exchange.sendText(status, text, text === "" ? {} : TYPE);

function attempt(call: Call, work: () => Promise<void>): void {
  // What `work` throws before it waits is caught too.
  new Promise<void>((resolve) => resolve(work())).catch((thrown: unknown) => refuse(call, thrown));
}

function refuse(call: Call, thrown: unknown): void {
  const fault = thrown instanceof Problem ? undefined : asFault(thrown);
  const problem = thrown instanceof Problem ? thrown : problemOf(asFault(thrown));
  call.meter.add("requests_refused", { door: "etsi020", fault: fault?.code ?? "MALFORMED_REQUEST" });
  if (fault?.code === "INTERNAL") {
    call.log.error({ err: fault.cause, door: "etsi020", border: call.border }, "a request met an internal error");
  }
  const after = problem.status === 503 ? fault?.retryAfterMs : undefined;
  const more = after === undefined ? {} : { "Retry-After": Math.ceil(after / 1000) };
  call.exchange.sendText(problem.status, problem.text, { ...TYPE, ...more });
}
