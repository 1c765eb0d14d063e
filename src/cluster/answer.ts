// The body of an answer of etcd's gateway: a text, or lines that come as long as a watch does.

import type { IncomingMessage } from "node:http";

/** The longest text, and the longest line: etcd cuts what a watch brings into pieces of `--max-request-bytes`. */
const LONGEST_ANSWER = 64 << 20;
const NEWLINE = 10;

/** @param heard called for each piece that comes @throws Error when it is too long or is cut off */
export async function textOf(response: IncomingMessage, heard: () => void): Promise<string> {
  const text: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    heard();
    size += chunk.length;
    if (size > LONGEST_ANSWER) throw new Error("the answer is too long");
    text.push(chunk);
  }
  return Buffer.concat(text).toString("utf8");
}

/**
 * Lines without their ends, as they come. Not node:readline, which waits for ever at a response that was cut off before.
 * @param heard called for each piece that comes, also of a line that is not whole yet
 * @throws Error when a line is too long, or the response is cut off
 */
export async function* linesOf(response: IncomingMessage, heard: () => void): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    heard();
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = Buffer.concat([...begun, chunk.subarray(from, end)]).toString("utf8");
      begun = [];
      size = 0;
      from = end + 1;
      yield line;
    }
    begun.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size > LONGEST_ANSWER) throw new Error("a line of the answer is too long");
  }
}
