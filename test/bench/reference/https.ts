// Reference for ETSI GS QKD 014: a bare node:https server that answers every request with one constant.

import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { given, ready, type ServerFiles, serverTls } from "./args.ts";

export interface HttpsPlan {
  readonly files: ServerFiles;
  readonly headers: readonly (readonly [string, string])[];
  readonly bodyBytes: number;
  readonly keepAliveMs: number;
}

/** node:http adds these by itself. */
const OWN = ["date", "connection", "keep-alive"];
const { files, headers, bodyBytes, keepAliveMs } = given<HttpsPlan>();
const fields = Object.fromEntries(headers.filter(([name]) => !OWN.includes(name.toLowerCase())));
const body = "A".repeat(bodyBytes);

const server = createServer(
  { ...serverTls(files), keepAliveTimeout: keepAliveMs, noDelay: true },
  (_request, response) => {
    response.writeHead(200, fields);
    response.end(body);
  },
);
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
