// An application that wants all places: so many connections with its own certificate, each opened again as soon as it is closed.
//
//   node greedy.ts '{"port": 1, "connections": 300, "cert": "…", "key": "…"}'

import { connect } from "node:tls";

interface Options {
  readonly port: number;
  readonly connections: number;
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

const { port, connections, cert, key } = JSON.parse(process.argv[2] ?? "{}") as Options;

let opened = 0;
function open(): void {
  const socket = connect({ host: "127.0.0.1", port, cert, key, rejectUnauthorized: false });
  socket.on("error", () => {}).resume();
  socket.once("secureConnect", () => {
    opened += 1;
    if (opened === connections) process.stdout.write("at work\n");
  });
  socket.once("close", () => setImmediate(open));
}
for (let index = 0; index < connections; index++) open();
process.stdin.on("end", () => process.exit()).resume();
