// The process of a token: loads the PKCS#11 module, opens one token, and does what the KM that started it asks.
//
// It holds no state that the KM could not make anew, so it may be ended at any time: by the KM when a call is overdue, by
// the kernel when the KM has ended. Its descriptors: 3 is the socket of `protocol.ts`, 4 the memory of `shared-memory.ts`.

import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import type { Log } from "../../../src/core/ports.ts";
import { lineReader, lineWriter, type Reply, type Request, thrownOf } from "./protocol.ts";
import { Server } from "./server.ts";
import { dieWithParent } from "./shared-memory.ts";

const SOCKET_FD = 3;
const MEMORY_FD = 4;
/** sysexits.h */
const EXIT_USAGE = 64;

function isStartedByKm(): boolean {
  try {
    return fstatSync(SOCKET_FD).isSocket() && fstatSync(MEMORY_FD).isFile();
  } catch {
    return false;
  }
}

if (!isStartedByKm()) {
  process.stderr.write("this program is started by a key manager, for its token\n");
  process.exit(EXIT_USAGE);
}
dieWithParent();
// A Ctrl-C in a terminal reaches every process of the group: the KM decides when this one ends.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

const socket = new Socket({ fd: SOCKET_FD });
const say = lineWriter<Reply>((lines) => void socket.write(lines));
const at = (level: keyof Log) => (fields: Readonly<Record<string, unknown>>, sentence: string) =>
  say({ log: level, fields, sentence });
const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
const server = new Server(MEMORY_FD, log);

async function serve({ id, op, ask }: Request): Promise<void> {
  try {
    say({ id, answer: await server.run(op, ask) });
  } catch (thrown) {
    say({ id, thrown: thrownOf(thrown) });
  }
}

socket.setEncoding("utf8");
socket.on(
  "data",
  lineReader((line) => void serve(JSON.parse(line) as Request)),
);
socket.on("error", () => process.exit(0));
socket.on("close", () => process.exit(0));
