// Strangers who stop after ClientHello: so many sockets, each opened again as soon as it is closed.
//
//   node silent.ts '{"port": 1, "sockets": 1000}'

import { connect, createServer } from "node:net";
import { connect as connectTls } from "node:tls";

const { port, sockets } = JSON.parse(process.argv[2] ?? "{}") as { port: number; sockets: number };

/** The first bytes that a TLS client sends. */
const hello = await new Promise<Buffer>((resolve) => {
  const server = createServer((socket) => socket.once("data", resolve)).listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address !== null && typeof address === "object") {
      connectTls({ host: "127.0.0.1", port: address.port, ecdhCurve: "X25519MLKEM768" }).on("error", () => {});
    }
  });
});

let opened = 0;
function open(): void {
  const socket = connect(port, "127.0.0.1", () => {
    socket.write(hello);
    opened += 1;
    if (opened === sockets) process.stdout.write("at work\n");
  });
  socket.on("error", () => {}).on("data", () => {});
  socket.once("close", () => setImmediate(open));
}
for (let index = 0; index < sockets; index++) open();
process.stdin.on("end", () => process.exit()).resume();
