// The doors that are closed unless the configuration has them; their code is loaded only then.

import type { DoorConfig, Etsi020Config, NodeConfig, SkipConfig } from "../../config.ts";
import { uriOfKm } from "../../core/certificate-names.ts";
import type { Fault } from "../../core/fault.ts";
import type { Audit, Clock, Log, Meter } from "../../core/ports.ts";
import type { Borders as BordersType } from "../../keys/borders/borders.ts";
import type { KeyManager } from "../../keys/manager/key-manager.ts";
import type { KeyDoor } from "../../keys/ports/keys.ts";
import { type Identify, identifier } from "../../net/tls/certificate-names.ts";
import type { NodeCredentials } from "../credentials.ts";
import { limitsOf } from "../settings.ts";

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
  /** Reads what another configuration says of it. @throws Error when a file cannot be used */
  prepare?(next: NodeConfig): PreparedDoor;
}

/** What a reload changes of a door, ready to be taken. */
interface PreparedDoor {
  /** Files that it names have changed. */
  readonly isRenewed: boolean;
  take(): void;
  /** It will not be taken. */
  leave?(): void;
}

/** What is needed to open one: `memory` gives locked memory, all zero. */
interface Opening {
  readonly live: { readonly current: NodeConfig };
  readonly credentials: NodeCredentials;
  readonly ports: DoorPorts;
  readonly memory: (bytes: number) => Uint8Array;
  readonly parts: AsyncDisposableStack;
}

/** By name, as the metrics have it; a new door is a row here. Undefined where the configuration has none. */
const DOORS: Readonly<Record<string, (opening: Opening) => Promise<OpenDoor | undefined> | undefined>> = {
  skip: (opening) => opening.live.current.skip && openSkip(opening.live.current.skip, opening),
  etsi020: (opening) =>
    opening.live.current.etsi020 ? openEtsi020(opening.live.current.etsi020, opening) : openBordersElsewhere(opening),
  etsi004: (opening) => opening.live.current.etsi004 && openEtsi004(opening.live.current.etsi004, opening),
};

/** What a reload changes of all of them: taken or left. */
export interface PreparedDoors {
  /** Those whose files have changed. */
  readonly renewed: readonly string[];
  take(): void;
  leave(): void;
}

/** The doors that the configuration opens beside Ak and ETSI 014. */
export interface MoreDoors {
  /** Open, by door. */
  connections(): Readonly<Record<string, number>>;
  /** The books are read. */
  opened(keys: KeyManager): void;
  /** Reads what another configuration says of them. @throws Error when a file cannot be used: nothing has changed then */
  prepare(next: NodeConfig): PreparedDoors;
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
    prepare(next) {
      const prepared = open.flatMap(([name, door]) => {
        const one = door.prepare?.(next);
        return one === undefined ? [] : [{ name, ...one }];
      });
      return {
        renewed: prepared.filter(({ isRenewed }) => isRenewed).map(({ name }) => name),
        take: () => {
          for (const { take } of prepared) take();
        },
        leave: () => {
          for (const { leave } of prepared) leave?.();
        },
      };
    },
  };
}

const SKIP_MEMORY_BYTES = 65_536;

async function openSkip(config: SkipConfig, { live, ports, credentials, memory, parts }: Opening): Promise<OpenDoor> {
  const [{ startSkip }, { PreSharedTable }] = await Promise.all([
    import("../../skip/server.ts"),
    import("./pre-shared-table.ts"),
  ]);
  const table = parts.use(new PreSharedTable(config.psk));
  const systems = {
    get local() {
      return live.current.skip?.system ?? config.system;
    },
    get remotes() {
      return live.current.skip?.remotes ?? config.remotes;
    },
  };
  const options = { systems, preShared: table.keys, memory: memory(SKIP_MEMORY_BYTES) };
  const maxConnections = limitsOf(live).places("skip");
  const server = await startSkip({ ...config, maxConnections, tls: credentials.of("skip"), ...options }, ports);
  return {
    get connections() {
      return server.connections;
    },
    prepare: ({ skip }) => table.prepare(skip?.psk ?? []),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A power of two: a chunk, and the base64 of the key in it that is written last. */
const ETSI004_MEMORY_BYTES = 131_072;

async function openEtsi004(config: DoorConfig, { live, ports, credentials, memory }: Opening): Promise<OpenDoor> {
  const [{ startEtsi004 }, { Streams }, { StreamGate }] = await Promise.all([
    import("../../etsi004/server.ts"),
    import("../../keys/streams/streams.ts"),
    import("../../keys/streams/stream-gate.ts"),
  ]);
  const streams = new StreamGate();
  const maxConnections = limitsOf(live).places("etsi004");
  const options = { ...config, maxConnections, tls: credentials.of("etsi004"), memory: memory(ETSI004_MEMORY_BYTES) };
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

async function openEtsi020(config: Etsi020Config, { live, ports, credentials, memory }: Opening): Promise<OpenDoor> {
  const [{ startEtsi020 }, { Borders, BORDERS_BYTES }, { BorderGate }] = await Promise.all([
    import("../../etsi020/server.ts"),
    import("../../keys/borders/borders.ts"),
    import("../../keys/borders/border-gate.ts"),
  ]);
  const gate = new BorderGate();
  const tls = { tls: credentials.of("etsi020"), clientTls: credentials.of("etsi020Client") };
  let known = identifier(config.borders, uriOfKm);
  const identify: Identify = (certificate) => known?.(certificate);
  const maxConnections = limitsOf(live).places("etsi020");
  const server = await startEtsi020(
    { ...config, maxConnections, ...tls, memory: memory(ETSI020_MEMORY_BYTES) },
    { ...ports, identify, borders: gate },
  );
  const scratch = memory(BORDERS_BYTES);
  let opened: Pick<BordersType, "configure"> | undefined;
  const settingsNow = ({ borders, timeoutMs }: Etsi020Config) =>
    new Map(borders.map(({ id, url }) => [id, { line: server.lines.get(id), isOut: url !== undefined, timeoutMs }]));
  return {
    get connections() {
      return server.connections;
    },
    opened: (keys) =>
      keys.openBorders((host) => {
        const borders = gate.open(new Borders(host, settingsNow(live.current.etsi020 ?? config), scratch));
        opened = borders;
        return borders;
      }),
    prepare: ({ etsi020 = config }) => ({
      isRenewed: false,
      take() {
        known = identifier(etsi020.borders, uriOfKm);
        server.change(etsi020);
        opened?.configure(settingsNow(etsi020));
      },
    }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** No border here, but keys for applications here that cross one at another KM. */
async function openBordersElsewhere({ live, memory }: Opening): Promise<OpenDoor | undefined> {
  const { apps, node } = live.current;
  if (!apps.some(({ border, home }) => border !== undefined && home !== node.id)) return undefined;
  const { Borders, BORDERS_BYTES } = await import("../../keys/borders/borders.ts");
  const scratch = memory(BORDERS_BYTES);
  return {
    connections: 0,
    opened: (keys) => void keys.openBorders((host) => new Borders(host, new Map(), scratch)),
    [Symbol.asyncDispose]: async () => {},
  };
}
