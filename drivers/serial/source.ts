// The `serial` driver: a module on a UART, a USB CDC port or a pseudo-terminal, opened again whenever it went away.

import type { Clock, Log } from "../../src/core/ports.ts";
import type { Driver, SourceOptions, SourcePorts } from "../../src/device/driver.ts";
import type { KeySource } from "../../src/device/key-source.ts";
import { Host } from "../../src/kq/host.ts";
import { SerialLine } from "./line.ts";

/** Used when the configuration names no rate; USB CDC ports and pseudo-terminals ignore it. */
const BAUD_RATE = 921_600;
const RETRY_MS = 50;
const RETRY_MAX_MS = 1_000;

/** Resolves at once; `status().line` is `up` when a module has answered. */
export const openSerialKeySource: Driver = async (options, ports) => {
  const host = new Host(options, ports);
  const stop = new AbortController();
  const ended = serve(host, options, ports, stop.signal);
  const source: KeySource = {
    blocks: () => host.blocks(),
    status: () => host.status(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      host.close();
    },
  };
  return source;
};

/** One line after the other, until `stop`. */
async function serve(host: Host, options: SourceOptions, { clock, log }: SourcePorts, stop: AbortSignal) {
  let retryMs = RETRY_MS;
  while (!stop.aborted) {
    const line = await opened(options, log, retryMs === RETRY_MS);
    if (line === undefined) {
      await pause(clock, retryMs, stop);
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
      continue;
    }
    retryMs = RETRY_MS;
    await carry(host, line, stop);
    if (!stop.aborted) log.warn({ link: options.link, port: options.port }, "the line is gone; opening it again");
  }
}

async function opened(options: SourceOptions, log: Log, first: boolean): Promise<SerialLine | undefined> {
  const { link, port, baudRate = BAUD_RATE } = options;
  try {
    const line = await SerialLine.open(port, baudRate);
    log.info({ link, port }, "the line is open");
    return line;
  } catch (cause) {
    if (first) log.warn({ link, port, cause: String(cause) }, "the line cannot be opened yet; trying until it can");
    return undefined;
  }
}

/** Carries bytes between host and line until the line is gone. */
async function carry(host: Host, line: SerialLine, stop: AbortSignal): Promise<void> {
  const close = () => void line[Symbol.asyncDispose]();
  stop.addEventListener("abort", close, { once: true });
  if (stop.aborted) close();
  let attached = true;
  host.attach((bytes) => {
    void line.write(bytes).then(() => attached && host.drained());
    return false;
  });
  await line.read((chunk) => host.received(chunk));
  attached = false;
  host.detach();
  await line[Symbol.asyncDispose]();
  stop.removeEventListener("abort", close);
}

const pause = (clock: Clock, ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      cancel();
      stop.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    stop.addEventListener("abort", done, { once: true });
    if (stop.aborted) done();
  });
