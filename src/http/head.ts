// Heads of HTTP answers: with keys, written byte by byte into memory given to them; without, as text.

import { STATUS_CODES } from "node:http";
import type { Clock } from "../core/ports.ts";

/** Header fields of an answer by their names. */
export type Headers = Readonly<Record<string, string | number>>;

const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

const STATUS = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n";
const CLOSE = "Connection: close\r\n";

/** Lays heads of answers; the constant part is made anew each second, for the date. */
export class Head {
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = -1;
  #date = "";
  #open: Uint8Array = ascii("");
  #close: Uint8Array = ascii("");

  /** `keepAliveMs` is what the answers promise. */
  constructor(clock: Clock, keepAliveMs: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n`;
  }

  /** Lays the status line and all header fields of an answer with keys; returns the position behind the empty line. */
  write(target: Uint8Array, contentLength: number, keepAlive: boolean): number {
    this.#renew();
    const end = write(keepAlive ? this.#open : this.#close, target, 0);
    return writeText(`${contentLength}\r\n\r\n`, target, end);
  }

  /** Status line and header fields with the empty line. No value comes from a request. */
  text(status: number, fields: Headers, keepAlive: boolean): string {
    this.#renew();
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    const connection = keepAlive ? this.#keepAlive : CLOSE;
    return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}${connection}${this.#date}\r\n`;
  }

  #renew(): void {
    const second = Math.floor(this.#clock.wallMs() / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
    const rest = `${this.#date}Content-Length: `;
    this.#open = ascii(STATUS + this.#keepAlive + rest);
    this.#close = ascii(STATUS + CLOSE + rest);
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
