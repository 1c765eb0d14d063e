// What the reference network consists of, and where the files of a network and of a node lie.

import { join } from "node:path";
import type { PemFiles } from "./certificates.ts";

/** The listeners that every KM of the reference network has. */
export const DOORS = ["ak", "kx", "etsi014", "metrics", "controller"] as const;
/** Port numbers by door. */
export type Ports = Readonly<Record<(typeof DOORS)[number], number>>;

/** Ports of a single node, where nothing else usually listens. */
export const NODE_PORTS: Ports = { ak: 4161, kx: 4163, etsi014: 4014, metrics: 9414, controller: 4164 };

/** A KM of a planned network. */
export interface KmPlan {
  readonly id: string;
  readonly apps: readonly string[];
}

/** A link of a planned network. */
export interface LinkPlan {
  readonly id: string;
  readonly kms: readonly [string, string];
}

/** A network that is to be provisioned. */
export interface NetworkPlan {
  readonly kms: readonly KmPlan[];
  readonly links: readonly LinkPlan[];
}

/** The reference network: km-a ══ab══ km-b ══bc══ km-c. */
export const REFERENCE: NetworkPlan = {
  kms: [
    { id: "km-a", apps: ["app-a1", "app-a2"] },
    { id: "km-b", apps: ["app-b1"] },
    { id: "km-c", apps: ["app-c1", "app-c2"] },
  ],
  links: [
    { id: "ab", kms: ["km-a", "km-b"] },
    { id: "bc", kms: ["km-b", "km-c"] },
  ],
};

/** One machine of a network: a KM, or one member of a KM that has several. */
export interface RelayHop {
  readonly km: string;
  /** Undefined where the KM is one machine. */
  readonly member: string | undefined;
  /** Of its folder: the KM's ID, or `km-b.1`. */
  readonly name: string;
}

/** Which KM of the reference network has several members where any has. */
export const CLUSTERED = "km-b";

/** The machines of the reference network, km-b being so many members. */
export const stationsOf = (members: number): readonly RelayHop[] =>
  REFERENCE.kms.flatMap(({ id }): RelayHop[] =>
    id !== CLUSTERED || members === 1
      ? [{ km: id, member: undefined, name: id }]
      : Array.from({ length: members }, (_, at) => ({ km: id, member: String(at + 1), name: `${id}.${at + 1}` })),
  );

/** The controller that the reference network knows. */
export const CONTROLLER = "controller-1";

/** Whose certificates: of a KM's doors for clients, of applications, of KMs among one another, of controllers. */
export const AUTHORITIES = ["km_servers", "apps", "kms", "controllers"] as const;
/** `etcd`: of the voters of a cluster and the members that come to them; made only for KMs with several members. */
export const AUTHORITY_NAMES = [...AUTHORITIES, "etcd", "monitors"] as const;
/** One of them. */
export type AuthorityName = (typeof AUTHORITY_NAMES)[number];

const pem = (dir: string, name: string): PemFiles => ({
  cert: join(dir, `${name}.pem`),
  key: join(dir, `${name}.key`),
});

/** Paths of an authority's certificate and key. */
export const authorityFiles = (dir: string, name: AuthorityName): PemFiles => pem(dir, name);
/** Paths of an application's certificate and key. */
export const appFiles = (dir: string, id: string): PemFiles => pem(dir, id);
/** Paths of a controller's certificate and key. */
export const controllerFiles = (dir: string, id: string): PemFiles => pem(dir, id);

/** Where everything of the reference network lies below `dir`. */
export const networkPlaces = (dir: string) => ({
  authorities: join(dir, "ca"),
  apps: join(dir, "apps"),
  controllers: join(dir, "controllers"),
  node: (km: string) => join(dir, km),
  pairingKey: (link: string) => join(dir, "links", link, "pairing.key"),
  /** Pseudo-terminal of one end of a simulated link. */
  module: (link: string, km: string) => join(dir, "links", link, km),
  runFile: (link: string) => join(dir, "links", link, "run"),
  linkLog: (link: string) => join(dir, "links", link, "module.log"),
  /** Certificates of the simulated vendor's boxes of a link, and of the KMs that come to them. */
  boxes: (link: string) => join(dir, "links", link, "boxes"),
  /** One voter of etcd, and where all of them listen. */
  etcd: (name: string) => join(dir, "etcd", name),
  etcdPlan: join(dir, "etcd", "plan.json"),
  /** Who runs the network now. */
  owner: join(dir, "up.json"),
  network: join(dir, "network.json"),
});

/** Largest label of a PKCS#11 token, in bytes. */
const LABEL_BYTES = 32;
/** The label of a KM's token, unless its configuration names another. */
export const tokenLabel = (km: string): string => `qkm ${km}`.slice(0, LABEL_BYTES);

/** Where everything of one node lies below `dir`. */
export const nodePlaces = (dir: string) => ({
  config: join(dir, "node.toml"),
  server: pem(join(dir, "tls"), "server"),
  kx: pem(join(dir, "tls"), "kx"),
  token: join(dir, "token"),
  pin: join(dir, "pin"),
  soPin: join(dir, "so-pin"),
  log: join(dir, "km.log"),
  audit: join(dir, "audit"),
});
