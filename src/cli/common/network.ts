// network.json, the file by which others find the parts of a running network.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Endpoint } from "../../config.ts";
import type { AUTHORITIES } from "../provision/plan.ts";
import { CommandError, EXIT } from "./exit.ts";

/** A KM as network.json has it. */
export interface NetworkKm {
  readonly id: string;
  readonly pid: number;
  /** Path of its node.toml. */
  readonly config: string;
  readonly ak: Endpoint;
  readonly kx: Endpoint;
  readonly etsi014: { readonly url: string };
  readonly metrics: { readonly url: string };
  /** Absent when its configuration has no [controller]. */
  readonly controller?: { readonly url: string };
  /** Absent when its configuration has no [skip]; likewise the doors below. */
  readonly skip?: { readonly url: string };
  readonly etsi004?: Endpoint;
  readonly etsi015?: { readonly url: string };
  readonly etsi020?: { readonly url: string };
  /** Of a KM that is several machines; what stands beside it is that of the active one. */
  readonly members?: readonly NetworkMember[];
}

/** One machine of a KM that has several. */
export interface NetworkMember extends Omit<NetworkKm, "members"> {
  readonly active: boolean;
}

/** A voter of etcd. */
export interface NetworkEtcd {
  readonly pid: number;
  readonly url: string;
}

/** A link as network.json has it. */
export interface NetworkLink {
  readonly id: string;
  readonly kms: readonly [string, string];
  /** The process that simulates both modules. */
  readonly pid: number;
}

/** An application as network.json has it, with the paths of its certificate and key. */
export interface NetworkApp {
  readonly id: string;
  readonly km: string;
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

/** All paths are absolute. */
export interface NetworkFile {
  readonly kms: readonly NetworkKm[];
  readonly links: readonly NetworkLink[];
  /** Absent where no KM has several members. */
  readonly etcd?: readonly NetworkEtcd[];
  readonly apps: readonly NetworkApp[];
  readonly ca: Readonly<Record<(typeof AUTHORITIES)[number], string>>;
  /** Who may set routes: paths of PEM files. */
  readonly controller: { readonly cert: string; readonly key: string };
}

/** Where `npm start` keeps its network, below the folder where it is called. */
export const USUAL_DIR = ".qkm";
/** A network whose km-b has several members lies beside the usual one. */
export const usualDir = (members: number): string => (members > 1 ? `${USUAL_DIR}-cluster` : USUAL_DIR);
/** The name of that file in the folder of its network. */
export const NETWORK_FILE = "network.json";
/** The network file of `npm start`, from the folder of the repository. */
export const USUAL_NETWORK = `${USUAL_DIR}/${NETWORK_FILE}`;

/** @throws CommandError when there is none, or it is something else; it never tells what the file has: that may be a secret */
export function readNetwork(path: string): NetworkFile {
  if (!existsSync(path)) {
    const sentence = `no network runs here (${resolve(path)} is missing); start one with npm start, or name its network.json with --network.`;
    throw new CommandError(EXIT.unavailable, sentence);
  }
  const content = parsed(path, readFileSync(path, "utf8"));
  if (isNetwork(content)) return content;
  throw new CommandError(EXIT.config, `${path} is JSON, but no network.json: ${REMEDY}`);
}

const REMEDY = "give --network the file that qkm up names when all is ready (ready DIR/network.json).";

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without its cause, whose message quotes the text.
    throw new CommandError(EXIT.config, `${path} is no JSON, so it is no network.json: ${REMEDY}`);
  }
}

/** Whether it has the parts of one; qkm itself writes what is in them. */
const isNetwork = (content: unknown): content is NetworkFile =>
  typeof content === "object" &&
  content !== null &&
  ["kms", "links", "apps"].every((part) => Array.isArray(Reflect.get(content, part))) &&
  ["ca", "controller"].every((part) => typeof Reflect.get(content, part) === "object");

/** Whoever reads sees the old file or the new one, never half of one. */
export function writeAtomically(path: string, content: unknown): void {
  const half = `${path}.${process.pid}.new`;
  writeFileSync(half, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(half, path);
}

/** @throws CommandError naming those that there are */
export function named<T extends { readonly id: string }>(all: readonly T[], id: string, what: string): T {
  const found = all.find((one) => one.id === id);
  if (found !== undefined) return found;
  const ids = all.map((one) => one.id).join(", ");
  throw new CommandError(EXIT.usage, `there is no ${what} "${id}"; there is ${ids}.`);
}
