// The body of a PUT or PATCH of the directory: one JSON object a line, taken in as it comes, so that no part of it is long.
//
//     {"base": 7}
//     {"app": "app-a1", "home": "km-a"}
//     {"app": "app-a2", "home": null}        only in a PATCH: removed

import type { IncomingMessage } from "node:http";
import { DIRECTORY_LIMITS } from "../../core/directory.ts";
import { malformed } from "../../core/fault.ts";
import { ID_PATTERN, type KmId } from "../../core/ids.ts";
import type { DirectoryAdmin, DirectoryDraft } from "../../keys/report.ts";
import { objectOf } from "./request.ts";

/** Lines that are read in one go: far below what may hold the event loop. */
const LINES_AT_ONCE = 512;

/**
 * Reads the body whole and makes its change, or none. What comes after a mistake is read to its end, so that the controller
 * gets the answer.
 * @throws Fault MALFORMED_REQUEST with the line, DIRECTORY_CHANGED, BUSY, STORE_UNAVAILABLE
 */
export async function readDirectory(
  directory: DirectoryAdmin,
  controller: string,
  request: IncomingMessage,
): Promise<void> {
  using body = new DirectoryBody(directory, request.method === "PUT" ? "whole" : "changes");
  let failure: unknown;
  try {
    for await (const chunk of request) {
      if (failure !== undefined) continue;
      await body.take(chunk).catch((thrown: unknown) => {
        failure = thrown;
        body[Symbol.dispose]();
      });
    }
  } catch (cause) {
    throw malformed("the body did not come whole", cause);
  }
  if (failure !== undefined) throw failure;
  await body.commit(controller);
}

/** A change of the directory as its lines come in. */
class DirectoryBody implements Disposable {
  readonly #directory: DirectoryAdmin;
  readonly #kind: "whole" | "changes";
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #draft: DirectoryDraft | undefined;
  /** The beginning of a line whose end has not come. */
  #rest = "";
  #bytes = 0;
  #lines = 0;

  constructor(directory: DirectoryAdmin, kind: "whole" | "changes") {
    this.#directory = directory;
    this.#kind = kind;
  }

  async take(chunk: Uint8Array): Promise<void> {
    this.#bytes += chunk.length;
    const { bodyBytes, lineBytes } = DIRECTORY_LIMITS;
    if (this.#bytes > bodyBytes) throw malformed(`the body is longer than ${bodyBytes} bytes`);
    const lines = (this.#rest + this.#text(chunk)).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > lineBytes) throw malformed(TOO_LONG);
    for (let at = 0; at < lines.length; at += LINES_AT_ONCE) await this.#read(lines.slice(at, at + LINES_AT_ONCE));
  }

  #text(chunk?: Uint8Array): string {
    try {
      return this.#decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      throw malformed("the body is not UTF-8", cause);
    }
  }

  async #read(lines: readonly string[]): Promise<void> {
    const entries = lines.flatMap((line) => {
      this.#lines++;
      if (this.#lines > 1) return line === "" ? [] : entryOf(line, this.#lines, this.#kind);
      this.#draft = this.#directory.begin(this.#kind, baseOf(line));
      return [];
    });
    await this.#draft?.take(entries);
  }

  async commit(controller: string): Promise<void> {
    await this.#read([this.#rest + this.#text()]);
    await this.#draft?.commit(controller);
  }

  [Symbol.dispose](): void {
    this.#draft?.[Symbol.dispose]();
  }
}

const TOO_LONG = `a line is longer than ${DIRECTORY_LIMITS.lineBytes} bytes: write one JSON object a line`;

function parsed(line: string, number: number): Readonly<Record<string, unknown>> {
  if (line.length > DIRECTORY_LIMITS.lineBytes) throw malformed(TOO_LONG);
  try {
    return objectOf(JSON.parse(line), `line ${number}`);
  } catch (cause) {
    throw malformed(`line ${number} is no JSON object`, cause);
  }
}

function baseOf(line: string): number {
  const { base, ...others } = parsed(line, 1);
  if (Number.isSafeInteger(base) && Number(base) >= 0 && Object.keys(others).length === 0) return Number(base);
  throw malformed('line 1 must be {"base": REVISION}, the revision that GET tells');
}

function entryOf(line: string, number: number, kind: "whole" | "changes"): { app: string; home: KmId | undefined } {
  const { app, home, ...others } = parsed(line, number);
  const isRemoval = kind === "changes" && home === null;
  if (isId(app) && (isId(home) || isRemoval) && Object.keys(others).length === 0) {
    return { app, home: isRemoval ? undefined : (home as KmId) };
  }
  throw malformed(
    `line ${number} must be {"app": ID, "home": ID}${kind === "whole" ? "" : ", or with home null to remove"}`,
  );
}

const isId = (value: unknown): value is string => typeof value === "string" && ID_PATTERN.test(value);
