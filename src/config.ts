// A node's configuration: TOML text -> one frozen typed value, or every complaint at once.

import type { AppId, KmId, LinkId } from "./core/ids.ts";

/** Where to listen or dial. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Certificate, private key and trust anchor of one listener, as paths to PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** Everything one KM is told; paths are absolute, resolved against the file's directory. */
export interface NodeConfig {
  /** The file it came from. */
  readonly file: string;
  readonly node: {
    readonly id: KmId;
    readonly board: string;
    readonly storeDir: string;
    readonly controlSocket: string;
    /** Largest size of the store on disk. */
    readonly storeMaxBytes: number;
    readonly logLevel: "debug" | "info" | "warn" | "error";
  };
  readonly token: {
    readonly module: string;
    readonly label: string;
    readonly pinFile: string;
    /** SoftHSM's configuration file, exported as SOFTHSM2_CONF before the module is loaded. */
    readonly softhsmConf: string | undefined;
    readonly seal: "auto" | "direct" | "envelope";
    readonly epochMs: number;
    readonly epochSeals: number;
  };
  readonly memory: {
    readonly slabBytes: number;
    readonly ringBytes: number;
    readonly allowUnlocked: boolean;
  };
  readonly ak: {
    readonly listen: Endpoint;
    readonly tls: TlsFiles;
    readonly requireHybrid: boolean;
    readonly maxConnections: number;
  };
  readonly etsi014: {
    readonly listen: Endpoint;
    readonly tls: TlsFiles;
    readonly requireHybrid: boolean;
    readonly maxConnections: number;
  };
  readonly kx: { readonly listen: Endpoint; readonly tls: TlsFiles };
  readonly metrics: { readonly listen: Endpoint };
  readonly supply: {
    readonly defaultKeyBits: number;
    readonly timeoutMs: number;
    readonly maxWaiting: number;
    readonly maxAgeMs: number;
    readonly fetchWindowMs: number;
    readonly relayTimeoutMs: number;
    /** KMA-keys of stock per destination: relays begin below `low` and stop at `high`. */
    readonly stockLow: number;
    readonly stockHigh: number;
    /** KMA-keys that one source may have here. */
    readonly maxHeld: number;
    /** Quota of an app that names none. */
    readonly quotaBitsPerS: number;
    readonly quotaBurstBits: number;
  };
  readonly links: readonly LinkConfig[];
  readonly peers: readonly PeerConfig[];
  readonly apps: readonly AppConfig[];
}

export interface LinkConfig {
  readonly id: LinkId;
  readonly peer: KmId;
  readonly driver: string;
  /** Device path of the module. */
  readonly port: string;
  readonly blockBytes: number;
  /** Parts of the link's blocks owned by the KM whose ID sorts first, and by the other. */
  readonly share: readonly [number, number];
  readonly keepBlocks: number;
  readonly pairingKeyFile: string | undefined;
}

export interface PeerConfig {
  readonly id: KmId;
  readonly address: Endpoint;
  readonly dialect: "extended" | "strict";
}

export interface AppConfig {
  readonly id: AppId;
  readonly home: KmId;
  readonly quotaBitsPerS: number | undefined;
  readonly quotaBurstBits: number | undefined;
}
