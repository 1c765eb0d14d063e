// Asks a running KM over its control socket: one line of JSON each way.

import { connect } from "node:net";
import type { KmReport } from "../control/status.ts";
import { CommandError, EXIT } from "./exit.ts";

export type ControlCommand = "status" | "stop" | "zeroise";

/** What a KM answers: `{"ok":true,"result":…}` or `{"ok":false,"error":"sentence"}`. */
type Answer = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string };

/** The report of `status`, with what a KM may add to it. */
export type KmStatus = KmReport & {
  readonly supplied?: number;
  readonly fetched?: number;
};

const LARGEST_ANSWER = 1 << 20;

/** The KM does not run: its socket is not there or nobody listens. */
export class NotRunning extends CommandError {
  constructor(socket: string, cause?: unknown) {
    super(EXIT.unavailable, `no KM answers at ${socket}; start it with: qkm run NODE.toml`, cause);
  }
}

/** @throws NotRunning; CommandError when the KM refuses or does not answer in time */
export async function askKm(socket: string, command: ControlCommand, timeoutMs = 5_000): Promise<unknown> {
  const answer = await exchange(socket, `${JSON.stringify({ command })}\n`, timeoutMs);
  if (answer.ok) return answer.result;
  throw new CommandError(EXIT.failed, `the KM refuses ${command}: ${answer.error}`);
}

export async function statusOf(socket: string, timeoutMs?: number): Promise<KmStatus> {
  return (await askKm(socket, "status", timeoutMs)) as KmStatus;
}

function exchange(path: string, line: string, timeoutMs: number): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const socket = connect({ path }, () => socket.write(line));
  let text = "";
  const fail = (sentence: string) => reject(new CommandError(EXIT.unavailable, sentence));
  socket.setTimeout(timeoutMs, () => {
    fail(`the KM at ${path} did not answer within ${timeoutMs} ms; see its log.`);
    socket.destroy();
  });
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    text += chunk;
    if (text.includes("\n") || text.length > LARGEST_ANSWER) socket.destroy();
  });
  socket.on("error", (error) => reject(new NotRunning(path, error)));
  socket.on("close", () => {
    try {
      resolve(JSON.parse(text.split("\n")[0] ?? "") as Answer);
    } catch {
      fail(`the KM at ${path} closed the connection without an answer; see its log.`);
    }
  });
  return promise;
}
