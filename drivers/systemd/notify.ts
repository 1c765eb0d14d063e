// What a service tells systemd (sd_notify(3)): lines in one datagram to the socket that NOTIFY_SOCKET names.
//
// Node has no datagrams to sockets of the file system, and systemd-notify(1) would be a process every few seconds: so the
// C library's own calls.

import { loadLibc } from "../../src/core/memory/libc.ts";
import type { Condition, ConditionDisplay } from "../../src/device/indicators.ts";

const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC. */
const KIND = 0x2 | 0x80000;
/** MSG_DONTWAIT | MSG_NOSIGNAL. */
const FLAGS = 0x40 | 0x4000;
/** `sun_path` of sockaddr_un. */
const MAX_PATH_BYTES = 107;
/** While it boots it asks for as much more time with each word that it says, in µs. */
const EXTEND_US = 60_000_000;

/** The part of the environment that systemd sets. */
interface Environment {
  readonly NOTIFY_SOCKET?: string | undefined;
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

/**
 * Tells systemd READY once the KM has booted, STATUS when that changes, and WATCHDOG for as long as the process is alive.
 * Undefined when systemd did not start this process, or is not to be told.
 * @throws RangeError when the socket's name is too long
 */
export function openSystemd(environment: Environment): ConditionDisplay | undefined {
  const name = environment.NOTIFY_SOCKET;
  if (name === undefined || name === "") return undefined;
  const isWatched =
    environment.WATCHDOG_USEC !== undefined &&
    [undefined, String(process.pid)].includes(environment.WATCHDOG_PID || undefined);
  return new ServiceManager(senderTo(name), isWatched);
}

class ServiceManager implements ConditionDisplay {
  readonly #send: (text: string) => void;
  readonly #isWatched: boolean;
  #isReady = false;
  #last: Condition | undefined;

  constructor(send: (text: string) => void, isWatched: boolean) {
    this.#send = send;
    this.#isWatched = isWatched;
  }

  show(condition: Condition, isAlive: boolean): void {
    const lines = condition === this.#last ? [] : [`STATUS=${condition}`];
    this.#last = condition;
    if (!this.#isReady && condition !== "booting") {
      this.#isReady = true;
      lines.push("READY=1");
    }
    // A start may take long, as long as it gets on.
    if (!this.#isReady && isAlive) lines.push(`EXTEND_TIMEOUT_USEC=${EXTEND_US}`);
    if (this.#isWatched && isAlive) lines.push("WATCHDOG=1");
    if (lines.length > 0) this.#send(lines.join("\n"));
  }

  end(condition: Condition): void {
    this.#send(`STOPPING=1\nSTATUS=${condition === "zeroised" ? "zeroised" : "stopping"}`);
  }
}

/** What is sent may be lost when nobody reads: it is said again. */
function senderTo(name: string): (text: string) => void {
  const { functions, ffi } = loadLibc({
    socket: { arguments: ["i32", "i32", "i32"], return: "i32" },
    sendto: { arguments: ["i32", "pointer", "u64", "i32", "pointer", "u32"], return: "i64" },
  });
  const address = addressOf(name);
  const socket = functions.socket(AF_UNIX, KIND, 0);
  return (text) => {
    const bytes = Buffer.from(text);
    functions.sendto(
      socket,
      ffi.getRawPointer(bytes),
      BigInt(bytes.length),
      FLAGS,
      ffi.getRawPointer(address),
      address.length,
    );
  };
}

/** sockaddr_un; a name that begins with @ is of the abstract kind. */
function addressOf(name: string): Buffer {
  const path = Buffer.from(name.startsWith("@") ? `\0${name.slice(1)}` : name);
  if (path.length > MAX_PATH_BYTES) throw new RangeError(`NOTIFY_SOCKET is longer than ${MAX_PATH_BYTES} bytes`);
  const family = Buffer.alloc(2);
  new Uint16Array(family.buffer, family.byteOffset, 1)[0] = AF_UNIX;
  // A path of the file system ends with a zero, an abstract one with its length.
  return Buffer.concat([family, path, Buffer.alloc(path[0] === 0 ? 0 : 1)]);
}
