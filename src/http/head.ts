// Head of an HTTP answer with keys, written byte by byte into memory given to it.

import type { Clock } from "../core/ports.ts";

const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

const STATUS = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n";

/** Lays heads of answers; the constant part is made anew each second, for the date. */
export class Head {
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = -1;
  #open: Uint8Array = ascii("");
  #close: Uint8Array = ascii("");

  /** `keepAliveMs` is what the answers promise. */
  constructor(clock: Clock, keepAliveMs: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n`;
  }

  /** Lays the status line and all header fields; returns the position behind the empty line. */
  write(target: Uint8Array, contentLength: number, keepAlive: boolean): number {
    const second = Math.floor(this.#clock.wallMs() / 1000);
    if (second !== this.#second) this.#renew(second);
    const end = write(keepAlive ? this.#open : this.#close, target, 0);
    return writeText(`${contentLength}\r\n\r\n`, target, end);
  }

  #renew(second: number): void {
    const rest = `Date: ${new Date(second * 1000).toUTCString()}\r\nContent-Length: `;
    this.#open = ascii(STATUS + this.#keepAlive + rest);
    this.#close = ascii(`${STATUS}Connection: close\r\n${rest}`);
    this.#second = second;
  }
}

function write(bytes: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  return at + bytes.length;
}

function writeText(text: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}
