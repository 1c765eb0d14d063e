// The control socket of a running KM: a Unix socket for its owner alone, lines of JSON both ways.
//
//   -> {"command":"status"}                      -> {"command":"watch","args":{"everyMs":1000}}
//   <- {"ok":true,"result":{…}}                  <- {"ok":true,"result":{…}}  <- {"ok":true,"result":{…}} …
//   <- {"ok":false,"error":{"code":"MALFORMED_REQUEST","message":"…"}}

import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "../../core/ports.ts";
import { type ControlCommands, Dialogue } from "./dialogue.ts";

const MOST_CONNECTIONS = 16;
/** What a Unix socket's address holds (sun_path), less its end. */
const LONGEST_PATH = 107;

/**
 * Listens at `path`, mode 0600. A socket that an ended process left there is replaced.
 * @throws Error when somebody answers there, or something else than a socket lies there
 */
export async function startControl(path: string, commands: ControlCommands, log: Log): Promise<AsyncDisposable> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new Error(`the control socket's path is longer than ${LONGEST_PATH} bytes; choose a shorter one: ${path}`);
  }
  await clear(path);
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    new Dialogue(socket, commands, log).begin();
  });
  server.maxConnections = MOST_CONNECTIONS;
  await listenPrivately(server, path);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** The mode is set before anybody can connect: `listen` binds before it returns. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => resolve());
  });
  const before = process.umask(0o177);
  server.listen(path);
  process.umask(before);
  await listening;
  chmodSync(path, 0o600);
}

/** Removes a socket at which nobody answers. */
async function clear(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is there and is no socket; move it away`);
  if (await answers(path)) throw new Error(`a key manager that runs answers at ${path}; stop it first`);
  unlinkSync(path);
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
