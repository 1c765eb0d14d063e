// Requests of the QKDN controller, read with distrust: path, query, body.

import type { IncomingMessage } from "node:http";
import { malformed } from "../../core/fault.ts";
import { type KmId, kmId } from "../../core/ids.ts";
import type { Route } from "../../core/topology/topology.ts";
import { BASE, RESOURCES, type ResourceName } from "./resources.ts";

/** Longest body of a request. */
export const BODY_BYTES = 65_536;
/** As many as a body holds anyway; what is more fails before its IDs are looked at. */
const MOST_ITEMS = 1024;

/** A resource that is there, and what the path and the query say of it. */
export interface Target {
  readonly name: ResourceName;
  /** The ID in the path, of resources that have one. */
  readonly km: KmId | undefined;
  /** Numbers in the query, such as `after`; 0 for those that it does not have. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** Undefined when there is no such resource. @throws Fault MALFORMED_REQUEST when the query or an ID is wrong */
export function targetOf(url: string): Target | undefined {
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  if (!path.startsWith(BASE)) return undefined;
  const [name = "", id, ...rest] = path.slice(BASE.length).split("/");
  if (!isResource(name) || rest.length > 0 || (id !== undefined) !== RESOURCES[name].path.includes("/"))
    return undefined;
  const numbers = numbersOf(name, mark < 0 ? "" : url.slice(mark + 1));
  return { name, km: id === undefined ? undefined : kmId(decoded(id)), numbers };
}

const isResource = (name: string): name is ResourceName => Object.hasOwn(RESOURCES, name);

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw malformed("the ID in the path is not URL-encoded UTF-8", cause);
  }
}

/** What the query of a resource may have; each is a whole number. */
const QUERIES: Readonly<Partial<Record<ResourceName, readonly string[]>>> = {
  relays: ["after"],
  faults: ["after"],
  overview: ["relays_after", "faults_after"],
  directory: ["from"],
};

function numbersOf(name: ResourceName, query: string): Readonly<Record<string, number>> {
  if (query === "") return {};
  const known = QUERIES[name] ?? [];
  const parts = query.split("&").map((part) => /^([a-z_]+)=(\d{1,15})$/.exec(part));
  const numbers = parts.flatMap((found) =>
    found?.[1] && known.includes(found[1]) ? [[found[1], Number(found[2])]] : [],
  );
  if (numbers.length === parts.length) return Object.fromEntries(numbers);
  const how = known.map((one) => `${one}=N`).join("&");
  throw malformed(known.length > 0 ? `the query must be ${how}, N a whole number` : `${name} takes no query`);
}

/** The whole body. @throws Fault MALFORMED_REQUEST when it is too long or no JSON object */
export async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  return objectOf(parsed(await bytesOf(request)), "the body");
}

/** A longer body is read to its end. */
async function bytesOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length <= BODY_BYTES) chunks.push(chunk);
    }
  } catch (cause) {
    throw malformed("the body did not come whole", cause);
  }
  if (length > BODY_BYTES) throw malformed(`the body is longer than ${BODY_BYTES} bytes`);
  return Buffer.concat(chunks);
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw malformed("the body is not JSON in UTF-8", cause);
  }
}

/** @throws Fault MALFORMED_REQUEST */
export function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw malformed(`${what} must be a JSON object`);
}

/** `{"routes": [{"transit": ["km-b"]}, …]}`, in order of priority. @throws Fault MALFORMED_REQUEST */
export function routesOf(body: Readonly<Record<string, unknown>>): readonly Route[] {
  onlyMember(body, "routes", "the body");
  return listOf(body.routes, "routes").map((entry, at) => {
    const where = `routes[${at}]`;
    const route = objectOf(entry, where);
    onlyMember(route, "transit", where);
    return listOf(route.transit, `${where}.transit`).map((id, index) => kmOf(id, `${where}.transit[${index}]`));
  });
}

function onlyMember(of: Readonly<Record<string, unknown>>, name: string, where: string): void {
  const other = Object.keys(of).find((key) => key !== name);
  if (other !== undefined) throw malformed(`${where} has ${JSON.stringify(other)}; its one member is ${name}`);
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value) && value.length <= MOST_ITEMS) return value;
  throw malformed(`${what} must be an array of at most ${MOST_ITEMS}`);
}

function kmOf(value: unknown, what: string): KmId {
  try {
    return kmId(typeof value === "string" ? value : "");
  } catch (cause) {
    throw malformed(`${what} must be a KM's ID`, cause);
  }
}
