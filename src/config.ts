// Everything that one node is told, as the node works with it; `config/read.ts` makes it of the file.

import type { DriverName, LinkOptions } from "../drivers/index.ts";
import type { CertificateName } from "./core/certificate-names.ts";
import type { AppId, KmId, LinkId } from "./core/ids.ts";
import type { SessionPolicy, SupplyPolicy } from "./core/policy.ts";
import type { Group, MinTls, Suite } from "./core/tls-choices.ts";
import type { TopologyLink } from "./core/topology/topology.ts";

/** Where to listen or dial. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Certificate, private key and trust anchor of one listener or dialler, as paths to PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** The same with what is revoked, of who lets others in. */
export interface DoorTlsFiles extends TlsFiles {
  readonly crl: readonly string[];
  readonly requireCrl: boolean;
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
    /** What C_Initialize is given. */
    readonly parameters: string | undefined;
    readonly seal: "auto" | "direct" | "envelope";
    readonly epochMs: number;
    readonly epochSeals: number;
    /** Within which the token must answer a call. */
    readonly deadlineMs: number;
    /** `[memory] allow_unlocked`, for the memory shared with the token's process. */
    readonly allowUnlocked: boolean;
  };
  readonly memory: {
    readonly slabBytes: number;
    readonly ringBytes: number;
    readonly allowUnlocked: boolean;
  };
  readonly watchdog: {
    /** Path of the device, or `none`; undefined for the board's. */
    readonly device: string | undefined;
    readonly required: boolean;
  };
  readonly ak: DoorConfig;
  readonly etsi014: DoorConfig & {
    /** Additional slaves that a request may name; 0 for no multicast. */
    readonly mostSlaves: number;
  };
  readonly kx: { readonly listen: Endpoint; readonly tls: DoorTlsFiles };
  readonly metrics: { readonly listen: Endpoint };
  /** Where Prometheus connects over TLS, if it does. */
  readonly monitoring: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Where the QKDN controller connects, if there is one. */
  readonly controller: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Where an SDN controller reads over ETSI GS QKD 015, if there is one. */
  readonly etsi015: { readonly listen: Endpoint; readonly tls: DoorTlsFiles } | undefined;
  /** Doors that are closed unless they are configured. */
  readonly skip: SkipConfig | undefined;
  readonly etsi004: DoorConfig | undefined;
  readonly etsi020: Etsi020Config | undefined;
  /** What this KM shows and trusts where it connects to other networks. */
  readonly etsi020Client: { readonly tls: DoorTlsFiles } | undefined;
  /** Of a KM that is several machines; undefined for one that is a single machine. */
  readonly cluster: ClusterConfig | undefined;
  readonly supply: SupplyPolicy & {
    /** Quota of an app that names none. */
    readonly quotaBitsPerS: number;
    readonly quotaBurstBits: number;
  };
  readonly audit: {
    readonly dir: string;
    readonly maxBytes: number;
    readonly keep: "newest" | "all";
    readonly gatherMs: number;
  };
  /** Where a copy of log and audit log goes, if it does. */
  readonly syslog: SyslogConfig | undefined;
  readonly sessions: SessionPolicy;
  readonly links: readonly LinkConfig[];
  /** Every link of the network: this node's own, then those of `[[topology]]`. */
  readonly topology: readonly TopologyLink[];
  readonly peers: readonly PeerConfig[];
  readonly apps: readonly AppConfig[];
}

/** What every door for applications is told. */
export interface DoorConfig {
  readonly listen: Endpoint;
  readonly tls: DoorTlsFiles;
  readonly requireHybrid: boolean;
  readonly minTls: MinTls;
  /** Empty for the defaults. */
  readonly groups: readonly Group[];
  readonly ciphers: readonly Suite[];
  readonly maxConnections: number;
}

/** The door for Cisco SKIP. */
export interface SkipConfig extends DoorConfig {
  /** This KM's system ID. */
  readonly system: string;
  readonly remotes: readonly { readonly system: string; readonly app: AppId }[];
  /** Who may come without a certificate; the files have the keys. */
  readonly psk: readonly { readonly identity: string; readonly app: AppId; readonly keyFile: string }[];
}

/** The border to other networks. */
export interface Etsi020Config extends DoorConfig {
  /** This door as other networks reach it; undefined for the address where it listens. */
  readonly callbackUrl: string | undefined;
  readonly timeoutMs: number;
  readonly borders: readonly BorderConfig[];
}

/** A key manager of another network. */
export interface BorderConfig {
  readonly id: KmId;
  readonly url: string | undefined;
  readonly isSynchronous: boolean;
  /** Its certificates, where they are of another make; empty for those with our URI. */
  readonly certificates: readonly CertificateName[];
}

/** `[cluster]`: this member, and the etcd that all members share. */
export interface ClusterConfig {
  readonly member: string;
  /** The voters of etcd. */
  readonly endpoints: readonly Endpoint[];
  readonly tls: TlsFiles;
  readonly leaseS: number;
}

/** A syslog server, and what waits for it. */
export interface SyslogConfig {
  readonly server: Endpoint;
  /** Paths of PEM files. */
  readonly trust: string;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly dir: string;
  readonly maxBytes: number;
}

/** One of `[[links]]`: a QKD link that ends here. */
export interface LinkConfig {
  readonly id: LinkId;
  readonly peer: KmId;
  readonly driver: DriverName;
  /** Device path of the module, `usb:VENDOR:PRODUCT:SERIAL`, `tcp:HOST:PORT`, or the URL of a box. */
  readonly port: string;
  readonly blockBytes: number;
  /** Parts of the link's blocks owned by the KM whose ID sorts first, and by the other. */
  readonly share: readonly [number, number];
  readonly keepBlocks: number;
  /** What a route over it costs. */
  readonly cost: number;
  /** What it says to its driver, by the driver's schema. */
  readonly options: LinkOptions;
}

/** One of `[[peers]]`: another KM. */
export interface PeerConfig {
  readonly id: KmId;
  /** Its Kx listeners: one, or one for each of its members. */
  readonly addresses: readonly [Endpoint, ...Endpoint[]];
  readonly dialect: "extended" | "strict";
  /** Who may fetch what a strict peer relays to us; empty for an extended one. */
  readonly fetchApps: readonly AppId[];
  /** Routes that share no KM, over which each KMA-key to it travels in parts; 1 for no parts. */
  readonly paths: number;
}

/** One of `[[apps]]`: an application and the KM that is its home. */
export interface AppConfig {
  readonly id: AppId;
  readonly home: KmId;
  /** In another network: the border of `home` over which keys for it leave. */
  readonly border: KmId | undefined;
  /** Its certificates, where they are of another make; empty for those with our URI. */
  readonly certificates: readonly CertificateName[];
  readonly quotaBitsPerS: number | undefined;
  readonly quotaBurstBits: number | undefined;
}
