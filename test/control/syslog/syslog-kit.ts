// A syslog server over TLS for tests: takes frames apart, can go away and come back on its port.

import type { Socket } from "node:net";
import { createServer, type Server } from "node:tls";
import { wholeFrames } from "../../../src/control/syslog/format.ts";
import { type Authority, forIdentity } from "../../support/certificates.ts";

export interface SyslogEnd extends AsyncDisposable {
  readonly port: number;
  /** Messages without their frames, in the order of arrival. */
  readonly messages: string[];
}

/** Listens on that port, or any free one. */
export async function syslogServer(from: Authority, port = 0): Promise<SyslogEnd> {
  const { certificate, key } = await forIdentity(from, "km", "syslog");
  const messages: string[] = [];
  /** From their first byte on: one that is in its handshake at the end would keep the server. */
  const open = new Set<Socket>();
  const server: Server = createServer({ cert: certificate, key }, (socket) => {
    let rest = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      const bytes = Buffer.concat([rest, chunk]);
      const { end } = wholeFrames(bytes);
      messages.push(...messagesIn(bytes.subarray(0, end)));
      rest = bytes.subarray(end);
    });
  });
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    messages,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function messagesIn(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const end = space + 1 + Number(bytes.toString("latin1", at, space));
    found.push(bytes.toString("utf8", space + 1, end));
    at = end;
  }
  return found;
}
