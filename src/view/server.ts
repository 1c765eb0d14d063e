// The view's web server: one page on the loopback address, for browsers that came by a link with a one-time token. It reads only.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Admission } from "./admission.ts";
import { type Asset, loadAssets } from "./assets.ts";
import type { NetworkState } from "./network-state.ts";
import { Streams } from "./streams.ts";

/** The view while it is open. */
export interface ViewServer extends AsyncDisposable {
  readonly port: number;
  /** Opens the page in one browser; another link follows when it was used. */
  readonly link: string;
}

/** Where the view listens and what it shows. */
export interface ViewOptions {
  /** On 127.0.0.1; 0 for any free port. */
  readonly port: number;
  readonly state: NetworkState;
  /** Called with the next link when one was used. */
  readonly used?: (next: string) => void;
}

const HOST = "127.0.0.1";
const MOST_CONNECTIONS = 64;

/** Nothing from elsewhere, no frame around it, no inline script or style; what is loaded is checked again each time. */
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
} as const;

/** @throws Error when the port cannot be listened on */
export async function startView({ port, state, used }: ViewOptions): Promise<ViewServer> {
  const admission = new Admission();
  const streams = new Streams(state);
  const handler = new Handler({ admission, assets: loadAssets(), state, streams });
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    handler.answer(request, response);
  });
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, () => resolve());
  });
  const listening = portOf(server);
  const link = () => `http://${HOST}:${listening}/?token=${admission.token}`;
  handler.open(listening, () => used?.(link()));
  return {
    port: listening,
    get link() {
      return link();
    },
    async [Symbol.asyncDispose]() {
      streams[Symbol.dispose]();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the view has no port");
  return address.port;
}

interface Parts {
  readonly admission: Admission;
  readonly assets: ReadonlyMap<string, Asset>;
  readonly state: NetworkState;
  readonly streams: Streams;
}

class Handler {
  readonly #parts: Parts;
  #hosts: readonly string[] = [];
  #cookie = "";
  #used: () => void = () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** From now on it answers to the names of that port. */
  open(port: number, used: () => void): void {
    // A page elsewhere whose name was made to lead here has another Host.
    this.#hosts = [`${HOST}:${port}`, `localhost:${port}`];
    // Cookies do not tell ports apart.
    this.#cookie = `qkm_view_${port}`;
    this.#used = used;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const reply = this.#replyTo(request);
    if (reply === "events") this.#parts.streams.open(response, request.socket, HEADERS);
    else send(response, reply);
  }

  #replyTo(request: IncomingMessage): Reply | "events" {
    const url = new URL(request.url ?? "/", `http://${HOST}`);
    if (!this.#hosts.includes(request.headers.host ?? "")) return text(421, "this is not its name\n");
    if (request.method !== "GET") return text(405, "the view changes nothing: GET only\n", { Allow: "GET" });
    const token = url.searchParams.get("token");
    if (url.pathname === "/" && token !== null) return this.#enter(token, request);
    return this.#isAdmitted(request) ? this.#told(url) : text(403, LOCKED);
  }

  /** Exchanges the token for a cookie, so that it is in no address that somebody copies or a history keeps. */
  #enter(token: string, request: IncomingMessage): Reply {
    const cookie = this.#parts.admission.redeem(token);
    // Who is in already may open an old link again.
    if (cookie === undefined) return this.#isAdmitted(request) ? ENTER : text(403, LOCKED);
    this.#used();
    const set = `${this.#cookie}=${cookie}; HttpOnly; SameSite=Strict; Path=/`;
    return { ...ENTER, headers: { "Set-Cookie": set } };
  }

  #isAdmitted({ headers }: IncomingMessage): boolean {
    // Browsers say who asks; another site's page gets nothing, cookie or not.
    const site = headers["sec-fetch-site"];
    if (site === "cross-site" || site === "same-site") return false;
    const cookies = (headers.cookie ?? "").split(/; */).map((pair) => pair.split("="));
    return cookies.some(([name, value = ""]) => name === this.#cookie && this.#parts.admission.admits(value));
  }

  #told({ pathname, searchParams }: URL): Reply | "events" {
    const { assets, state } = this.#parts;
    const of = searchParams.get("of") ?? "";
    if (pathname === "/api/events") return "events";
    if (pathname === "/api/history") return json(state.history(of));
    if (pathname === "/api/detail") return json(state.detail(of));
    const asset = assets.get(pathname);
    return asset === undefined ? text(404, "there is nothing here\n") : { status: 200, ...asset };
  }
}

interface Reply extends Asset {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** No redirect: after one from a link on another site's page, browsers would keep the cookie back. */
const ENTER: Reply = {
  status: 200,
  type: "text/html; charset=utf-8",
  body: Buffer.from(
    '<!doctype html><link rel="icon" href="/page/icon.svg"><meta http-equiv="refresh" content="0;url=/">' +
      '<a href="/">To the view</a>\n',
  ),
};

const LOCKED =
  "This page is opened by a link with a token, which works once.\n" +
  "Take a new link from the terminal where npm start or qkm view runs.\n";

const text = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply => ({
  status,
  type: "text/plain; charset=utf-8",
  body: Buffer.from(body),
  headers,
});

const json = (value: unknown): Reply =>
  value === undefined
    ? text(404, "there is no such KM or link\n")
    : { status: 200, type: "application/json", body: Buffer.from(JSON.stringify(value)) };

function send(response: ServerResponse, { status, type, body, headers }: Reply): void {
  response.writeHead(status, { ...HEADERS, "Content-Type": type, "Content-Length": body.length, ...headers }).end(body);
}
