// The bodies of ETSI GS QKD 020 as JSON schemas, written from the standard's tables: what either end sends is held against them.

import { Ajv } from "ajv";

const UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
const BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
/** RFC 3986: reserved and unreserved characters, and `%`. */
const SAE_ID = "^[A-Za-z0-9._~:/?#@!$&'()*+,;=%\\[\\]-]{1,64}$";

const uuid = { type: "string", pattern: UUID } as const;
const sae = { type: "string", pattern: SAE_ID } as const;
const targets = { type: "array", items: sae, minItems: 1 } as const;
const callback = { type: "string", pattern: "^https://", maxLength: 1024 } as const;
/** Names begin with `E` and the number that IANA gave an enterprise. */
const extension = {
  type: "object",
  propertyNames: { pattern: "^E[0-9]+_" },
} as const;

const ackContainer = {
  type: "object",
  required: ["key_id_container", "ack_status", "initiator_sae_id", "target_sae_ids"],
  additionalProperties: false,
  properties: {
    key_id_container: {
      type: "array",
      maxItems: 1024,
      items: {
        type: "object",
        required: ["key_id"],
        additionalProperties: false,
        properties: { key_id: uuid, extension },
      },
    },
    ack_status: { enum: ["relayed", "failed", "voided", "failed to void", "key not present"] },
    initiator_sae_id: sae,
    target_sae_ids: targets,
    message: { type: "string", maxLength: 4096 },
    extension,
  },
} as const;

const SCHEMAS = {
  versions: {
    type: "object",
    required: ["versions"],
    additionalProperties: false,
    properties: {
      versions: { type: "array", items: { const: "v1" }, minItems: 1 },
      capabilities: { type: "array", items: { const: "synchronous_mode" } },
      extension,
    },
  },
  ext_key_container: {
    type: "object",
    required: ["keys", "initiator_sae_id", "target_sae_ids"],
    additionalProperties: false,
    properties: {
      keys: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          required: ["key_id", "value"],
          additionalProperties: false,
          properties: { key_id: uuid, value: { type: "string", pattern: BASE64, minLength: 4 }, extension },
        },
      },
      initiator_sae_id: sae,
      target_sae_ids: targets,
      ack_callback_url: callback,
      extension_mandatory: extension,
      extension_optional: extension,
    },
  },
  ack_containers: { type: "array", maxItems: 1024, items: ackContainer },
  void_container: {
    type: "object",
    required: ["key_ids", "initiator_sae_id", "target_sae_ids"],
    additionalProperties: false,
    properties: {
      key_ids: { type: "array", items: uuid },
      initiator_sae_id: sae,
      target_sae_ids: targets,
      ack_callback_url: callback,
      extension,
      all_confirmation: { type: "boolean" },
    },
  },
  /** RFC 9457. */
  problem: {
    type: "object",
    required: ["type", "status", "title", "details"],
    additionalProperties: false,
    properties: {
      type: { type: "string", pattern: "^https://qkd\\.etsi\\.org/gs020-interop-kms/[a-z-]+$" },
      status: { enum: [400, 401, 404, 405, 408, 503] },
      title: { type: "string" },
      details: { type: "object", additionalProperties: { type: "string" } },
    },
  },
} as const;

export type BodyName = keyof typeof SCHEMAS;

const ajv = new Ajv({ allErrors: true });
const VALIDATORS = new Map(Object.entries(SCHEMAS).map(([name, schema]) => [name, ajv.compile(schema)]));

/** What is wrong with a body; empty when nothing is. */
export function complaintsOf(name: BodyName, body: unknown): readonly string[] {
  const validate = VALIDATORS.get(name);
  if (validate === undefined) throw new Error(`there is no schema ${name}`);
  if (validate(body)) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${name}${instancePath} ${message}`);
}
