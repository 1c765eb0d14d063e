// Keeps a host on its line: opens it, carries bytes both ways, and opens it again whenever it is gone.

import { pause } from "../../core/pause.ts";
import { PortError } from "../../core/places/usb-port.ts";
import type { Clock, Log } from "../../core/ports.ts";
import type { Host } from "./host.ts";

/** An open line. It ends when it is closed or the device goes away, and never comes back. */
export interface OpenLine extends AsyncDisposable {
  /** Lends what arrives to `each`; returns when the line has ended, and rejects only with what `each` throws. */
  read(each: (chunk: Buffer) => void): Promise<void>;
  /** Resolves when the system has taken all; ends the line if it refuses. One at a time. */
  write(bytes: Uint8Array): Promise<void>;
}

/** The line of a link, and how it is opened. */
export interface Port {
  readonly link: string;
  /** As it is configured. */
  readonly port: string;
  /** @throws PortError that says what to do, or an error of the system */
  open(): Promise<OpenLine>;
}

interface Ports {
  readonly clock: Clock;
  readonly log: Log;
}

const RETRY_MS = 50;
const RETRY_MAX_MS = 1_000;
/** A line that is open for so long without a module may lead elsewhere. */
const ANSWER_MS = 10_000;

/** The host, which belongs to this from now on, as a driver hands it out. */
export class KeptHost implements AsyncDisposable {
  readonly #host: Host;
  readonly #port: Port;
  readonly #ports: Ports;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** Why it cannot be opened, as it was last logged. */
  #told: string | undefined;
  #alarm: string | undefined;

  constructor(host: Host, port: Port, ports: Ports) {
    this.#host = host;
    this.#port = port;
    this.#ports = ports;
    this.#ended = this.#serve(this.#stop.signal);
  }

  blocks(): ReturnType<Host["blocks"]> {
    return this.#host.blocks();
  }

  status(): ReturnType<Host["status"]> {
    const status = this.#host.status();
    if (status.line === "up" || this.#alarm === undefined || status.alarms.length > 0) return status;
    return { ...status, alarms: [this.#alarm] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    this.#host.close();
  }

  /** One line after the other, until `stop`; one that is gone as soon as it is open is no better than none. */
  async #serve(stop: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    let retryMs = RETRY_MS;
    while (!stop.aborted) {
      const openedAt = clock.monotonicMs();
      await this.#useLine(stop);
      if (clock.monotonicMs() >= openedAt + RETRY_MAX_MS) {
        retryMs = RETRY_MS;
        continue;
      }
      await pause(clock, retryMs, stop);
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
    }
  }

  async #useLine(stop: AbortSignal): Promise<void> {
    const { link, port } = this.#port;
    const line = await this.#opened();
    if (line === undefined) return;
    await this.#carry(line, stop);
    if (!stop.aborted) this.#ports.log.warn({ link, port }, "the line is gone; opening it again");
  }

  async #opened(): Promise<OpenLine | undefined> {
    const { link, port } = this.#port;
    try {
      const line = await this.#port.open();
      this.#told = undefined;
      this.#alarm = undefined;
      this.#ports.log.info({ link, port }, "the line is open");
      return line;
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown.message : String(thrown);
      this.#alarm = thrown instanceof PortError ? thrown.alarm : undefined;
      if (cause !== this.#told) {
        this.#ports.log.warn(
          { event: "line_not_opened", link, port, cause },
          "the line cannot be opened yet; trying until it can",
        );
      }
      this.#told = cause;
      return undefined;
    }
  }

  /** Carries bytes between host and line until the line is gone. */
  async #carry(line: OpenLine, stop: AbortSignal): Promise<void> {
    const host = this.#host;
    const close = () => void line[Symbol.asyncDispose]();
    stop.addEventListener("abort", close, { once: true });
    if (stop.aborted) close();
    const answered = this.#ports.clock.after(ANSWER_MS, () => this.#unanswered());
    let attached = true;
    host.attach((bytes) => {
      void line.write(bytes).then(() => attached && host.drained());
      return false;
    });
    try {
      await line.read((chunk) => host.received(chunk));
    } finally {
      attached = false;
      answered();
      this.#alarm = undefined;
      host.detach();
      await line[Symbol.asyncDispose]();
      stop.removeEventListener("abort", close);
    }
  }

  #unanswered(): void {
    const { link, port } = this.#port;
    const { line, alarms } = this.#host.status();
    if (line === "up" || alarms.length > 0) return;
    this.#alarm = "no-answer";
    this.#ports.log.warn(
      { link, port },
      "the line is open, but no module answers: is it the right device, and is it on?",
    );
  }
}
