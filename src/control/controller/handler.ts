// One request of an authenticated QKDN controller: told or set, and answered in JSON.

import type { IncomingMessage, ServerResponse } from "node:http";
import { asFault, FAULTS, Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Audit, Log, Meter } from "../../core/ports.ts";
import {
  appAnswers,
  type ControllerState,
  deskOf,
  destinationAnswers,
  directoryAnswer,
  faultAnswers,
  linkAnswer,
  nodeAnswer,
  overviewAnswer,
  relayAnswers,
  routesAnswer,
  sessionAnswer,
  topologyAnswer,
} from "./answers.ts";
import { readDirectory } from "./directory-body.ts";
import { readBody, routesOf, type Target, targetOf } from "./request.ts";
import { RESOURCES, type ResourceName } from "./resources.ts";

/** What answers to a controller are made from. */
export interface HandlerPorts {
  readonly state: ControllerState;
  readonly log: Log;
  readonly meter: Meter;
  readonly audit?: Audit;
}

/** An answer before it is written. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers, whatever comes; resolves when the answer is given to the connection. `controller` is who the certificate says. */
export async function handle(
  ports: HandlerPorts,
  controller: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = await answerTo(ports, controller, request).catch((thrown: unknown) => refusal(ports, thrown));
  const { method = "" } = request;
  ports.meter.add("controller_requests", {
    method: METHODS.includes(method) ? method : "other",
    status: `${answer.status}`,
  });
  if (response.destroyed) return;
  const text = `${JSON.stringify(answer.body)}\n`;
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...answer.headers };
  response.writeHead(answer.status, { "Cache-Control": "no-store", ...headers }).end(text);
}

const METHODS: readonly string[] = Object.values(RESOURCES).flatMap(({ methods }) => methods);

async function answerTo(ports: HandlerPorts, controller: string, request: IncomingMessage): Promise<Answer> {
  const target = targetOf(request.url ?? "");
  if (target === undefined) return problem(404, "NOT_FOUND", "there is no such resource; see docs/controller.md");
  const { method = "" } = request;
  const allowed: readonly string[] = RESOURCES[target.name].methods;
  if (!allowed.includes(method)) {
    const allow = allowed.join(", ");
    return { ...problem(405, "METHOD_NOT_ALLOWED", `the methods are: ${allow}`), headers: { Allow: allow } };
  }
  const { km, name } = target;
  if (name === "directory" && method !== "GET") await changeDirectory(ports, controller, request);
  else if (km !== undefined && method !== "GET") await change(ports, controller, km, request);
  return { status: 200, body: ANSWERS[target.name](ports.state, target) };
}

/** PUT or DELETE of routes. */
async function change(
  { state, log, audit }: HandlerPorts,
  controller: string,
  destination: KmId,
  request: IncomingMessage,
): Promise<void> {
  const desk = deskOf(state);
  if (request.method === "PUT") await desk.set(destination, routesOf(await readBody(request)));
  else await desk.giveBack(destination);
  const routes = desk.given(destination)?.map((route) => route.join(" "));
  audit?.note("routes_set", { controller, destination, routes: routes?.join() });
  log.info(
    { event: "routes_changed", controller, destination, method: request.method },
    "a controller has changed routes",
  );
}

/** PUT of the whole directory, or PATCH of entries: see docs/controller.md. The directory notes it itself. */
async function changeDirectory({ state }: HandlerPorts, controller: string, request: IncomingMessage): Promise<void> {
  // Before the books are read the store may turn out to be a restored copy.
  deskOf(state);
  await readDirectory(state.directory, controller, request);
}

const ANSWERS: Readonly<Record<ResourceName, (state: ControllerState, target: Target) => unknown>> = {
  node: nodeAnswer,
  links: ({ report }) => ({ links: report().links.map(linkAnswer) }),
  topology: ({ topology }) => ({ topology: topology.map(topologyAnswer) }),
  destinations: (state) => ({ destinations: destinationAnswers(state) }),
  relays: (state, { numbers }) => ({ relays: relayAnswers(deskOf(state), numbers.after) }),
  apps: (state) => ({ apps: appAnswers(state) }),
  faults: (state, { numbers }) => ({ faults: faultAnswers(state, numbers.after) }),
  sessions: ({ sessions }) => ({ sessions: sessions().map(sessionAnswer) }),
  certificates: ({ certificates }) => ({ certificates: certificates() }),
  overview: (state, { numbers }) => overviewAnswer(state, numbers),
  directory: ({ directory }, { numbers }) => directoryAnswer(directory, numbers.from),
  routes: (state, { km }) => routesOfPeer(state, km),
};

function routesOfPeer(state: ControllerState, km: KmId | undefined): unknown {
  const desk = deskOf(state);
  if (km !== undefined && desk.destinations.includes(km)) return routesAnswer(desk, km);
  throw new Fault("MALFORMED_REQUEST", { text: `no [[peers]] entry of this KM names ${km}` });
}

const problem = (status: number, code: string, message: string): Answer => ({ status, body: { code, message } });

function refusal({ log, meter }: HandlerPorts, thrown: unknown): Answer {
  const fault = asFault(thrown);
  meter.add("requests_refused", { door: "controller", fault: fault.code });
  if (fault.code === "INTERNAL") log.error({ err: fault.cause }, "a controller's request met an internal error");
  const answer = problem(FAULTS[fault.code].http, fault.code, fault.message);
  const after = fault.retryAfterMs;
  return after === undefined ? answer : { ...answer, headers: { "Retry-After": String(Math.ceil(after / 1000)) } };
}
