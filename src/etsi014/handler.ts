// One request of an authenticated application: routed, checked, asked of the key manager, answered.

import type { IncomingMessage, ServerResponse } from "node:http";
import { asFault, Fault } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { Answer, KeyDoor } from "../keys/ports.ts";
import { jsonObject, readBody } from "./body.ts";
import { sendFault, sendText } from "./refuse.ts";
import { ALLOWED, type Route, routeOf } from "./route.ts";
import { type Outlet, sendKeys } from "./send-keys.ts";
import { statusText } from "./status.ts";
import { keyIdsOfBody, keyIdsOfQuery, refuseQuery, type Wish, wishOfBody, wishOfQuery } from "./wish.ts";

export interface HandlerPorts {
  readonly door: KeyDoor;
  readonly outlet: Outlet;
  readonly log: Log;
  readonly meter: Meter;
}

/** `app` is who the certificate says. */
export type Handler = (app: AppId, request: IncomingMessage, response: ServerResponse) => void;

/** Requests that may wait behind an unfinished one on a connection. */
const MOST_PIPELINED = 64;

/** Serves one request at a time per connection; those pipelined behind it wait until its answer is out. */
export function makeHandler(ports: HandlerPorts): Handler {
  const waiting = new WeakMap<object, number>();
  return (app, request, response) => {
    if (response.socket !== null) {
      serve({ ...ports, app, request, response, isAnswered: false });
      return;
    }
    const { socket } = request;
    const before = waiting.get(socket) ?? 0;
    if (before === MOST_PIPELINED) {
      ports.meter.add("frames_refused", { door: "etsi014", reason: "pipelined" });
      socket.destroy();
      return;
    }
    waiting.set(socket, before + 1);
    response.once("socket", () => {
      waiting.set(socket, (waiting.get(socket) ?? 1) - 1);
      serve({ ...ports, app, request, response, isAnswered: false });
    });
  };
}

/** A request and all that is needed to answer it. */
interface Call extends HandlerPorts {
  readonly app: AppId;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  isAnswered: boolean;
}

function serve(call: Call): void {
  attempt(call, () => {
    const { request, response, outlet } = call;
    const route = routeOf(request.url ?? "");
    if (route === undefined) {
      sendText(outlet, response, 404, '{"message":"there is no such resource; see ETSI GS QKD 014 clause 5"}');
    } else if (request.method === "GET") {
      get(call, route);
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
    sendText(outlet, response, 200, statusText(app, route.other, door.status(app, route.other)));
  } else if (route.operation === "enc_keys") {
    supply(call, route.other, wishOfQuery(route.query, door.sizes));
  } else {
    fetchKeys(call, route.other, keyIdsOfQuery(route.query));
  }
}

function post(call: Call, route: Route): void {
  const { app, door, request } = call;
  readBody(request, (bytes) =>
    attempt(call, () => {
      refuseSelf(app, route.other);
      refuseQuery(route.query);
      const body = jsonObject(bytes, request.headers["content-type"]);
      if (route.operation === "enc_keys") supply(call, route.other, wishOfBody(body, door.sizes));
      else fetchKeys(call, route.other, keyIdsOfBody(body));
    }),
  );
}

/** 014 is silent on an SAE that names itself: it needs no key manager to share a key with itself. */
function refuseSelf(app: AppId, other: AppId): void {
  if (app === other) throw new Fault("MALFORMED_REQUEST", { text: "an SAE cannot share keys with itself" });
}

function supply(call: Call, destination: AppId, wish: Wish): void {
  const request = { door: "etsi014", app: call.app, destination, ...wish } as const;
  giveUpWhenGone(call, call.door.supply(request, answerTo(call)));
}

function fetchKeys(call: Call, initiator: AppId, keyIds: readonly string[]): void {
  const request = { door: "etsi014", app: call.app, initiator, keyIds } as const;
  giveUpWhenGone(call, call.door.fetch(request, answerTo(call)));
}

/** Also runs after an answer, where it is harmless; one that was there at once is spared a listener. */
function giveUpWhenGone(call: Call, giveUp: () => void): void {
  if (!call.isAnswered) call.response.once("close", giveUp);
}

const answerTo = (call: Call): Answer => ({
  granted(grant) {
    call.isAnswered = true;
    sendKeys(call.outlet, call.response, grant, (thrown) => refuse(call, thrown));
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
