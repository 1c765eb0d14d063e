// ETSI GS QKD 015 over RESTCONF (RFC 8040), read only: GET of qkd_node and of every part of it, for SDN controllers.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Audit, Log, Meter } from "../../core/ports.ts";
import type { TlsMaterial } from "../../net/tls/options.ts";
import { listenTls } from "../../net/tls-listener.ts";
import type { ControllerState } from "../controller/answers.ts";
import { MODULE } from "./model.ts";
import { qkdNode } from "./node.ts";
import { walk } from "./path.ts";

/** Where the door listens, and its certificates. */
export interface Etsi015Options {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts; the trust anchor is that of controllers. */
  readonly tls: TlsMaterial;
}

/** What the door answers from. */
export interface Etsi015Ports {
  readonly state: ControllerState;
  readonly log: Log;
  readonly meter: Meter;
  readonly audit?: Audit;
}

/** The door while it is open. */
export interface Etsi015Server extends AsyncDisposable {
  readonly port: number;
  readonly connections: number;
}

const MOST_CONNECTIONS = 16;
const LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 60_000,
} as const;
const GROUPS = ["X25519MLKEM768", "X25519"] as const;

/**
 * Listens for controllers: whoever has a certificate `urn:qkm:controller:<id>` of the trust anchor.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startEtsi015({ listen, tls }: Etsi015Options, ports: Etsi015Ports): Promise<Etsi015Server> {
  const http = etsi015Requests(ports);
  const listener = await listenTls(
    { ...listen, door: "etsi015", tls, kind: "controller", groups: GROUPS, maxConnections: MOST_CONNECTIONS },
    { ...ports, admit: () => undefined },
    (socket) => void http.emit("connection", socket),
  );
  return {
    port: listener.port,
    get connections() {
      return listener.connections;
    },
    async [Symbol.asyncDispose]() {
      http.close();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** Answers requests on whatever connections it is given, by `emit("connection", …)`; it does not listen itself. */
export function etsi015Requests(ports: Etsi015Ports): Server {
  const http = createServer(LIMITS, (request, response) => answer(ports, request, response));
  // node:http watches over head and body timeouts from here on; it would itself when it listened.
  http.emit("listening");
  return http;
}

interface Reply {
  readonly status: number;
  readonly type?: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function answer({ state, log, meter }: Etsi015Ports, request: IncomingMessage, response: ServerResponse): void {
  let reply: Reply;
  try {
    reply = replyTo(state, request);
  } catch (err) {
    log.error({ err }, "a request of ETSI GS QKD 015 met an internal error");
    reply = problem(500, "operation-failed", "an internal error; the log says why");
  }
  if (reply.status >= 400) meter.add("requests_refused", { door: "etsi015", fault: "MALFORMED_REQUEST" });
  const { status, type = "application/yang-data+json", body, headers } = reply;
  const length = { "Content-Type": type, "Content-Length": Buffer.byteLength(body), "Cache-Control": "no-cache" };
  response.writeHead(status, { ...length, ...headers }).end(request.method === "HEAD" ? undefined : body);
}

const DATA = `/restconf/data/${MODULE}:`;
const ROOT = "qkd_node";

function replyTo(state: ControllerState, { method = "", url = "", headers }: IncomingMessage): Reply {
  if (method === "OPTIONS") return { status: 200, body: "", headers: { Allow: ALLOWED } };
  if (method !== "GET" && method !== "HEAD")
    return { ...problem(405, "operation-not-supported", "this node is read only"), headers: { Allow: ALLOWED } };
  if (!accepts(headers.accept)) return problem(406, "invalid-value", "the answer is application/yang-data+json");
  const [path = "", query] = url.split("?", 2);
  const fixed = FIXED[path];
  if (fixed !== undefined) return fixed;
  if (query !== undefined) return problem(400, "invalid-value", "query parameters are not supported");
  const [root, ...segments] = path.startsWith(DATA) ? path.slice(DATA.length).split("/") : [];
  const found = root === ROOT ? walk(qkdNode(state), ROOT, segments) : undefined;
  if (found === undefined) return problem(404, "invalid-value", `there is no such data; begin at ${DATA}${ROOT}`);
  return json(200, { [`${MODULE}:${found.name}`]: found.value });
}

const ALLOWED = "GET, HEAD, OPTIONS";

const accepts = (accept = "*/*"): boolean =>
  /\*\/\*|application\/(\*|json|yang-data\+json)|application\/xrd\+xml/.test(accept);

const json = (status: number, value: unknown): Reply => ({ status, body: `${JSON.stringify(value)}\n` });

/** RFC 8040 7.1 */
const problem = (status: number, tag: string, message: string): Reply =>
  json(status, {
    "ietf-restconf:errors": { error: [{ "error-type": "application", "error-tag": tag, "error-message": message }] },
  });

/** RFC 8040 3.1 and 3.3: where RESTCONF is, and what it has. */
const FIXED: Readonly<Record<string, Reply>> = {
  "/.well-known/host-meta": {
    status: 200,
    type: "application/xrd+xml",
    body: `<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="restconf" href="/restconf"/></XRD>\n`,
  },
  "/restconf": json(200, {
    "ietf-restconf:restconf": { data: {}, operations: {}, "yang-library-version": "2019-01-04" },
  }),
  "/restconf/yang-library-version": json(200, { "ietf-restconf:yang-library-version": "2019-01-04" }),
};
