// Which KMs a controller looks after, and the links between them: from a TOML or JSON file, or a running network.

import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import * as v from "valibot";
import { ID_PATTERN, kmId, linkId } from "../../core/ids.ts";
import { Topology } from "../../core/topology/topology.ts";
import type { TlsMaterial } from "../../net/tls/options.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import type { NetworkFile } from "../common/network.ts";

/** A KM of the controller's domain. */
export interface DomainKm {
  readonly id: string;
  /** Of its controller endpoint. */
  readonly url: string;
}

/** What `domain.toml` says: the KMs, the topology, the controller's certificate. */
export interface Domain {
  readonly kms: readonly DomainKm[];
  readonly topology: Topology;
  /** The home of each application; undefined: the directory is left as it is. */
  readonly apps?: ReadonlyMap<string, string>;
  /** Who the controller is, and whose KMs it trusts. */
  readonly tls: TlsMaterial;
}

const id = v.pipe(v.string(), v.regex(ID_PATTERN, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -"));
const url = v.pipe(v.string(), v.regex(/^https:\/\/[^/?#\s]+$/, 'must be such as "https://192.0.2.7:4164"'));
const cost = v.pipe(v.number(), v.minValue(1, "must be at least 1"), v.maxValue(10_000, "must be at most 10000"));
const path = v.pipe(v.string(), v.minLength(1, "must be the path of a PEM file"));

const FILE = v.strictObject({
  certificate: path,
  key: path,
  trust: path,
  kms: v.pipe(v.array(v.strictObject({ id, url })), v.minLength(1, "must have one KM at least")),
  links: v.array(v.strictObject({ id, kms: v.strictTuple([id, id]), cost: v.optional(cost, 1) })),
  apps: v.optional(v.record(id, id)),
});

type Written = v.InferOutput<typeof FILE>;

/** @throws CommandError with every complaint */
export function readDomain(file: string): Domain {
  const { issues, output, success } = v.safeParse(FILE, parsed(file));
  if (!success) {
    throw new CommandError(
      EXIT.config,
      issues.map((issue) => `${file}: ${whereOf(issue)}: ${issue.message}`).join("\n"),
    );
  }
  const at = (name: string) => resolve(dirname(file), name);
  return domainOf(file, {
    ...output,
    certificate: at(output.certificate),
    key: at(output.key),
    trust: at(output.trust),
  });
}

const whereOf = (issue: v.BaseIssue<unknown>): string => v.getDotPath(issue) ?? "the file";

function parsed(file: string): unknown {
  const text = textOf(file);
  const isJson = file.endsWith(".json");
  try {
    return isJson ? JSON.parse(text) : parse(text);
  } catch (cause) {
    // What JSON.parse complains of quotes the file, which may be a secret by mistake.
    if (isJson) throw new CommandError(EXIT.config, `${file} is not JSON, though its name says so.`);
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new CommandError(EXIT.config, `${file} is not TOML: ${why}`, cause);
  }
}

function textOf(file: string): string {
  if (!existsSync(file)) throw new CommandError(EXIT.config, `there is no file ${file}.`);
  return readFileSync(file, "utf8");
}

/** @throws CommandError when a KM has no endpoint for controllers */
export function domainOfNetwork(file: string, { kms, links, ca, controller }: NetworkFile): Domain {
  const reached = kms.map(({ id: km, config, controller: door }) => {
    if (door !== undefined) return { id: km, url: door.url };
    throw new CommandError(EXIT.config, `${config} has no [controller]: add it, as docs/controller.md shows.`);
  });
  const known = links.map(({ id: link, kms: ends }) => ({ id: link, kms: [...ends] as [string, string], cost: 1 }));
  const files = { certificate: controller.cert, key: controller.key, trust: ca.km_servers };
  return domainOf(file, { ...files, kms: reached, links: known });
}

function domainOf(file: string, { certificate, key, trust, kms, links, apps }: Written): Domain {
  const ids = new Set(kms.map((km) => km.id));
  if (ids.size < kms.length) throw new CommandError(EXIT.config, `${file}: a KM is there twice.`);
  for (const {
    id: link,
    kms: [a, b],
  } of links) {
    if (a === b) throw new CommandError(EXIT.config, `${file}: link ${link} joins ${a} with itself.`);
    const stranger = [a, b].find((km) => !ids.has(km));
    if (stranger !== undefined)
      throw new CommandError(EXIT.config, `${file}: link ${link} ends at ${stranger}, which is none of the KMs.`);
  }
  for (const [app, home] of Object.entries(apps ?? {})) {
    if (!ids.has(home))
      throw new CommandError(EXIT.config, `${file}: the home of ${app} is ${home}, which is none of the KMs.`);
  }
  const topology = new Topology(
    links.map((link) => ({ id: linkId(link.id), kms: [kmId(link.kms[0]), kmId(link.kms[1])], cost: link.cost })),
  );
  const homes = apps && { apps: new Map(Object.entries(apps)) };
  return { kms, topology, ...homes, tls: { certificate: textOf(certificate), key: textOf(key), trust: textOf(trust) } };
}
