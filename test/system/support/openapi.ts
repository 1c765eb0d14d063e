// docs/openapi-etsi014.json held against what the door of ETSI GS QKD 014 answers, and is asked.

import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

/** The shipped description of the door. */
export const OPENAPI = JSON.parse(
  readFileSync(new URL("../../../docs/openapi-etsi014.json", import.meta.url), "utf8"),
) as {
  readonly paths: Readonly<Record<string, object>>;
};

/** A request below `/api/v1/keys/` and its answer. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly body: string | undefined;
  readonly status: number;
  readonly answer: string;
}

const DOCUMENT = "openapi.json";
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(OPENAPI, DOCUMENT);
const compiled = new Map<string, ValidateFunction>();

/** The value at a JSON pointer; undefined where there is none. */
const at = (...names: readonly string[]): unknown =>
  names.reduce<unknown>(
    (value, name) => (typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined),
    OPENAPI,
  );

const pointer = (...names: readonly string[]): string =>
  `#/${names.map((name) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")}`;

/** Where the schema of a body is, whose place may be a reference. */
function schemaAt(...names: readonly string[]): string {
  const found = at(...names);
  const ref = typeof found === "object" && found !== null ? Reflect.get(found, "$ref") : undefined;
  const place = typeof ref === "string" ? ref.slice(2).split("/") : names;
  return pointer(...place, "content", "application/json", "schema");
}

/** @throws Error that says what is wrong */
function check(schema: string, text: string, what: string): void {
  const known = compiled.get(schema);
  const validate = known ?? ajv.compile({ $ref: `${DOCUMENT}${schema}` });
  compiled.set(schema, validate);
  if (validate(JSON.parse(text))) return;
  throw new Error(`${what} is not as docs/openapi-etsi014.json says: ${ajv.errorsText(validate.errors)}\n${text}`);
}

/** The path of the description that a request names; undefined for none. */
function templateOf(path: string): string | undefined {
  const [, operation] = path.split("?", 1)[0]?.split("/") ?? [];
  return Object.keys(OPENAPI.paths).find((template) => template.endsWith(`}/${operation}`));
}

/** Holds an exchange against the description: the answer always, the request where it succeeded. @throws Error when it differs */
export function checkExchange({ method, path, body, status, answer }: Exchange): void {
  const template = templateOf(path);
  if (template === undefined) return;
  const operation = ["paths", template, method.toLowerCase()];
  const what = `${method} ${path}: ${status}`;
  if (at(...operation, "responses", String(status)) === undefined)
    throw new Error(`${what} is not in docs/openapi-etsi014.json`);
  if (answer !== "" || status !== 401) check(schemaAt(...operation, "responses", String(status)), answer, what);
  if (status === 200 && body !== undefined) check(schemaAt(...operation, "requestBody"), body, `the body of ${what}`);
}
