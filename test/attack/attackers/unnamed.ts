// Strangers without a certificate, who come again as soon as they are refused.
//
//   node unnamed.ts '{"port": 1, "at_once": 32}'

import { connect } from "node:tls";

const { port, at_once } = JSON.parse(process.argv[2] ?? "{}") as { port: number; at_once: number };

let refused = 0;
function open(): void {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  socket.on("error", () => {}).resume();
  socket.once("close", () => {
    refused += 1;
    if (refused === at_once) process.stdout.write("at work\n");
    setImmediate(open);
  });
}
for (let index = 0; index < at_once; index++) open();
process.stdin.on("end", () => process.exit()).resume();
