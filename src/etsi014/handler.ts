// One request of an authenticated application: routed, checked, asked of the key manager, answered.

import { asFault, Fault, malformed } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import { type Limit, limitNow } from "../core/limits.ts";
import type { Log, Meter } from "../core/ports.ts";
import { jsonObject, readBody } from "../http/body.ts";
import { sendKeys } from "../http/send-keys.ts";
import { sendText } from "../http/send-text.ts";
import type { Handler, HttpRequest } from "../http/service.ts";
import type { Answer, KeyDoor } from "../keys/ports/keys.ts";
import { CONTAINER } from "./container.ts";
import { sendFault } from "./refuse.ts";
import {
  keyIdsOfBody,
  keyIdsOfQuery,
  optionsOfBody,
  optionsOfQuery,
  type RequestOptions,
  refuseKeyIdIn,
} from "./request-options.ts";
import { ALLOWED, type Route, routeOf } from "./route.ts";
import { statusText } from "./status.ts";

/** What requests at this door need: the key manager, time and log. */
export interface HandlerPorts {
  readonly door: KeyDoor;
  /** Additional slaves that a request may name; 0 for no multicast. */
  readonly mostSlaves: Limit;
  readonly log: Log;
  readonly meter: Meter;
}

/** The handler of all requests of one connection's application. */
export const makeHandler =
  (ports: HandlerPorts): Handler =>
  (asked) =>
    serve({ ...ports, ...asked, isAnswered: false });

/** A request and all that is needed to answer it. */
interface Call extends HandlerPorts, HttpRequest {
  isAnswered: boolean;
}

function serve(call: Call): void {
  attempt(call, () => {
    const { request, response, outlet } = call;
    if (call.turnedAway !== undefined) throw call.turnedAway;
    const route = routeOf(request.url ?? "");
    if (route === undefined) {
      sendText(outlet, response, 404, '{"message":"there is no such resource; see ETSI GS QKD 014 clause 5"}');
    } else if (request.method === "GET") {
      get(call, route);
    } else if (request.method === "HEAD") {
      head(call, route);
    } else if (request.method === "POST" && route.operation !== "status") {
      post(call, route);
    } else {
      const allow = ALLOWED[route.operation];
      sendText(outlet, response, 405, JSON.stringify({ message: `the methods are: ${allow}` }), { Allow: allow });
    }
  });
}

/** A body of a GET is not looked at; node:http reads past it. */
function get(call: Call, route: Route): void {
  const { app, door, outlet, response } = call;
  refuseSelf(app, route.other);
  if (route.operation === "status") {
    sendText(
      outlet,
      response,
      200,
      statusText(app, route.other, door.status(app, route.other), limitNow(call.mostSlaves)),
    );
  } else if (route.operation === "enc_keys") {
    supply(call, route.other, optionsOfQuery(route.query, door.sizes));
  } else {
    fetchKeys(call, route.other, keyIdsOfQuery(route.query));
  }
}

/**
 * As GET, but without using up key: a HEAD is safe (RFC 9110 9.2.1), which GET of keys is not. Of an answer with keys it tells what
 * can be told beforehand, and node:http keeps the body of any answer back.
 */
function head(call: Call, route: Route): void {
  const { app, door, outlet, response } = call;
  if (route.operation === "status") {
    get(call, route);
    return;
  }
  refuseSelf(app, route.other);
  if (route.operation === "enc_keys") optionsOfQuery(route.query, door.sizes);
  else keyIdsOfQuery(route.query);
  // Refuses applications that are not known, and everything while the key manager starts.
  door.status(app, route.other);
  sendText(outlet, response, 200, undefined);
}

function post(call: Call, route: Route): void {
  const { app, door, request } = call;
  readBody(request, (bytes) =>
    attempt(call, () => {
      refuseSelf(app, route.other);
      refuseKeyIdIn(route.query);
      const body = jsonObject(bytes, request.headers["content-type"]);
      const limits = { sizes: door.sizes, mostSlaves: limitNow(call.mostSlaves) };
      if (route.operation === "enc_keys") supply(call, route.other, optionsOfBody(body, route.query, limits));
      else fetchKeys(call, route.other, keyIdsOfBody(body));
    }),
  );
}

/** 014 is silent on an SAE that names itself: it needs no key manager to share a key with itself. */
function refuseSelf(app: AppId, other: AppId): void {
  if (app === other) throw new Fault("MALFORMED_REQUEST", { text: "an SAE cannot share keys with itself" });
}

/** Each SAE gets the keys once. */
function refuseAmong(master: AppId, slave: AppId, others: readonly AppId[]): void {
  if (others.includes(slave)) throw malformed("additional_slave_SAE_IDs names the slave of the path");
  if (others.includes(master)) throw malformed("additional_slave_SAE_IDs names the master");
}

function supply(call: Call, destination: AppId, options: RequestOptions): void {
  refuseAmong(call.app, destination, options.others ?? []);
  const request = { door: "etsi014", app: call.app, destination, ...options } as const;
  giveUpWhenGone(call, call.door.supply(request, answerTo(call)));
}

function fetchKeys(call: Call, initiator: AppId, keyIds: readonly string[]): void {
  const request = { door: "etsi014", app: call.app, initiator, keyIds } as const;
  giveUpWhenGone(call, call.door.fetch(request, answerTo(call)));
}

/** Also runs after an answer, where it is harmless; one that was there at once is retained a listener. */
function giveUpWhenGone(call: Call, giveUp: () => void): void {
  if (!call.isAnswered) call.response.once("close", giveUp);
}

const answerTo = (call: Call): Answer => ({
  granted(grant) {
    call.isAnswered = true;
    sendKeys(call.outlet, call.response, { grant, layout: CONTAINER }, (thrown) => refuse(call, thrown));
  },
  refused: (fault) => refuse(call, fault),
});

function attempt(call: Call, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    refuse(call, thrown);
  }
}

function refuse(call: Call, thrown: unknown): void {
  const fault = asFault(thrown);
  call.meter.add("requests_refused", { door: "etsi014", fault: fault.code });
  if (fault.code === "INTERNAL") call.log.error({ err: fault.cause, app: call.app }, "a request met an internal error");
  sendFault(call.outlet, call.response, fault);
}
