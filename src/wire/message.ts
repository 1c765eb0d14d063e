// Message tables: a protocol's messages as values, from which checks, types, documentation and tests follow.

import { Fault } from "../core/fault.ts";

declare const shape: unique symbol;

/** The type of a parameter's JSON value. */
export interface ParameterType<T> {
  /** What the documentation calls it. */
  readonly name: string;
  /** What is wrong with `value`, which the sentence calls `at`; `undefined` when it fits. */
  complaint(value: unknown, at: string): string | undefined;
  readonly [shape]?: T;
}

/** One parameter of a message: its type, whether it is mandatory, and what it means. */
export interface Parameter<T, Need extends "M" | "O"> {
  readonly type: ParameterType<T>;
  /** M: mandatory, O: optional, as in the standards' tables. */
  readonly need: Need;
  readonly doc: string;
}

type Parameters = Readonly<Record<string, Parameter<unknown, "M" | "O">>>;

/** One row of a protocol's table. */
export interface Message<P extends Parameters = Parameters> {
  /** CommandCode of the frame. */
  readonly code: number;
  readonly clause: string;
  readonly parameters: P;
}

type MandatoryNames<P> = { [N in keyof P]: P[N] extends Parameter<unknown, "M"> ? N : never }[keyof P];
type ValueOf<Row> = Row extends Parameter<infer T, "M" | "O"> ? T : never;

/** The payload of a message, typed. */
export type PayloadOf<M> =
  M extends Message<infer P>
    ? { readonly [N in MandatoryNames<P>]: ValueOf<P[N]> } & {
        readonly [N in Exclude<keyof P, MandatoryNames<P>>]?: ValueOf<P[N]>;
      }
    : never;

/** A row of a message table: its code, its clause, its parameters. */
export const message = <P extends Parameters>(code: number, clause: string, parameters: P): Message<P> => ({
  code,
  clause,
  parameters,
});

/** A mandatory parameter. */
export const required = <T>(type: ParameterType<T>, doc: string): Parameter<T, "M"> => ({ type, need: "M", doc });
/** An optional parameter. */
export const optional = <T>(type: ParameterType<T>, doc: string): Parameter<T, "O"> => ({ type, need: "O", doc });

/**
 * The payload as the message's type; members that the table does not name are tolerated, and null is the same as absent.
 * @throws Fault MALFORMED_REQUEST that names the parameter and what it must be
 */
export function check<P extends Parameters>(row: Message<P>, json: object): PayloadOf<Message<P>> {
  const members = json as Record<string, unknown>;
  let hasNull = false;
  for (const name in row.parameters) {
    const complaint = complaintAbout(row.parameters[name], members, name);
    if (complaint !== undefined) throw new Fault("MALFORMED_REQUEST", { text: complaint });
    hasNull ||= members[name] === null;
  }
  return (hasNull ? withoutNull(members) : json) as PayloadOf<Message<P>>;
}

const withoutNull = (members: Record<string, unknown>): object =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));

function complaintAbout(
  parameter: Parameter<unknown, "M" | "O"> | undefined,
  members: Record<string, unknown>,
  name: string,
): string | undefined {
  if (parameter === undefined) return undefined;
  if (Object.hasOwn(members, name) && members[name] !== null) return parameter.type.complaint(members[name], name);
  return parameter.need === "M" ? `${name} is missing` : undefined;
}

/** The rows of a table by their code. @throws Error when two rows have one code */
export function byCode<Row extends Message>(table: Readonly<Record<string, Row>>): ReadonlyMap<number, Row> {
  const rows = new Map<number, Row>();
  for (const row of Object.values(table)) {
    if (rows.has(row.code)) throw new Error(`the code 0x${row.code.toString(16)} is in the table twice`);
    rows.set(row.code, row);
  }
  return rows;
}

/** A code as the standards write it: `0x120A`. */
export const codeText = (code: number): string => `0x${code.toString(16).toUpperCase().padStart(4, "0")}`;
