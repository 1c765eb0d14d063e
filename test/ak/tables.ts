// The messages of Ak as tables 1 to 11 of Q.4161 have them, copied by hand: what the conversations of the tests are made of.

type Type = "String" | "Integer" | "Objects" | "Keys" | "IDs";

interface Row {
  readonly need: "M" | "O";
  readonly type: Type;
  /** A value that is right. */
  readonly sample: unknown;
}

export interface Table {
  readonly code: number;
  readonly table: number;
  /** Who sends it. */
  readonly from: "app" | "km";
  /** The message that answers it. */
  readonly answeredBy?: number;
  readonly rows: Readonly<Record<string, Row>>;
}

const row = (need: "M" | "O", type: Type, sample: unknown): Row => ({ need, type, sample });
const app = (need: "M" | "O", id: string): Row => row(need, "String", id);
const KEY = { key: Buffer.alloc(32, 0x5a).toString("base64"), key_ID: "00000000-0500-8c02-8000-000000000001" };
const extension = row("O", "Objects", [{ name: "unheard-of", value: 1 }]);
const keys = row("M", "Keys", [KEY, { ...KEY, key_extension: { hash: "…" } }]);
const name = row("O", "String", "vpn");
const session = row("M", "String", "s-1");
const number = row("O", "Integer", 2);
const size = row("O", "Integer", 256);
const response = row("M", "String", "success");

/** In the order of the tables. */
export const TABLES: readonly Table[] = [
  {
    code: 0x2101,
    table: 1,
    from: "app",
    answeredBy: 0x1203,
    rows: {
      application_source_ID: app("O", "app-a1"),
      application_destination_ID: app("M", "app-c1"),
      application_name: name,
      number_of_keys: number,
      size_of_key: size,
      extension,
    },
  },
  {
    code: 0x2102,
    table: 2,
    from: "app",
    answeredBy: 0x1203,
    rows: {
      application_source_ID: app("M", "app-c1"),
      application_destination_ID: app("O", "app-a1"),
      application_name: name,
      key_IDs: row("M", "IDs", [{ key_ID: KEY.key_ID }, { key_ID: KEY.key_ID, key_ID_extension: {} }]),
      extension,
    },
  },
  { code: 0x1203, table: 3, from: "km", rows: { keys, response, extension } },
  {
    code: 0x2104,
    table: 4,
    from: "app",
    answeredBy: 0x1205,
    rows: {
      application_source_ID: app("M", "app-a1"),
      application_destination_ID: app("M", "app-c1"),
      application_name: name,
      number_of_keys: number,
      extension,
    },
  },
  {
    code: 0x1205,
    table: 5,
    from: "km",
    rows: { session_ID: session, response, source_KM_ID: row("O", "String", "km-a"), extension },
  },
  {
    code: 0x1206,
    table: 6,
    from: "km",
    answeredBy: 0x2107,
    rows: {
      application_source_ID: app("M", "app-c1"),
      application_destination_ID: app("M", "app-a1"),
      application_name: name,
      session_ID: session,
      number_of_keys: number,
      extension,
    },
  },
  { code: 0x2107, table: 7, from: "app", rows: { session_ID: session, response, extension } },
  {
    code: 0x2108,
    table: 8,
    from: "app",
    answeredBy: 0x1209,
    rows: { session_ID: session, number_of_keys: number, size_of_key: size, extension },
  },
  { code: 0x1209, table: 9, from: "km", rows: { session_ID: session, keys, response, extension } },
  { code: 0x120a, table: 10, from: "km", answeredBy: 0x210b, rows: { session_ID: session, keys, extension } },
  {
    code: 0x210b,
    table: 11,
    from: "app",
    rows: { session_ID: session, key_ID: row("M", "String", KEY.key_ID), response, extension },
  },
];

export type Json = Readonly<Record<string, unknown>>;

/** The message with all its parameters. */
export const whole = ({ rows }: Table): Json =>
  Object.fromEntries(Object.entries(rows).map(([parameter, { sample }]) => [parameter, sample]));

/** The message with its mandatory parameters alone. */
export const least = ({ rows }: Table): Json =>
  Object.fromEntries(
    Object.entries(rows).flatMap(([parameter, { need, sample }]) => (need === "M" ? [[parameter, sample]] : [])),
  );

const without = (json: Json, parameter: string): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => key !== parameter));

/** Values that are wrong for each type. */
const WRONG: Readonly<Record<Type, readonly unknown[]>> = {
  String: [null, true, 7, [], {}, ["app-c1"]],
  Integer: [null, true, "2", [], {}, 1.5, -1, 1e300],
  Objects: [null, true, 7, "x", {}, [1], [null], [[]]],
  Keys: [
    null,
    7,
    "x",
    {},
    [1],
    [null],
    [{}],
    [{ key: "" }],
    [{ key_ID: "" }],
    [{ ...KEY, key: 7 }],
    [{ ...KEY, key_ID: 7 }],
  ],
  IDs: [null, 7, "x", {}, [1], [null], [{}], [{ key_ID: 7 }], [{ key_ID: "", key_ID_extension: 7 }]],
};

export interface Case {
  readonly title: string;
  /** The parameter at fault. */
  readonly parameter: string;
  readonly json: Json;
}

/** Messages that are right: whole, least, each optional parameter alone and each absent or null, and with what no table has. */
export function rightOnes(table: Table): readonly Case[] {
  const optional = Object.entries(table.rows).filter(([, { need }]) => need === "O");
  return [
    { title: "with all parameters", parameter: "", json: whole(table) },
    { title: "with the mandatory parameters alone", parameter: "", json: least(table) },
    { title: "with an unknown parameter", parameter: "", json: { ...whole(table), unheard_of: [1, { two: 3 }] } },
    ...optional.map(([parameter, { sample }]) => ({
      title: `with ${parameter}`,
      parameter,
      json: { ...least(table), [parameter]: sample },
    })),
    ...optional.map(([parameter]) => ({
      title: `with ${parameter} null`,
      parameter,
      json: { ...whole(table), [parameter]: null },
    })),
    ...optional.map(([parameter]) => ({
      title: `without ${parameter}`,
      parameter,
      json: without(whole(table), parameter),
    })),
  ];
}

/** Messages that are wrong: each mandatory parameter missing, and each parameter of every wrong type. */
export function wrongOnes(table: Table): readonly Case[] {
  return Object.entries(table.rows).flatMap(([parameter, { need, type }]) => [
    ...(need === "M" ? [{ title: `without ${parameter}`, parameter, json: without(whole(table), parameter) }] : []),
    ...WRONG[type]
      .filter((value) => value !== null || need === "M")
      .map((value) => ({
        title: `with ${parameter} ${JSON.stringify(value)}`,
        parameter,
        json: { ...whole(table), [parameter]: value },
      })),
  ]);
}
