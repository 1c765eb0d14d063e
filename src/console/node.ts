// What the console asks of the node that it stands on: the running key manager, its files, and the system below.

import type { PeerFacts, SessionView } from "../keys/report.ts";
import type { Operator } from "./operators.ts";

/** What the console shows of a link. */
export interface LinkFacts {
  readonly id: string;
  readonly peer: string;
  readonly line: "up" | "down";
  /** What the module calls itself. */
  readonly module?: string;
  readonly qber?: number;
  readonly keyRateBitsPerS?: number;
  readonly alarms: readonly string[];
  readonly agreement: string;
  readonly stored: number;
  readonly usable: number;
  readonly blockBytes: number;
  readonly measuredBitsPerS: number;
  readonly padBytes: { readonly out: number; readonly in: number };
}

/** A member of a KM that is several machines, and what it knows of the others. */
export interface ClusterFacts {
  readonly member: string;
  readonly state: string;
  /** Of the active member: higher with each takeover. */
  readonly generation: number;
  /** For how long its copy has been behind the last write. */
  readonly lagMs: number;
  /** Negative when the lease could not be renewed in time. */
  readonly leaseLeftMs: number;
  readonly etcd: string;
  /** `behind`: writes that its copy lacks. */
  readonly others: readonly { readonly member: string; readonly state: string; readonly behind: number }[];
}

/** What a running key manager says of itself. */
export interface KmFacts {
  readonly km: string;
  readonly ready: boolean;
  readonly vault: {
    readonly token: string;
    readonly tokenReason?: string;
    readonly store: string;
    readonly mode: string;
    readonly epoch: number;
    readonly slots: { readonly all: number; readonly pinned: number; readonly intake: number };
  };
  /** Absent where the KM is one machine. */
  readonly cluster?: ClusterFacts;
  readonly health?: {
    readonly healthy: boolean;
    readonly parts: readonly { readonly name: string; readonly healthy: boolean; readonly silentMs: number }[];
  };
  readonly links: readonly LinkFacts[];
  readonly peers: readonly PeerFacts[];
  readonly sessions: { readonly initiator: number; readonly destination: number };
}

/** A warning or error of the log, as `show faults` has it. */
export interface FaultLine {
  readonly level: string;
  /** ISO 8601. */
  readonly time: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A certificate of the key manager's doors, one that it trusts, or the revocation list of one. */
export interface CertificateFacts {
  /** Table of the configuration that has it. */
  readonly door: string;
  readonly use: "own" | "trust" | "crl";
  /** Its URI, or its subject where it has none; of a list, its authority's. */
  readonly name: string;
  readonly subject: string;
  /** ISO 8601. */
  readonly until: string;
}

/** An event of the audit log, as `show audit` has it. */
export interface AuditEntry {
  /** ISO 8601. */
  readonly time: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Where a link's module is plugged in, as configured. */
export interface ModuleFacts {
  readonly link: string;
  readonly driver: string;
  readonly port: string;
}

/** One thing that the self-test looks at. */
export interface Check {
  readonly what: string;
  readonly passed: boolean;
  readonly found: string;
}

/** The running key manager. Every call throws `KmDown` while nobody answers, and Fault as it answered. */
export interface RunningKm {
  status(): Promise<KmFacts>;
  sessions(): Promise<readonly SessionView[]>;
  /** The last warnings and errors, oldest first. */
  faults(): Promise<readonly FaultLine[]>;
  /** Those that are in use now. */
  certificates(): Promise<readonly CertificateFacts[]>;
  metrics(): Promise<string>;
  /** False when it was so. */
  setLink(link: string, use: boolean): Promise<boolean>;
  /** Destroys all that is shared with a peer, and begins anew with it. */
  forget(peer: string): Promise<void>;
  /** Destroys all blocks of a link, and takes what its module brings from now on. */
  acceptModule(link: string): Promise<void>;
  logLevel(level?: string): Promise<string>;
  /** Takes the configuration as its file has it now. @throws Fault with every complaint: nothing has changed then */
  reload(): Promise<ReloadFacts>;
}

/** A change of the configuration: its key, and `added`, `removed` or `changed`. */
interface ReloadedKey {
  readonly key: string;
  readonly what: string;
}

/** What a reload has done. */
export interface ReloadFacts {
  readonly changed: readonly ReloadedKey[];
  /** What only the next start takes. */
  readonly restart: readonly ReloadedKey[];
  /** Tables that use renewed TLS files. */
  readonly renewed: readonly string[];
}

/** Nobody answers at the key manager's control socket. */
export class KmDown extends Error {
  override readonly name = "KmDown";
}

/** The KM as the console sees it; what it does not know is undefined. */
export interface ConsoleNode {
  /** By its configuration; undefined while there is none. */
  readonly id: string | undefined;
  readonly board: string;
  readonly version: string;
  readonly km: RunningKm;
  /** @throws Error when the list cannot be read */
  operators(): readonly Operator[];
  /** What people did goes to the audit log. @throws Fault when that cannot take it: nothing may be changed then */
  note(actor: string, what: string): Promise<void>;
  /** @throws Error when there is no configuration that can be read */
  configuration(): string;
  modules(): readonly ModuleFacts[];
  /** The last so many with `part` in their name or fields, oldest first; also while the key manager is down. */
  audit(count: number, part: string): Promise<readonly AuditEntry[]>;
  /** Verifies the audit log, with the token. @returns what was found @throws Error that says what is wrong with it */
  verifyAudit(signal: AbortSignal): Promise<readonly string[]>;
  /** The end of the key manager's log, lines of text. @throws Error that says why there is none */
  logs(count: number): Promise<readonly string[]>;
  /** Beyond what the key manager says of itself. */
  checks(): Promise<readonly Check[]>;
  /** Destroys all key, by the key manager or, while that is down, here. @returns how */
  zeroise(): Promise<string>;
  /** PEM of each certificate request, by the name of its key. */
  requests(): Promise<readonly { readonly name: string; readonly pem: string }[]>;
  /** @returns what a person is told @throws Error that says what is wrong with it */
  installCertificate(pem: string): Promise<readonly string[]>;
  /** Files with updates on the config medium. */
  updates(): readonly string[];
  /** What one of them would change, as lines. @throws Error when it is none, or not signed as it must be */
  updateContents(file: string): Promise<readonly string[]>;
  /** Tells lines of progress; resolves when it is installed. @throws Error that says why it is not */
  update(file: string, said: (line: string) => void, signal: AbortSignal): Promise<void>;
  /** Begins a restart of the machine. @throws Error where that cannot be done from here */
  reboot(): void;
}
