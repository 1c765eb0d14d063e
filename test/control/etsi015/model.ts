// What the YANG module etsi-qkd-sdn-node (ETSI GS QKD 015 V2.1.1) says of a node's data, as far as it can be held against JSON.

type Check = (value: unknown, where: string) => readonly string[];

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const leaf =
  (isRight: (value: unknown) => boolean, what: string): Check =>
  (value, where) =>
    isRight(value) ? [] : [`${where}: ${JSON.stringify(value)} is no ${what}`];

const uuid = leaf((value) => typeof value === "string" && UUID.test(value), "uuid");
const text = leaf((value) => typeof value === "string", "string");
const flag = leaf((value) => typeof value === "boolean", "boolean");
const uri = leaf((value) => typeof value === "string" && URL.canParse(value), "uri");
const time = leaf((value) => typeof value === "string" && !Number.isNaN(Date.parse(value)), "date-and-time");
const uint32 = leaf((value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32, "uint32");
/** A string in JSON: RFC 7951 6.1. */
const decimal = leaf((value) => typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value), "decimal64");
const identity = (...names: readonly string[]): Check =>
  leaf((value) => names.some((name) => value === `etsi-qkd-node-types:${name}`), `identity of ${names.join(", ")}`);

/** A leaf-list. */
const each =
  (check: Check): Check =>
  (value, where) =>
    Array.isArray(value) ? value.flatMap((one, at) => check(one, `${where}[${at}]`)) : [`${where} is no array`];

/** A container: members that are not in the model are refused, all but the required may be absent. */
const container =
  (members: Readonly<Record<string, Check>>, ...required: readonly string[]): Check =>
  (value, where) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${where} is no object`];
    const missing = required.filter((name) => !Object.hasOwn(value, name)).map((name) => `${where}.${name} is missing`);
    const found = Object.entries(value).flatMap(([name, one]) => {
      const check = Object.hasOwn(members, name) ? members[name] : undefined;
      return check === undefined ? [`${where}.${name} is not in the model`] : check(one, `${where}.${name}`);
    });
    return [...missing, ...found];
  };

/** A list with its key, which no two entries share. */
const list = (key: string, members: Readonly<Record<string, Check>>): Check => {
  const entries = each(container(members, key));
  return (value, where) => {
    const wrong = entries(value, where);
    const keys = Array.isArray(value) ? value.map((one: Record<string, unknown>) => one[key]) : [];
    return new Set(keys).size === keys.length ? wrong : [...wrong, `${where} has a ${key} twice`];
  };
};

/** What is wrong with a `qkd_node`; nothing when it is as the model wants it. */
export const complaintsOf = (node: unknown): readonly string[] => NODE(node, "qkd_node");

const NODE = container(
  {
    qkdn_id: uuid,
    qkdn_status: identity("NEW", "OPERATING", "DOWN", "FAILURE", "OUT"),
    qkdn_version: text,
    qkdn_location_id: text,
    qkdn_capabilities: container({
      link_stats_support: flag,
      application_stats_support: flag,
      key_relay_mode_enable: flag,
    }),
    qkd_applications: container({
      qkd_app: list("app_id", {
        app_id: uuid,
        app_status: identity("ON", "DISCONNECTED", "OUT-OF-TIME", "ZOMBIE"),
        app_type: identity("CLIENT", "INTERNAL"),
        server_app_id: uri,
        client_app_id: each(uri),
        app_priority: uint32,
        creation_time: time,
        expiration_time: time,
        app_statistics: container({
          statistics: list("end_time", { end_time: time, start_time: time, consumed_bits: uint32 }),
        }),
        app_qos: container({
          ...{ max_bandwidth: uint32, min_bandwidth: uint32, jitter: uint32, ttl: uint32 },
          ...{ clients_shared_path_enable: flag, clients_shared_keys_required: flag },
        }),
        backing_qkdl_id: each(uuid),
        local_qkdn_id: uuid,
        remote_qkdn_id: uuid,
      }),
    }),
    qkd_interfaces: container({
      qkd_interface: list("qkdi_id", {
        qkdi_id: uint32,
        qkdi_model: text,
        qkdi_type: text,
        qkdi_att_point: container({ device: text, port: uint32 }),
        qkdi_capabilities: container({ role_support: text, wavelength_range: text, max_absorption: decimal }),
        qkdi_status: identity("ENABLED", "DISABLED", "FAILED"),
      }),
    }),
    qkd_links: container({
      qkd_link: list("qkdl_id", {
        qkdl_id: uuid,
        qkdl_status: identity("ACTIVE", "PASSIVE", "PENDING", "OFF"),
        qkdl_enable: flag,
        qkdl_local: container({ qkdn_id: uuid, qkdi_id: uint32 }),
        qkdl_remote: container({ qkdn_id: uuid, qkdi_id: uint32 }),
        qkdl_type: identity("VIRT", "PHYS"),
        qkdl_applications: each(uuid),
        virt_prev_hop: uuid,
        virt_next_hop: each(uuid),
        virt_bandwidth: uint32,
        phys_channel_att: decimal,
        phys_wavelength: text,
        phys_qkd_role: text,
        qkdl_performance: container({
          ...{ expected_consumption: uint32, skr: uint32, eskr: uint32 },
          phys_perf: list("perf_type", { perf_type: identity("QBER", "SNR"), value: decimal }),
        }),
      }),
    }),
  },
  "qkdn_id",
);
