// The doors that are closed unless the configuration has them; their code is loaded only then.

import { readFileSync } from "node:fs";
import type { DoorConfig, Etsi020Config, NodeConfig, SkipConfig } from "../config.ts";
import { uriOfKm } from "../core/certificate-names.ts";
import type { Fault } from "../core/fault.ts";
import { type Secret, secretOf } from "../core/memory/secret.ts";
import type { Audit, Clock, Log, Meter } from "../core/ports.ts";
import { readDigits } from "../core/text/hex.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { KeyDoor } from "../keys/ports.ts";
import { type Identify, identifier } from "../net/tls/certificate-names.ts";
import type { PreSharedKeys } from "../net/tls/pre-shared.ts";
import type { NodeCredentials } from "./credentials.ts";

/** What all doors for applications are given. */
export interface DoorPorts {
  readonly door: KeyDoor;
  /** Whether an application may connect: one that is homed here. */
  readonly admit: (id: string) => Fault | undefined;
  /** Knows applications by certificates of other makes. */
  readonly identify: Identify | undefined;
  /** An application's certificate was revoked. */
  readonly disowned: (id: string) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly audit: Audit;
}

/** A door that is open. */
interface OpenDoor extends AsyncDisposable {
  readonly connections: number;
  /** The books are read: from now on it may do what it refused before. */
  opened?(keys: KeyManager): void;
}

/** What is needed to open one: `memory` gives locked memory, all zero. */
interface Opening {
  readonly config: NodeConfig;
  readonly credentials: NodeCredentials;
  readonly ports: DoorPorts;
  readonly memory: (bytes: number) => Uint8Array;
  readonly parts: AsyncDisposableStack;
}

/** By name, as the metrics have it; a new door is a row here. Undefined where the configuration has none. */
const DOORS: Readonly<Record<string, (opening: Opening) => Promise<OpenDoor> | undefined>> = {
  skip: (opening) => opening.config.skip && openSkip(opening.config.skip, opening),
  etsi020: (opening) => opening.config.etsi020 && openEtsi020(opening.config.etsi020, opening),
  etsi004: (opening) => opening.config.etsi004 && openEtsi004(opening.config.etsi004, opening),
};

/** The doors that the configuration opens beside Ak and ETSI 014. */
export interface MoreDoors {
  /** Open, by door. */
  connections(): Readonly<Record<string, number>>;
  /** The books are read. */
  opened(keys: KeyManager): void;
}

/** Opens those that the configuration has. @throws Error when one cannot listen, or a file cannot be used */
export async function openMoreDoors(opening: Opening): Promise<MoreDoors> {
  const open: (readonly [string, OpenDoor])[] = [];
  for (const [name, openDoor] of Object.entries(DOORS)) {
    const door = await openDoor(opening);
    if (door !== undefined) open.push([name, opening.parts.use(door)]);
  }
  return {
    connections: () => Object.fromEntries(open.map(([name, { connections }]) => [name, connections])),
    opened(keys) {
      for (const [, door] of open) door.opened?.(keys);
    },
  };
}

const SKIP_MEMORY_BYTES = 65_536;

async function openSkip(config: SkipConfig, { ports, credentials, memory, parts }: Opening): Promise<OpenDoor> {
  const { startSkip } = await import("../skip/server.ts");
  const { system, remotes, psk } = config;
  const preShared: PreSharedKeys = new Map(
    psk.map(({ identity, app, keyFile }) => [identity, { id: app, key: parts.use(readPreSharedKey(keyFile)) }]),
  );
  const options = { systems: { local: system, remotes }, preShared, memory: memory(SKIP_MEMORY_BYTES) };
  return await startSkip({ ...config, tls: credentials.of("skip"), ...options }, ports);
}

/** A power of two: a chunk, and the base64 of the key in it that is written last. */
const ETSI004_MEMORY_BYTES = 131_072;

async function openEtsi004(config: DoorConfig, { ports, credentials, memory }: Opening): Promise<OpenDoor> {
  const [{ startEtsi004 }, { Streams }, { StreamGate }] = await Promise.all([
    import("../etsi004/server.ts"),
    import("../keys/streams/streams.ts"),
    import("../keys/streams/stream-gate.ts"),
  ]);
  const streams = new StreamGate();
  const options = { ...config, tls: credentials.of("etsi004"), memory: memory(ETSI004_MEMORY_BYTES) };
  const listener = await startEtsi004(options, { ...ports, streams });
  return {
    get connections() {
      return listener.connections;
    },
    opened: (keys) => streams.open(keys.openStreams((host) => new Streams(host))),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

/** Half for bodies that come, half for those that leave: four of each at a time. */
const ETSI020_MEMORY_BYTES = 8 * 65_536;

async function openEtsi020(config: Etsi020Config, { ports, credentials, memory }: Opening): Promise<OpenDoor> {
  const [{ startEtsi020 }, { Borders }, { BorderGate }, { SCRATCH_BYTES }] = await Promise.all([
    import("../etsi020/server.ts"),
    import("../keys/borders/borders.ts"),
    import("../keys/borders/border-gate.ts"),
    import("../keys/borders/departure-intent.ts"),
  ]);
  const { borders, timeoutMs } = config;
  const gate = new BorderGate();
  const tls = { tls: credentials.of("etsi020"), clientTls: credentials.of("etsi020Client") };
  const identify = identifier(borders, uriOfKm);
  const server = await startEtsi020(
    { ...config, ...tls, memory: memory(ETSI020_MEMORY_BYTES) },
    { ...ports, identify, borders: gate },
  );
  const scratch = memory(SCRATCH_BYTES);
  const settings = new Map(
    borders.map(({ id, url }) => [id, { line: server.lines.get(id), isOut: url !== undefined, timeoutMs }]),
  );
  return {
    get connections() {
      return server.connections;
    },
    opened: (keys) => keys.openBorders((host) => gate.open(new Borders(host, settings, scratch))),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const LEAST_KEY_BYTES = 16;
const MOST_KEY_BYTES = 64;

/** A file with hexadecimal digits and perhaps a line end. @throws Error that names the file when it is something else */
function readPreSharedKey(path: string): Secret {
  const file = readFileSync(path);
  const digits = file.at(-1) === 0x0a ? file.length - 1 : file.length;
  const key = Buffer.alloc(digits >> 1);
  const isRight = digits % 2 === 0 && key.length >= LEAST_KEY_BYTES && key.length <= MOST_KEY_BYTES;
  const good = isRight && readDigits(file, key);
  file.fill(0);
  if (good) return secretOf(key);
  throw new Error(`${path} must have 32 to 128 hexadecimal digits; make one with: openssl rand -hex 32 > '${path}'`);
}
