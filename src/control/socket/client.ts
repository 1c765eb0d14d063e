// Asks a running KM over its control socket.

import { connect, type Socket } from "node:net";
import { FAULTS, Fault, type FaultCode } from "../../core/fault.ts";
import type { ControlArgs } from "./dialogue.ts";
import { LineReader } from "./lines.ts";

/** Nobody answers at the control socket: the KM does not run. */
export class NotRunning extends Error {
  override readonly name = "NotRunning";
}

/** Characters of an answer. */
const LONGEST_ANSWER = 4_194_304;

/**
 * The one answer to `command`.
 * @throws NotRunning; Fault as the KM answered; Error when the KM went away or took longer than `timeoutMs`
 */
export async function callControl(
  path: string,
  command: string,
  args: ControlArgs = {},
  timeoutMs = 10_000,
): Promise<unknown> {
  const timeout = AbortSignal.timeout(timeoutMs);
  for await (const result of watchControl(path, command, args, timeout)) return result;
  const why = timeout.aborted ? `did not answer within ${timeoutMs} ms` : "went away before it answered";
  throw new Error(`the key manager at ${path} ${why}; see its log`);
}

/**
 * Every answer to `command`, until the KM ends, the signal aborts, or the caller leaves the loop.
 * @throws NotRunning; Fault as the KM answered
 */
export async function* watchControl(
  path: string,
  command: string,
  args: ControlArgs = {},
  signal?: AbortSignal,
): AsyncGenerator<unknown, void> {
  const socket = await dial(path);
  const stop = (): void => void socket.destroy();
  if (signal?.aborted === true) stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    socket.end(`${JSON.stringify({ command, args })}\n`);
    const lines = new LineReader(LONGEST_ANSWER);
    for await (const chunk of chunksOf(socket)) {
      for (const line of lines.push(chunk)) yield resultOf(line);
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    socket.destroy();
  }
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once("error", (cause) =>
      reject(new NotRunning(`no key manager answers at ${path}: is it running?`, { cause })),
    );
    socket.once("connect", () => resolve(socket));
  });
}

/** Ends, and does not throw, when the connection is cut. */
async function* chunksOf(socket: Socket): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of socket) yield chunk as Uint8Array;
  } catch (thrown) {
    if (!socket.destroyed) throw thrown;
  }
}

function resultOf(line: string): unknown {
  const answer = JSON.parse(line) as { ok: boolean; result?: unknown; error?: { code: string; message: string } };
  if (answer.error === undefined) return answer.result;
  const { code, message } = answer.error;
  throw new Fault(isFaultCode(code) ? code : "INTERNAL", { text: message });
}

const isFaultCode = (code: string): code is FaultCode => Object.hasOwn(FAULTS, code);
